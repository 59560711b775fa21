"""Fit a classifier on a feature table: tune, cross-validate, fit, and evaluate on held-out parts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from featx.arguments import checked
from featx.blocks import in_memory
from featx.classifier import DenseHead, OutOfFold, Rejector, library_versions, softmax, to_dense
from featx.contrast import MOST_LOOKED_AT, find_indistinct
from featx.duplicates import find_conflicts, group_table
from featx.evaluation import CalibratedOn, Evaluation, LearningCurve, Reliability
from featx.evaluation.procedures import (
    MOST_CROSS_VALIDATED,
    CrossValidated,
    DataSplit,
    FitCounter,
    TrainingSet,
    Tuned,
    calibrate,
    find_temperature,
    learning_curve,
    measure_reliability,
    plan_memory,
    quiet_single_threads,
    split_table,
    tune_and_fit,
)
from featx.execution import bundle_graph, locate
from featx.fitting.accuracy import AccuracyMeasurer, judge_held_out
from featx.fitting.duration import duration_note
from featx.fitting.preparing import features_to_fit
from featx.fitting.rejecting import learn_rejector, learn_rejector_held_out
from featx.fitting.trusting import note_trust, try_saving, try_saving_on
from featx.group_hints import find_group_hints, in_natural_order
from featx.heads import Head, make_head, scores_of
from featx.images import probe_files
from featx.model import Classifier
from featx.options import (
    DEFAULT_BACKBONE,
    DEFAULT_HEAD,
    ClassWeight,
    ExtractOptions,
    FoldOptions,
    LabelBy,
    RunOptions,
    check_ranges,
)
from featx.output import model_file_name
from featx.runtime import Runtime
from featx.spec import EngineName, Layout, Pooling, Precision, Resize
from featx.table import FeatureTable, Sample

_DENSE_AGREES = 1e-3
_FEWEST_TO_CALIBRATE = 10


@checked(unchecked=("head",))
def fit(
    features: FeatureTable | str | Path | None = None,
    head: str | BaseEstimator = DEFAULT_HEAD,
    *,
    params: Mapping[str, Any] | None = None,
    hidden: Sequence[int] = (),
    cv: int = 5,
    repeats: int = 1,
    class_weight: ClassWeight | None = None,
    group_by: str | None = None,
    group_versions: bool = True,
    augment: str | None = None,
    views: int = 0,
    bundle: bool = False,
    seed: int = 0,
    backbone: str = DEFAULT_BACKBONE,
    weights: str | Path = "imagenet",
    layer: str | None = None,
    pooling: Pooling = "avg",
    size: int | None = None,
    resize: Resize = "crop",
    white: int | None = None,
    page: int = 1,
    preprocess: str | None = None,
    layout: Layout | None = None,
    engine: Literal["auto"] | EngineName = "auto",
    precision: Literal["auto"] | Precision = "auto",
    label_by: LabelBy | None = None,
    path_column: str = "path",
    label_column: str = "label",
    recalibrate: bool = False,
    strict: bool = False,
    runtime: Runtime | None = None,
) -> Classifier:
    """Tune, cross-validate and fit a head on features.

    Hyper-parameters are chosen inside each fold, so that the reported accuracy applies to the whole procedure.
    Samples of the splits ``val`` and ``test`` are not used for training; they are predicted once. If the features do
    not fit into memory (``runtime.memory``), ``logreg``, ``svm`` and ``mlp`` read them from the cache in blocks, which
    is reported.

    Parameters
    ----------
    features : FeatureTable or path, optional
        Features from :func:`featx.extract`, or a folder or manifest; features that are not in the cache are extracted
        first. By default, the features of the last extraction. Samples without a label are left out.
    head : str or scikit-learn estimator
        ``logreg``, ``svm``, ``svm-rbf``, ``mlp``, ``knn``, ``ridge``, ``centroid``, or any scikit-learn classifier,
        which is used as given.
    params : mapping, optional
        Parameters of the head. A single value is fixed and not tuned; a list gives the values to tune over.
    hidden : sequence of int
        Widths of the hidden layers of ``mlp``; by default one layer of width 128.
    cv : int
        Maximum number of folds; fewer folds are used if a class has too few groups.
    repeats : int
        Number of repetitions with new folds.
    class_weight : {"balanced"}, optional
        Weight classes by the inverse of their size.
    group_by : str, optional
        Groups of images that stay on one side of every split, in addition to duplicates, near-duplicates and frames of
        one recording: ``parent`` (the folder of the image), ``folder:N`` (the Nth folder of the path), ``word:N`` (the
        Nth word of the file name), a column of the manifest, or a regular expression that is searched in the sample id.
        By default, the column ``group`` of the manifest.
    group_versions : bool
        Whether versions of one image, which are recognised by their file names, stay on one side of every split.
    views : int
        Number of augmented views of each image to train on in addition to the image, at most ``features.views``.
        Views stay on the side of their image in every split, and only images are scored. ``evaluation.views`` holds
        the change in accuracy, measured on the same folds. Training uses 1 + views times as many features.
    bundle : bool
        Whether to save the backbone in the model, so that predicting needs neither its weights nor its file.
    seed : int
        Random seed of the folds and of heads that use randomness.
    augment : str, optional
        Augmentation policy of the views; not allowed with a feature table, whose views already exist.
    backbone, weights, layer, pooling, size, resize, white, page, preprocess, layout, engine, precision, label_by, \
    path_column, label_column, recalibrate, strict
        As for :func:`featx.extract`; only if a folder or manifest is given.
    runtime : Runtime, optional
        Number of workers, callbacks, and the cache of the features.

    Returns
    -------
    Classifier
        The fitted classifier with its ``evaluation``.

    Raises
    ------
    DatasetError
        If ``group_by`` matches no image.
    EvaluationError
        If there are no labels or only one class, a class occurs only in the validation or test part, all training
        images have the same features, there are fewer views than requested, or the features do not fit into memory and
        the head cannot read them in blocks.
    HeadError
        If the head or a parameter is unknown, or the head cannot be fitted or saved in a model file.

    Examples
    --------
    >>> import featx
    >>> model = featx.fit(featx.extract("data"), head="centroid", cv=3)
    >>> model.evaluation.cv.n_folds
    3
    >>> model.evaluation.cv.accuracy.mean > model.evaluation.baseline
    True
    """
    options, run = ExtractOptions.of(locals()), RunOptions.of(locals())
    runtime = runtime or Runtime()
    started = time.monotonic()
    check_ranges(locals(), FoldOptions)
    if hidden:
        params = {**(params or {}), "hidden_layer_sizes": tuple(hidden)}
    made = make_head(head, params, class_weight, seed)
    to_trust = [] if isinstance(head, str) else try_saving(made)
    features = features_to_fit(features, backbone, options, run, group_by, runtime)
    if bundle:
        spec = features.spec
        features = bundle_graph(features, lambda: locate(spec, None, runtime), runtime)
    memory = plan_memory(made, features, cv, views, runtime)
    if memory.in_blocks:
        runtime.notice(memory.note)
    grouping = group_table(features, group_by, runtime, group_versions)
    parts = split_table(features, grouping.numbers, views, memory.in_blocks, runtime.n_workers)
    train = parts.train
    if to_trust is None:
        to_trust = try_saving_on(made, train.X, train.y)
    made, plan = memory.head(made, len(train.y), len(train.classes))
    # Threads share the blocks of one fit instead of the fits.
    fits = replace(runtime, workers=1) if memory.in_blocks else runtime
    if len(train.y) > MOST_CROSS_VALIDATED:
        n_hints = len(find_group_hints([features.samples[i] for i in parts.at]))
        is_grouped = len(np.unique(train.groups)) < len(train.y)
        runtime.notice(duration_note(made, train, runtime.n_workers, 1 + is_grouped + n_hints))
    tally = FitCounter()
    measurer = AccuracyMeasurer(made, parts, cv, repeats, seed, fits, tally)
    crossed, reason = measurer.grouped()
    with quiet_single_threads(), runtime.stage("tuning and fitting the final head") as advance:
        tuned = tune_and_fit(made, train, seed, tally, "the final head", fits.n_workers, progress=advance)
    samples = [features.samples[i] for i in parts.at]
    left_out = _evaluate_out_of_fold(made, tuned, crossed, parts, samples, seed, fits, tally)
    ungrouped, optimistic = measurer.ungrouped(crossed)
    by_group_hint, lower = measurer.by_group_hint(features.samples, grouping, crossed)
    val, test = measurer.held_out(tuned, parts.val), measurer.held_out(tuned, parts.test)
    notes = [
        *(find_indistinct(features).notes() if len(features) <= MOST_LOOKED_AT else []),
        *grouping.notes(),
        *(note for note in (memory.note, plan) if note),
        *_notes(made, tuned, crossed, cv),
        *note_trust(made, to_trust),
        *_calibration_notes(left_out.calibrated_on),
        *tally.notes(),
    ]
    baseline = train.targets.baseline(train.y if crossed is None else train.y[crossed.tested])
    evaluation = Evaluation(
        head=made.name,
        params=_plain_params(tuned, params),
        classes=train.classes,
        n_images=len(train.y),
        n_groups=len(np.unique(train.groups)),
        groups={
            **grouping.to_dict(),
            "group_by": group_by,
            "examples": _ends(grouping.names),
            **find_conflicts(features, grouping, parts.at),
        },
        cv=None if crossed is None else crossed.summary,
        cv_reason=reason,
        ungrouped_accuracy=ungrouped,
        group_hints=by_group_hint,
        reliability=left_out.reliability,
        learning=left_out.learning,
        baseline=baseline.accuracy,
        baseline_class=baseline.name,
        val=val,
        test=test,
        contradictions=(*judge_held_out(crossed, val, test), *optimistic, *lower),
        notes=tuple(notes),
        calibrated_on=left_out.calibrated_on,
        fits=tally.to_dict(),
        made={
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": features.root or features.name,
            "n_skipped": len(features.extraction.skipped),
            "seed": seed,
            "cv": cv,
            "repeats": repeats,
            "class_weight": class_weight,
        },
        views=None if features.extraction.views is None else measurer.gain_of_views(features.extraction.views, crossed),
        seconds=time.monotonic() - started,
    )
    return Classifier(
        spec=features.spec,
        title=features.extraction.backbone,
        classes_=train.classes,
        evaluation=evaluation,
        temperature=left_out.temperature,
        estimator=lambda: tuned.estimator,
        dense_head=_dense_head(tuned, train),
        content_hashes=np.unique(features.content_hashes[parts.at], axis=0),
        out_of_fold=left_out.scores,
        rejector=left_out.rejector,
        probe_files=probe_files(),
        probes=features.probes,
        versions=library_versions(),
        graph=features.graph,
    )


def default_model_name(features: FeatureTable, head: str) -> str:
    """Return the default file name of a model, ``NAME-BACKBONE-HEAD.featx``.

    Parameters
    ----------
    features : FeatureTable
    head : str
        Name of the head.
    """
    backbone = features.extraction.backbone.split(" ")[0]
    return model_file_name(features.name, backbone.rsplit(".", 1)[0], head)


def _ends(names: Sequence[str | None]) -> list[str]:
    """Return the first and the last of the names in natural order; empty without names."""
    known = in_natural_order({name.replace("\0", " ") for name in names if name is not None})
    return [known[0], known[-1]] if known else []


class _OutOfFoldResults(NamedTuple):
    """Results from out-of-fold images; the defaults apply without cross-validation and validation part."""

    scores: OutOfFold | None = None
    temperature: float = 1.0
    reliability: Reliability | None = None
    rejector: Rejector | None = None
    learning: LearningCurve | None = None
    calibrated_on: CalibratedOn = "nothing"


def _evaluate_out_of_fold(
    head: Head,
    tuned: Tuned,
    crossed: CrossValidated | None,
    parts: DataSplit,
    samples: Sequence[Sample],
    seed: int,
    runtime: Runtime,
    tally: FitCounter,
) -> _OutOfFoldResults:
    if crossed is None:
        return _calibrate_on_val(tuned, parts, seed)
    train, tested = parts.train, crossed.tested
    y = train.y[tested]
    with runtime.stage("calibrating"):
        calibration = calibrate(head, tuned.params, train, crossed, runtime.n_workers, tally)
    probabilities = softmax(calibration.scores / calibration.temperature)
    sample_ids = tuple(samples[i].sample_id for i in tested)
    return _OutOfFoldResults(
        OutOfFold(sample_ids, y, calibration.scores, crossed.fold, crossed.predicted),
        calibration.temperature,
        measure_reliability(train.targets, probabilities, y),
        learn_rejector(
            train, crossed, softmax(calibration.as_final / calibration.temperature), seed, runtime.n_workers
        ),
        learning_curve(head, train, crossed, seed, runtime.n_workers, tally),
        "out of fold",
    )


def _calibrate_on_val(tuned: Tuned, parts: DataSplit, seed: int) -> _OutOfFoldResults:
    """Calibrate on the images of the validation part that share no group with a training image."""
    train, val = parts.train, parts.val
    apart = ~np.isin(val.groups, train.groups)
    if apart.sum() < _FEWEST_TO_CALIBRATE:
        return _OutOfFoldResults()
    X, y = val.X[apart], val.y[apart]
    scores = scores_of(tuned.estimator, X, len(train.classes))
    temperature = find_temperature(scores, y)
    probabilities = softmax(scores / temperature)
    rejector = learn_rejector_held_out(train, X, probabilities, seed)
    return _OutOfFoldResults(temperature=temperature, rejector=rejector, calibrated_on="val")


def _calibration_notes(calibrated_on: CalibratedOn) -> list[str]:
    if calibrated_on == "nothing":
        return [
            f"there is no cross-validation, and fewer than {_FEWEST_TO_CALIBRATE} independent validation images, so "
            "probabilities are not calibrated, and the model cannot reject images"
        ]
    if calibrated_on == "val":
        return ["no cross-validation: probabilities are calibrated on the validation part"]
    return []


def _notes(head: Head, tuned: Tuned, crossed: CrossValidated | None, cv: int) -> list[str]:
    notes = []
    if crossed is not None and crossed.summary.untested:
        names = ", ".join(crossed.summary.untested)
        notes.append(f"used for fitting but not tested, because all images of the class form one group: {names}")
    if crossed is not None and crossed.summary.n_folds == 1:
        notes.append(
            f"more than {MOST_CROSS_VALIDATED:,} images: evaluated on one split instead of {cv} folds, "
            "with undivided groups"
        )
    elif crossed is not None and crossed.summary.n_folds < cv:
        notes.append(f"{crossed.summary.n_folds} folds instead of {cv}, because a class has too few groups")
    if not tuned.was_tuned:
        middle = ", ".join(
            f"{name.removeprefix('head__')}={value:g}"
            if isinstance(value, float)
            else f"{name.removeprefix('head__')}={value}"
            for name, value in tuned.params.items()
        )
        notes.append(
            f"there are too few groups to tune {head.name}, so the middle value of each grid is used: {middle}"
        )
    return [*notes, *(f"{head.name}: {note}" for note in tuned.notes)]


def _plain_params(tuned: Tuned, given: Mapping[str, Any] | None) -> dict[str, Any]:
    fixed = {name: value for name, value in (given or {}).items() if not isinstance(value, list)}
    chosen = {name.rpartition("__")[2]: value for name, value in tuned.params.items()}
    return {name: _plain(value) for name, value in {**fixed, **chosen}.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, bool | int | float | str | type(None)) else repr(value)


def _dense_head(tuned: Tuned, train: TrainingSet) -> DenseHead | None:
    """Return the head as matrices if they reproduce the probabilities of scikit-learn on training images."""
    dense_head = to_dense(tuned.estimator)
    if dense_head is None:
        return None
    some = in_memory(train.X, slice(256))
    theirs = softmax(scores_of(tuned.estimator, some, len(train.classes)))
    return dense_head if np.abs(softmax(dense_head.scores(some)) - theirs).max() < _DENSE_AGREES else None
