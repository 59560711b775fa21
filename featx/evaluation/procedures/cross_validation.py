"""Nested cross-validation of the whole procedure, tuning included."""

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
from featx.evaluation.procedures.intervals import (
    cross_validated_share,
    mean_of_shares,
    share_of,
    widened_over_folds,
)
from featx.evaluation.procedures.threads import Plan, run_plans
from featx.evaluation.procedures.training_set import TrainingSet
from featx.evaluation.procedures.tuning import tuning_plan
from featx.evaluation.records.scores import ByClass, CrossValidation, Interval
from featx.heads import Head, scores_of
from featx.targets import SingleLabel


@dataclass(frozen=True)
class CrossValidated:
    """A cross-validation with its folds and out-of-fold scores.

    Parameters
    ----------
    summary : CrossValidation
    folds : Folds
        Folds of the first repeat.
    tested : ndarray of shape (n_tested,), int64
        Positions of the tested samples: all samples except the groups of untested classes; see :class:`Folds`.
    fold : ndarray of shape (n_tested,), int64
        Number of the test fold of each tested sample.
    scores : ndarray of shape (n_tested, n_classes), float64
        Out-of-fold scores of the first repeat. Each fold has its own head, so scores of different folds can have
        different scales.
    params : tuple of dict
        Hyper-parameters chosen in each fold of the first repeat.
    n_not_converged : int
        Number of outer fits that did not converge.
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
        """Out-of-fold predictions (class indices) of shape (n_tested,), from which the summary is computed."""
        return self.targets.predicted(self.scores)


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
    """Tune and fit a head on the training part of every fold, and score the test part.

    Parameters
    ----------
    head : Head
    data : TrainingSet
    n_folds : int
        Maximum number of folds; see :func:`make_outer_folds`. Above 200,000 samples, a single split is used.
    repeats : int
        Number of repeats with other random folds. The estimates are computed from the first repeat; further repeats
        stabilise the confidence intervals.
    seed : int
        Random seed of the folds and of tuning.
    n_workers : int
        Number of threads. The inner folds of all outer folds are independent jobs, and each job runs on one thread, so
        the result does not depend on this number.
    progress : callable
        Called with (folds done, total folds).
    tally : FitCounter, optional
        Counts the fits.

    Returns
    -------
    CrossValidated

    Raises
    ------
    TooFewGroups
        If a class has too few groups to be on both sides of a split.
    HeadError
        If the estimator rejects the data.
    """
    with quiet_single_threads():
        repeats = repeats if len(data.y) <= MOST_CROSS_VALIDATED else 1
        cuts = [
            make_outer_folds(data.y, data.groups, data.classes, n_folds, seed + repeat) for repeat in range(repeats)
        ]
        pairs = [pair for cut in cuts for pair in cut.pairs]
        plans = [partial(_fold_plan, head, data, train, test, seed, tally) for train, test in pairs]
        results = run_plans(plans, n_workers, progress)
    tests = [test for _, test in pairs]
    return _summary(data, cuts, tests, results)


@contextlib.contextmanager
def quiet_single_threads() -> Iterator[None]:
    """Run numerical libraries on one thread, and count convergence warnings instead of showing them."""
    with threadpool_limits(1), collected_warnings():
        # NearestCentroid warns about features that are always zero in a class, although it handles them.
        warnings.filterwarnings("ignore", "self.within_class_std_dev_ has at least 1 zero", UserWarning)
        # The first points of a learning curve may have fewer samples than landmarks; all samples become landmarks.
        warnings.filterwarnings("ignore", "n_components > n_samples", UserWarning)
        # A rare class may have fewer members than there are folds.
        warnings.filterwarnings("ignore", "The least populated class in y", UserWarning)
        yield


class _Scored(NamedTuple):
    """Scores of the test part of one fold."""

    scores: NDArray[np.float64]
    params: dict[str, Any]
    converged: bool


def _fold_plan(
    head: Head,
    data: TrainingSet,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    seed: int,
    tally: FitCounter | None,
) -> Plan[_Scored]:
    tuned = yield from tuning_plan(head, partial(data.part, train), seed, tally, "cross-validation")
    (scores,) = yield [lambda: scores_of(tuned.estimator, data.X[test], len(data.classes))]
    return _Scored(scores, tuned.params, tuned.converged)


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
    predicted = targets.predicted(scores[tested])
    hit = targets.hits(predicted, y)
    hits = [
        targets.hits(targets.predicted(result.scores), data.y[test])
        for test, result in zip(tests, results, strict=True)
    ]
    per_fold = [float(one.mean()) for one in hits]
    balanced = [_mean_recall(data.y[test], one) for test, one in zip(tests, hits, strict=True)]
    by_class = ByClass.of(targets, predicted, y)
    test_to_train = 1 / max(n_folds - 1, 1)
    summary = CrossValidation(
        splitter=cuts[0].splitter,
        n_folds=n_folds,
        repeats=len(cuts),
        accuracy=cross_validated_share(hit, groups, per_fold, test_to_train),
        balanced_accuracy=widened_over_folds(_pooled_recall(hit, y, groups), balanced, test_to_train),
        per_fold=tuple(per_fold),
        per_class=by_class.per_class,
        confusion=by_class.confusion,
        untested=cuts[0].untested,
    )
    params = tuple(result.params for result in results[:n_folds])
    n_failed = sum(not result.converged for result in results)
    return CrossValidated(summary, cuts[0], tested, fold[tested], scores[tested], params, n_failed, targets)


def _mean_recall(y: NDArray[np.int64], hit: NDArray[np.bool_]) -> float:
    return float(np.mean([hit[y == label].mean() for label in np.unique(y)]))


def _pooled_recall(hit: NDArray[np.bool_], y: NDArray[np.int64], groups: NDArray[np.int64]) -> Interval:
    return mean_of_shares([share_of(hit[y == label], groups[y == label]) for label in np.unique(y)])
