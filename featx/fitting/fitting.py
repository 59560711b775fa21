"""From a feature table to a classifier: tune, cross-validate, fit, evaluate on what was set aside."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from featx.classifier import Classifier, Folded, OutOfFold, Rejector, fold, softmax
from featx.duplicates import group_samples
from featx.errors import EvaluationError
from featx.evaluate import (
    CrossValidated,
    Parts,
    TrainingSet,
    Tuned,
    find_temperature,
    learning_curve,
    measure_reliability,
    out_of_fold_scores,
    quiet_single_threads,
    split_parts,
    tune_and_fit,
)
from featx.evaluation import Evaluation, LearningCurve, Reliability
from featx.extraction import featurize
from featx.fitting.measuring import Measurer, find_conflicts
from featx.fitting.rejecting import learn_rejector
from featx.heads import DEFAULT_HEAD, Head, for_many, make_head, scores_of
from featx.images import probe_files
from featx.runtime import Runtime
from featx.sources import read_groups, unnamed_note
from featx.table import FeatureTable, Sample

_VERSIONS_OF = ("featx", "numpy", "pillow", "scikit-learn", "keras", "tensorflow")
_FOLDED_AGREES = 1e-3


def fit(
    features: FeatureTable,
    head: str | BaseEstimator = DEFAULT_HEAD,
    *,
    params: Mapping[str, Any] | None = None,
    cv: int = 5,
    repeats: int = 1,
    class_weight: str | None = None,
    group_by: str | None = None,
    seed: int = 0,
    runtime: Runtime | None = None,
) -> Classifier:
    """Tune, cross-validate and fit a head on features.

    Hyper-parameters are chosen inside each fold, so that the reported accuracy is that of the whole procedure.
    Samples of the splits ``val`` and ``test`` are only predicted, once.

    Parameters
    ----------
    features : FeatureTable
        From :func:`featx.extract`; samples without a label are left out.
    head : str or scikit-learn estimator
        ``logreg``, ``svm``, ``svm-rbf``, ``mlp``, ``knn``, ``ridge``, ``centroid``, or any classifier, which
        is used as it is.
    params : mapping, optional
        Parameters of the head; a fixed value is no longer tuned, a list is tuned over.
    cv : int
        Number of folds, fewer where a class has fewer groups.
    repeats : int
        Times the folds are cut anew.
    class_weight : {"balanced"}, optional
        Weigh classes by the inverse of their size.
    group_by : str, optional
        Pictures that stay on one side of every split, besides copies, near-copies and frames of one take: ``parent``
        (those of one folder), a column of the manifest, or a regular expression found in the sample id; if not
        given, the manifest's ``group``.
    seed : int
        Of folds and of heads with randomness.
    runtime : Runtime, optional
        Threads and callbacks.

    Returns
    -------
    Classifier
        With ``evaluation``.

    Raises
    ------
    DatasetError
        ``group_by`` matches no picture.
    EvaluationError
        No labels, one class, or a class that only a test part has.
    HeadError
        Unknown head or parameter.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    _check_counts(cv, repeats)
    made = make_head(head, params, class_weight, seed)
    named = features.groups.tolist() if group_by is None else read_groups(features.samples, group_by)
    grouping = group_samples(features, named)
    parts = split_parts(features, grouping.numbers)
    train = parts.train
    made, plan = for_many(made, len(train.y))
    measurer = Measurer(made, parts, cv, repeats, seed, runtime)
    crossed, reason = measurer.honest()
    with quiet_single_threads():
        tuned = tune_and_fit(made, train.X, train.y, train.groups, train.classes, seed, runtime.n_workers)
    unnamed = unnamed_note(features.samples, group_by, named)
    said = [text for text in (unnamed, plan) if text]
    notes = [*grouping.notes(), *said, *_notes(made, tuned, crossed, cv)]
    for note in notes:
        runtime.notice(note)
    samples = [features.samples[i] for i in parts.at]
    left_out = _left_out(made, tuned, crossed, parts, samples, seed, runtime)
    counts = np.bincount(train.y)
    evaluation = Evaluation(
        head=made.name,
        params=_plain_params(tuned, params),
        classes=train.classes,
        n_images=len(train.y),
        n_groups=len(np.unique(train.groups)),
        groups={
            **grouping.to_dict(),
            "group_by": group_by,
            "conflicts": find_conflicts(features, grouping, parts.at),
        },
        cv=None if crossed is None else crossed.summary,
        cv_reason=reason,
        naive_accuracy=measurer.at_random(tuned, crossed),
        sources=measurer.by_source(tuned, samples),
        reliability=left_out.reliability,
        learning=left_out.learning,
        baseline=float(counts.max() / counts.sum()),
        baseline_class=train.classes[int(counts.argmax())],
        val=measurer.held_out(tuned, parts.val),
        test=measurer.held_out(tuned, parts.test),
        notes=tuple(notes),
        seconds=time.monotonic() - started,
    )
    return Classifier(
        spec=features.spec,
        title=features.extraction.backbone,
        classes_=train.classes,
        evaluation=evaluation,
        temperature=left_out.temperature,
        estimator=lambda: tuned.estimator,
        folded=_folded(tuned, train),
        content_hashes=np.unique(features.content_hashes[parts.at], axis=0),
        out_of_fold=left_out.scores,
        rejector=left_out.rejector,
        probe_files=probe_files(),
        probes=features.probes,
        versions={name: version(name) for name in _VERSIONS_OF},
        graph=features.graph,
        featurize=featurize,
    )


