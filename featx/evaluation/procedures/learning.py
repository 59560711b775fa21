"""Learning curve: accuracy as a function of the number of training images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.errors import HeadError
from featx.evaluation.procedures.convergence import FitCounter
from featx.evaluation.procedures.cross_validation import CrossValidated, quiet_single_threads
from featx.evaluation.procedures.folds import Folds
from featx.evaluation.procedures.intervals import cross_validated_share
from featx.evaluation.procedures.threads import in_threads
from featx.evaluation.procedures.training_set import TrainingSet
from featx.evaluation.procedures.tuning import fit_head
from featx.evaluation.records.findings import CurvePoint, LearningCurve, MissingPoint, Outlook
from featx.evaluation.records.scores import Interval
from featx.heads import Head, scores_of

_SHARES = (0.1, 0.2, 0.4, 0.7)
_FEWEST_A_CLASS = 2
_POINTS_OF_TREND = 3
_RESAMPLES = 400
_WORTHWHILE = 0.01
_FLATTEST = -0.1
"""Flattest slope for which ``to_halve`` is reported: at a flatter slope, more than a thousand times as many images
would be needed for half as many errors."""


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

    Each fold keeps the hyper-parameters that the cross-validation chose, and the last point is the result of the
    cross-validation. Each share consists of whole groups, with about the same share of each class. The expected
    accuracy with twice as many images is extrapolated from the last three points, with the error as a power law of the
    number of images (Hestness et al. 2017). Its confidence interval is a bootstrap over the groups of the test folds.

    Parameters
    ----------
    head : Head
    data : TrainingSet
    crossed : CrossValidated
        Cross-validation of the same head on the same samples.
    seed : int
        Random seed of the shares and of the bootstrap.
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
    scored += [_Point(len(train), whole[test]) for train, test in folds.pairs]
    return _curve(scored, data, folds, crossed.summary.accuracy, seed)


def _curve(scored: list[_Point], data: TrainingSet, folds: Folds, last: Interval, seed: int) -> LearningCurve:
    tested, n_folds = folds.tested, len(folds.pairs)
    points: list[CurvePoint] = []
    hits: list[NDArray[np.bool_]] = []
    left_out: list[MissingPoint] = []
    for start in range(0, len(scored), n_folds):
        some = scored[start : start + n_folds]
        n = round(float(np.mean([point.n for point in some])))
        reasons = [point.reason for point in some if point.hit is None]
        if reasons:
            left_out.append(MissingPoint(n, reasons[0]))
            continue
        hit = np.zeros(len(data.y), np.bool_)
        for fold, point in zip(folds.pairs, some, strict=True):
            hit[fold.test] = point.hit
        hits.append(hit[tested])
        per_fold = [float(hit[fold.test].mean()) for fold in folds.pairs]
        accuracy = cross_validated_share(hit[tested], data.groups[tested], per_fold, len(tested) / n_folds / n)
        points.append(CurvePoint(n, accuracy))
    points[-1] = points[-1]._replace(accuracy=last)  # with repeats, its interval uses the folds of all repeats
    outlook = _outlook([point.n for point in points], hits, data.groups[tested], len(data.y), seed)
    return LearningCurve(tuple(points), outlook, tuple(left_out))


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
    sizes: list[int], hits: list[NDArray[np.bool_]], groups: NDArray[np.int64], n: int, seed: int
) -> Outlook | None:
    """Extrapolate the learning curve to more images than ``n``; None without a trend."""
    last = slice(-_POINTS_OF_TREND, None)
    if len(set(sizes[last])) < _POINTS_OF_TREND:  # with few large groups, several shares have the same size
        return None
    members = np.unique(groups, return_inverse=True)[1]
    sums = np.stack([np.bincount(members, ~hit) for hit in hits[last]], axis=1)
    counts = np.bincount(members)
    n_groups = len(counts)
    weights = np.random.default_rng(seed).multinomial(n_groups, np.full(n_groups, 1 / n_groups), _RESAMPLES)
    weights = np.concatenate([np.ones((1, n_groups)), weights])  # the first row is the original sample
    errors = np.maximum(weights @ sums / (weights @ counts)[:, None], 0.5 / n)
    slopes, offsets = np.polyfit(np.log(sizes[last]), np.log(errors).T, 1)
    # A negative gain is set to 0 below: an upward trend of the error is due to chance.
    gains = np.exp(offsets + slopes * np.log(n)) - np.exp(offsets + slopes * np.log(2 * n))
    now = float(hits[-1].mean())
    low, high = np.quantile(gains[1:], [0.025, 0.975])
    slope, gain = float(slopes[0]), max(float(gains[0]), 0.0)
    return Outlook(
        n=n,
        now=now,
        at_twice=Interval(*(float(np.clip(now + g, 0, 1)) for g in (gain, max(min(low, gain), 0.0), max(high, gain)))),
        to_halve=round(n * 2 ** (-1 / slope)) - n if slope < _FLATTEST else None,
        answer="yes" if low > 0 and gain >= _WORTHWHILE else "no" if high < _WORTHWHILE else "unclear",
    )
