"""Learning curve: accuracy as a function of the number of training images."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.errors import HeadError
from featx.evaluation.procedures.convergence import FitCounter
from featx.evaluation.procedures.cross_validation import CrossValidated, quiet_single_threads
from featx.evaluation.procedures.folds import Folds
from featx.evaluation.procedures.intervals import cross_validated_difference, cross_validated_share
from featx.evaluation.procedures.threads import in_threads
from featx.evaluation.procedures.training_set import TrainingSet
from featx.evaluation.procedures.tuning import fit_head
from featx.evaluation.records.findings import CurvePoint, LearningCurve, MissingPoint, Outlook
from featx.evaluation.records.scores import Interval
from featx.heads import Head, scores_of

_SHARES = (0.125, 0.25, 0.5)
_FEWEST_A_CLASS = 2
_WORTHWHILE = 0.01

_NEXT = 0.7
_LEAST_NEXT, _MOST_NEXT = 0.5, 1.0
"""Gain of the next doubling of the images divided by the gain of the last doubling: expected, at least and at most. It
is 1/2 if the error approaches its limit as 1/n, 1 if the accuracy increases with the logarithm of n, and in between for
a power law (docs/decisions/intervals.md)."""

_MOST_DOUBLINGS = 10
"""Largest number of doublings for which ``to_halve`` is reported: about a thousand times as many images."""


class _Point(NamedTuple):
    """Result of training on a share of one training part: the correct test samples, or the reason for no result."""

    n: int
    hit: NDArray[np.bool_] | None
    reason: str = ""


def learning_curve(
    head: Head,
    data: TrainingSet,
    crossed: CrossValidated,
    seed: int,
    n_workers: int = 1,
    tally: FitCounter | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LearningCurve:
    """Fit a head on growing shares of every training part, and score the same test folds.

    Each fold keeps the hyper-parameters that the cross-validation chose, and the last point is the accuracy of the
    cross-validation. Each share consists of whole groups, with about the same share of each class. The gain from twice
    as many images is expected to be 0.7 of the difference between the last point and the point with half of the images.
    Its interval accounts for the uncertainty of this difference and of the factor, from 0.5 to 1. The interval of the
    accuracy with twice as many images also accounts for the uncertainty of the present accuracy.

    Parameters
    ----------
    head : Head
    data : TrainingSet
    crossed : CrossValidated
        Cross-validation of the same head on the same samples.
    seed : int
        Random seed of the shares.
    n_workers : int
        Number of threads.
    tally : FitCounter, optional
        Counts the fits.
    progress : callable
        Called with (fits done, total fits).

    Returns
    -------
    LearningCurve
    """
    targets, folds, tested = data.targets, crossed.folds, crossed.tested

    def score(share: float, params: dict[str, Any], train: NDArray[np.int64], test: NDArray[np.int64]) -> _Point:
        part = train[_part(data.y[train], data.groups[train], share, seed)]
        present = np.bincount(data.y[part], minlength=targets.n_classes)[data.y[tested]]
        if present.min() < _FEWEST_A_CLASS:
            return _Point(len(part), None, f"a class has fewer than {_FEWEST_A_CLASS} training images")
        try:
            estimator = fit_head(head, params, *data.rows(part), tally, "learning curve")
            predicted = targets.predicted(scores_of(estimator, data.X[test], targets.n_classes))
        except (HeadError, ValueError) as error:  # for example more neighbours than samples
            return _Point(len(part), None, str(error))
        return _Point(len(part), targets.hits(predicted, data.y[test]))

    own = list(zip(crossed.params, folds.pairs, strict=True))
    jobs = [(share, params, *pair) for share in _SHARES for params, pair in own]
    with quiet_single_threads():
        # The largest share first: with many threads, the longest fits must not be the last to start.
        scored = in_threads([partial(score, *job) for job in reversed(jobs)], n_workers, progress)[::-1]
    whole = np.zeros(len(data.y), np.bool_)
    whole[tested] = targets.hits(crossed.predicted, data.y[tested])
    points: dict[float, _CurveHits] = {}
    left_out: list[MissingPoint] = []
    n_folds = len(folds.pairs)
    for number, share in enumerate(_SHARES):
        some = scored[number * n_folds : (number + 1) * n_folds]
        n = round(float(np.mean([point.n for point in some])))
        reasons = [point.reason for point in some if point.hit is None]
        if reasons:
            left_out.append(MissingPoint(n, reasons[0]))
            continue
        hit = np.zeros(len(data.y), np.bool_)
        for fold, point in zip(folds.pairs, some, strict=True):
            hit[fold.test] = point.hit
        points[share] = _CurveHits(n, hit, folds)
    last = _CurveHits(round(float(np.mean([len(train) for train, _ in folds.pairs]))), whole, folds)
    curve = [CurvePoint(point.n, point.accuracy(data.groups)) for point in points.values()]
    # With repeats, the interval of the accuracy uses the folds of all repeats.
    curve.append(CurvePoint(last.n, crossed.summary.accuracy))
    return LearningCurve(tuple(curve), _outlook(points.get(0.5), last, crossed, data.groups), tuple(left_out))


class _CurveHits(NamedTuple):
    """Correct out-of-fold predictions of heads that are trained on ``n`` samples."""

    n: int
    hit: NDArray[np.bool_]
    folds: Folds

    @property
    def per_fold(self) -> list[float]:
        return [float(self.hit[fold.test].mean()) for fold in self.folds.pairs]

    @property
    def test_to_train(self) -> float:
        return len(self.folds.tested) / len(self.folds.pairs) / self.n

    def accuracy(self, groups: NDArray[np.int64]) -> Interval:
        tested = self.folds.tested
        return cross_validated_share(self.hit[tested], groups[tested], self.per_fold, self.test_to_train)

    def gain(self, other: _CurveHits, groups: NDArray[np.int64]) -> Interval:
        """Return the accuracy minus the accuracy of the point ``other``."""
        tested = self.folds.tested
        return cross_validated_difference(
            self.hit[tested], other.hit[tested], groups[tested], self.per_fold, other.per_fold, self.test_to_train
        )


def _part(y: NDArray[np.int64], groups: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    """Return the positions of randomly chosen whole groups that contain about the given share of each class."""
    order = np.random.default_rng(seed).permutation(int(groups.max()) + 1)[groups]
    chosen = np.zeros(len(y), np.bool_)
    for label in np.unique(y):
        members = y == label
        wanted = min(max(_FEWEST_A_CLASS, round(share * int(members.sum()))), int(members.sum()))
        chosen |= members & (order <= np.sort(order[members])[wanted - 1])
    return np.flatnonzero(np.isin(groups, groups[chosen]))


def _outlook(
    half: _CurveHits | None, last: _CurveHits, crossed: CrossValidated, groups: NDArray[np.int64]
) -> Outlook | None:
    """Extrapolate the learning curve to twice as many images; None without a point of half as many images."""
    if half is None or half.n == last.n:  # with few large groups, several shares have the same size
        return None
    now, doubled = crossed.summary.accuracy, last.gain(half, groups)
    gain = Interval(
        max(_NEXT * doubled.mean, 0.0),  # a negative gain is due to chance
        min(_LEAST_NEXT * doubled.low, _MOST_NEXT * doubled.low),
        max(_LEAST_NEXT * doubled.high, _MOST_NEXT * doubled.high, 0.0),
    )
    expected = min(now.mean + gain.mean, 1.0)
    return Outlook(
        n=len(groups),
        now=now.mean,
        at_twice=Interval(
            expected,
            max(expected - math.hypot(now.mean - now.low, gain.mean - gain.low), 0.0),
            min(expected + math.hypot(now.high - now.mean, gain.high - gain.mean), 1.0),
        ),
        gain=gain,
        to_halve=_to_halve(len(groups), 1 - now.mean, gain.mean),
        answer="yes" if gain.low > 0 and gain.mean >= _WORTHWHILE else "no" if gain.high < _WORTHWHILE else "unclear",
    )


def _to_halve(n: int, error: float, gain: float) -> int | None:
    """Return the number of additional images that halves the error, if each doubling gains 0.7 of the one before."""
    # After k doublings the gain is gain (1 - 0.7^k) / (1 - 0.7).
    missing = 1 - (1 - _NEXT) * error / 2 / gain if gain > 0 else 0.0
    if missing <= _NEXT**_MOST_DOUBLINGS:
        return None
    return round(n * 2 ** (math.log(missing) / math.log(_NEXT))) - n