def model_name(features: FeatureTable, model: Classifier) -> str:
    """Return the file name that a model has by default: ``NAME-BACKBONE-HEAD.featx``."""
    backbone = features.extraction.backbone.split(" ")[0]
    name = "-".join((features.name, backbone.rsplit(".", 1)[0], model.evaluation.head))
    return re.sub(r"[^\w.-]", "_", name) + ".featx"


def _check_counts(cv: int, repeats: int) -> None:
    if cv < 2:
        raise EvaluationError(f"cv is {cv}; at least 2 folds are needed")
    if repeats < 1:
        raise EvaluationError(f"repeats is {repeats}; at least 1 is needed")


class _LeftOut(NamedTuple):
    """What pictures show that were left out of a fold; nothing where there are no folds."""

    scores: OutOfFold | None = None
    temperature: float = 1.0
    reliability: Reliability | None = None
    rejector: Rejector | None = None
    learning: LearningCurve | None = None


def _left_out(
    head: Head,
    tuned: Tuned,
    crossed: CrossValidated | None,
    parts: Parts,
    samples: Sequence[Sample],
    seed: int,
    runtime: Runtime,
) -> _LeftOut:
    if crossed is None:
        return _LeftOut()
    train = parts.train
    scores = out_of_fold_scores(head, tuned.params, train, crossed.folds, runtime.n_workers)
    temperature = find_temperature(scores, train.y)
    probabilities = softmax(scores / temperature)
    sample_ids = tuple(sample.sample_id for sample in samples)
    return _LeftOut(
        OutOfFold(sample_ids, train.y, scores, crossed.fold, crossed.predicted),
        temperature,
        measure_reliability(probabilities, train.y),
        learn_rejector(train, crossed, probabilities, seed),
        learning_curve(head, tuned.params, train, crossed.folds, scores, seed, runtime.n_workers),
    )


def _notes(head: Head, tuned: Tuned, crossed: CrossValidated | None, cv: int) -> list[str]:
    notes = []
    if crossed is not None and crossed.summary.n_folds < cv:
        notes.append(f"{crossed.summary.n_folds} folds instead of {cv}: a class has no more groups")
    if not tuned.was_tuned:
        middle = ", ".join(f"{name.removeprefix('head__')}={value}" for name, value in tuned.params.items())
        notes.append(f"too few groups to tune {head.name}; it has the middle of its grid, {middle}")
    n_loose = (0 if crossed is None else crossed.n_not_converged) + (not tuned.converged)
    if n_loose:
        n_fits = 1 + (0 if crossed is None else len(crossed.summary.per_fold))
        notes.append(f"{n_loose} of {n_fits} fits did not converge; --param max_iter=N allows more iterations")
    return notes


def _plain_params(tuned: Tuned, given: Mapping[str, Any] | None) -> dict[str, Any]:
    fixed = {name: value for name, value in (given or {}).items() if not isinstance(value, list)}
    chosen = {name.removeprefix("head__"): value for name, value in tuned.params.items()}
    return {name: _plain(value) for name, value in {**fixed, **chosen}.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, bool | int | float | str | type(None)) else repr(value)


def _folded(tuned: Tuned, train: TrainingSet) -> Folded | None:
    """Return the head as matrices if they give the same probabilities as scikit-learn on training pictures."""
    folded = fold(tuned.estimator)
    if folded is None:
        return None
    some = train.X[:256]
    theirs = softmax(scores_of(tuned.estimator, some, len(train.classes)))
    return folded if np.abs(softmax(folded.scores(some)) - theirs).max() < _FOLDED_AGREES else None
