"""From a feature table to a classifier: tune, cross-validate, fit, evaluate on what was set aside."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from featx.classifier import Classifier, Folded, OutOfFold, fold, softmax
from featx.duplicates import group_samples
from featx.errors import EvaluationError
from featx.evaluate import (
    CrossValidated,
    TooFewGroups,
    TrainingSet,
    Tuned,
    cross_validate,
    find_temperature,
    out_of_fold_scores,
    quiet_single_threads,
    tune_and_fit,
    wilson,
)
from featx.evaluation import Evaluation, HeldOut, Interval
from featx.extraction import featurize
from featx.heads import DEFAULT_HEAD, Head, make_head, scores_of
from featx.images import probe_files
from featx.runtime import Runtime
from featx.table import FeatureTable

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
    EvaluationError
        No labels, one class, or a class that only a test part has.
    HeadError
        Unknown head or parameter.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    _check_counts(cv, repeats)
    made = make_head(head, params, class_weight, seed)
    parts = _parts(features)
    train = parts.train
    notes: list[str] = []
    crossed, reason = _cross_validated(made, train, cv, repeats, seed, runtime)
    naive = _naive_accuracy(made, train, crossed, cv, repeats, seed, runtime)
    with quiet_single_threads():
        tuned = tune_and_fit(made, train.X, train.y, train.groups, train.classes, seed)
    notes += _notes(made, tuned, crossed, cv)
    for note in notes:
        runtime.notice(note)
    out_of_fold = _out_of_fold(made, tuned, crossed, parts, runtime)
    counts = np.bincount(train.y)
    evaluation = Evaluation(
        head=made.name,
        params=_plain_params(tuned, params),
        classes=train.classes,
        n_images=len(train.y),
        n_groups=len(np.unique(train.groups)),
        cv=None if crossed is None else crossed.summary,
        cv_reason=reason,
        naive_accuracy=naive,
        baseline=float(counts.max() / counts.sum()),
        baseline_class=train.classes[int(counts.argmax())],
        val=_held_out(tuned, train, parts.val),
        test=_held_out(tuned, train, parts.test),
        notes=tuple(notes),
        seconds=time.monotonic() - started,
    )
    return Classifier(
        spec=features.spec,
        title=features.extraction.backbone,
        classes_=train.classes,
        evaluation=evaluation,
        temperature=1.0 if out_of_fold is None else find_temperature(out_of_fold.scores, train.y),
        estimator=lambda: tuned.estimator,
        folded=_folded(tuned, train),
        content_hashes=np.unique(parts.content_hashes, axis=0),
        out_of_fold=out_of_fold,
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


@dataclass(frozen=True)
class _Parts:
    train: TrainingSet
    sample_ids: tuple[str, ...]
    content_hashes: NDArray[np.uint8]
    val: TrainingSet
    test: TrainingSet


def _check_counts(cv: int, repeats: int) -> None:
    if cv < 2:
        raise EvaluationError(f"cv is {cv}; at least 2 folds are needed")
    if repeats < 1:
        raise EvaluationError(f"repeats is {repeats}; at least 1 is needed")


def _parts(table: FeatureTable) -> _Parts:
    labels, splits = table.y, table.splits
    labelled = np.array([label is not None for label in labels])
    if not labelled.any():
        raise EvaluationError(
            f"{table.name} has no labels; put each class into a folder of its own, or give a manifest (path,label)"
        )
    in_train = labelled & np.array([split in (None, "train") for split in splits])
    classes = tuple(sorted(set(labels[in_train])))
    if len(classes) < 2:
        only = f"one class, {classes[0]!r}" if classes else "no labelled picture"
        raise EvaluationError(f"the training part of {table.name} has {only}; at least two classes are needed")
    _check_no_new_class(labels, splits, labelled, classes)
    numbers = {name: number for number, name in enumerate(classes)}
    y = np.array([numbers.get(label, -1) for label in labels], np.int64)
    groups = group_samples(table.content_hashes, [sample.group for sample in table.samples])

    def part(members: NDArray[np.bool_]) -> TrainingSet:
        at = np.flatnonzero(members)
        return TrainingSet(table.read(at), y[at], groups[at], classes)

    return _Parts(
        part(in_train),
        tuple(table.sample_ids[in_train]),
        table.content_hashes[in_train],
        part(labelled & (splits == "val")),
        part(labelled & (splits == "test")),
    )


def _check_no_new_class(
    labels: NDArray[Any], splits: NDArray[Any], labelled: NDArray[np.bool_], classes: tuple[str, ...]
) -> None:
    for split in ("val", "test"):
        new = sorted(set(labels[labelled & (splits == split)]) - set(classes))
        if new:
            raise EvaluationError(f"{', '.join(new)} occurs in the {split} part but not in the training part")


def _cross_validated(
    head: Head, train: TrainingSet, cv: int, repeats: int, seed: int, runtime: Runtime
) -> tuple[CrossValidated | None, str]:
    try:
        result = cross_validate(
            head, train, cv, repeats, seed, runtime.n_workers, lambda done, n: runtime.progress("fit", done, n)
        )
    except TooFewGroups as error:
        return None, str(error)
    return result, ""


def _naive_accuracy(
    head: Head,
    train: TrainingSet,
    crossed: CrossValidated | None,
    cv: int,
    repeats: int,
    seed: int,
    runtime: Runtime,
) -> Interval | None:
    """Return the accuracy as it is commonly reported: every picture on its own, copies torn apart."""
    alone = np.arange(len(train.y))
    if crossed is not None and len(np.unique(train.groups)) == len(alone):
        return crossed.summary.accuracy
    apart = TrainingSet(train.X, train.y, alone, train.classes)
    result, _ = _cross_validated(head, apart, cv, repeats, seed, runtime)
    return None if result is None else result.summary.accuracy


def _out_of_fold(
    head: Head, tuned: Tuned, crossed: CrossValidated | None, parts: _Parts, runtime: Runtime
) -> OutOfFold | None:
    if crossed is None:
        return None
    scores = out_of_fold_scores(head, tuned.params, parts.train, crossed.folds, runtime.n_workers)
    return OutOfFold(parts.sample_ids, parts.train.y, scores, crossed.fold)


def _notes(head: Head, tuned: Tuned, crossed: CrossValidated | None, cv: int) -> list[str]:
    notes = []
    if crossed is not None and crossed.summary.n_folds < cv:
        notes.append(f"{crossed.summary.n_folds} folds instead of {cv}: a class has no more groups")
    if not tuned.was_tuned:
        notes.append(f"too few pictures to tune {head.name}; it has its middle settings {tuned.params}")
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


def _held_out(tuned: Tuned, train: TrainingSet, part: TrainingSet) -> HeldOut | None:
    if not len(part.y):
        return None
    hit = scores_of(tuned.estimator, part.X, len(train.classes)).argmax(axis=1) == part.y
    apart = ~np.isin(part.groups, train.groups)
    accuracy = wilson(float(hit[apart].mean()), len(np.unique(part.groups[apart]))) if apart.any() else None
    return HeldOut(accuracy, int(apart.sum()), float(hit.mean()), len(hit))


def _folded(tuned: Tuned, train: TrainingSet) -> Folded | None:
    """Return the head as matrices if they give the same probabilities as scikit-learn on training pictures."""
    folded = fold(tuned.estimator)
    if folded is None:
        return None
    some = train.X[:256]
    theirs = softmax(scores_of(tuned.estimator, some, len(train.classes)))
    return folded if np.abs(softmax(folded.scores(some)) - theirs).max() < _FOLDED_AGREES else None
