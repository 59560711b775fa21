"""Nested cross-validation: what the whole procedure, tuning included, scores on images it has not seen."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from featx.evaluation.procedures.convergence import FitCounter, collected_warnings
from featx.evaluation.procedures.folds import MOST_CROSS_VALIDATED, Folds, make_outer_folds
from featx.evaluation.procedures.intervals import corrected_resampled, mean_of_shares, share_of, shrink_interval
from featx.evaluation.procedures.threads import in_threads
from featx.evaluation.procedures.training_set import TrainingSet
from featx.evaluation.procedures.tuning import tune_and_fit
from featx.evaluation.records.scores import ByClass, CrossValidation, Interval
from featx.heads import Head, scores_of
from featx.targets import SingleLabel


@dataclass(frozen=True)
class CrossValidated:
    """A cross-validation and the folds it used.

    Parameters
    ----------
    summary : CrossValidation
    folds : Folds
        Those of the first repeat.
    tested : ndarray of shape (n_tested,), int64
        Positions of the samples that were tested: all but those of rare classes of one group.
    fold : ndarray of shape (n_tested,), int64
        The fold in which each of them was tested.
    scores : ndarray of shape (n_tested, n_classes), float64
        Out-of-fold scores of the first repeat, each fold on the scale of its own head.
    params : tuple of dict
        What was chosen in each fold of the first repeat.
    n_not_converged : int
        Outer fits that reached their limit of iterations.
    targets : SingleLabel
    """

    summary: CrossValidation
    folds: Folds
    tested: NDArray[np.int64]
    fold: NDArray[np.int64]
    scores: NDArray[np.float64]
    params: tuple[dict[str, Any], ...]
    n_not_converged: int
    targets: SingleLabel

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Out-of-fold class numbers, shape (n_tested,): every figure of the summary counts these."""
        return self.targets.answers(self.scores)


def cross_validate(
    head: Head,
    data: TrainingSet,
    n_folds: int,
    repeats: int,
    seed: int,
    n_workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    tally: FitCounter | None = None,
) -> CrossValidated:
    """Tune and fit on the training part of every fold, score its test part.

    Parameters
    ----------
    head : Head
    data : TrainingSet
    n_folds, repeats : int
        Folds are fewer where a class has fewer groups, and one split beyond 200,000 samples; each repeat cuts anew. All
        figures are of the first repeat; further ones steady the intervals.
    seed : int
    n_workers : int
        Folds at a time. Each computes on one thread, so that the bits do not depend on it.
    progress : callable
        Called with (folds done, folds in all).
    tally : Tally, optional
        Counts the fits.

    Raises
    ------
    TooFewGroups
        A class cannot be on both sides of a split.
    HeadError
        The estimator refuses the data.
    """
    with quiet_single_threads():
        repeats = repeats if len(data.y) <= MOST_CROSS_VALIDATED else 1
        cuts = [
            make_outer_folds(data.y, data.groups, data.classes, n_folds, seed + repeat) for repeat in range(repeats)
        ]
        pairs = [pair for cut in cuts for pair in cut.pairs]
        jobs = [partial(_score_fold, head, data, train, test, seed, tally) for train, test in pairs]
        results = in_threads(jobs, n_workers, progress)
    tests = [test for _, test in pairs]
    return _summary(data, cuts, tests, results)


@contextlib.contextmanager
def quiet_single_threads() -> Iterator[None]:
    """Run numerical libraries on one thread, with convergence warnings counted instead of shown."""
    with threadpool_limits(1), collected_warnings():
        # NearestCentroid says so of every feature that is always zero in a class; it handles them.
        warnings.filterwarnings("ignore", "self.within_class_std_dev_ has at least 1 zero", UserWarning)
        # The first parts of a learning curve may have fewer samples than a kernel has landmarks, and are all of them.
        warnings.filterwarnings("ignore", "n_components > n_samples", UserWarning)
        # A rare class may have fewer members than there are folds.
        warnings.filterwarnings("ignore", "The least populated class in y", UserWarning)
        yield


class _Scored(NamedTuple):
    """What the head of one fold made of its test part."""

    scores: NDArray[np.float64]
    params: dict[str, Any]
    converged: bool


def _score_fold(
    head: Head,
    data: TrainingSet,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    seed: int,
    tally: FitCounter | None,
) -> _Scored:
    tuned = tune_and_fit(head, data.part(train), seed, tally, "cross-validation")
    return _Scored(scores_of(tuned.estimator, data.X[test], len(data.classes)), tuned.params, tuned.converged)


def _summary(
    data: TrainingSet, cuts: Sequence[Folds], tests: Sequence[NDArray[np.int64]], results: Sequence[_Scored]
) -> CrossValidated:
    n_folds = len(cuts[0].pairs)
    scores = np.empty((len(data.y), len(data.classes)))
    fold = np.empty(len(data.y), np.int64)
    for number, (test, result) in enumerate(zip(tests[:n_folds], results[:n_folds], strict=True)):
        scores[test], fold[test] = result.scores, number
    tested = cuts[0].tested
    targets, y, groups = data.targets, data.y[tested], data.groups[tested]
    predicted = targets.answers(scores[tested])
    hit = targets.hits(predicted, y)
    hits = [
        targets.hits(targets.answers(result.scores), data.y[test]) for test, result in zip(tests, results, strict=True)
    ]
    per_fold = [float(one.mean()) for one in hits]
    balanced = [_mean_recall(data.y[test], one) for test, one in zip(tests, hits, strict=True)]
    by_class = ByClass.of(targets, predicted, y)
    summary = CrossValidation(
        splitter=cuts[0].splitter,
        n_folds=n_folds,
        repeats=len(cuts),
        accuracy=_interval(per_fold, n_folds, share_of(hit, groups)),
        balanced_accuracy=_interval(balanced, n_folds, _pooled_recall(hit, y, groups)),
        per_fold=tuple(per_fold),
        per_class=by_class.per_class,
        confusion=by_class.confusion,
        untested=cuts[0].untested,
    )
    params = tuple(result.params for result in results[:n_folds])
    n_loose = sum(not result.converged for result in results)
    return CrossValidated(summary, cuts[0], tested, fold[tested], scores[tested], params, n_loose, targets)


def _interval(per_fold: Sequence[float], n_folds: int, pooled: Interval) -> Interval:
    return pooled if n_folds == 1 else shrink_interval(corrected_resampled(per_fold, 1 / (n_folds - 1)), pooled)


def _mean_recall(y: NDArray[np.int64], hit: NDArray[np.bool_]) -> float:
    return float(np.mean([hit[y == label].mean() for label in np.unique(y)]))


def _pooled_recall(hit: NDArray[np.bool_], y: NDArray[np.int64], groups: NDArray[np.int64]) -> Interval:
    return mean_of_shares([share_of(hit[y == label], groups[y == label]) for label in np.unique(y)])
