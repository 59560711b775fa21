"""95 % confidence intervals of accuracies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from featx.evaluation.records.scores import Interval

_Z = 1.959963984540054

_GROUPS_ALIKE = 2
"""Number of perfectly correlated groups that are added to the observed groups (docs/decisions/intervals.md)."""

_WAY = 0.25
"""Share of the distance by which the interval of pooled samples is extended to a wider interval over the folds."""


def wilson(share: float, n: float) -> Interval:
    """Return Wilson's score interval of a share of ``n`` independent trials (Wilson 1927)."""
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def share_of(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> Interval:
    """Return the share of hits, with Wilson's interval for the effective number of samples.

    Parameters
    ----------
    hits : ndarray of shape (n_samples,), bool
        Whether each prediction is correct.
    groups : ndarray of shape (n_samples,), int64
        Group number of each sample; see :func:`effective_number`.
    """
    return wilson(float(hits.mean()), effective_number(hits, groups))


def cross_validated_share(
    hits: NDArray[np.bool_], groups: NDArray[np.int64], per_fold: Sequence[float], test_to_train: float
) -> Interval:
    """Return an accuracy by cross-validation: the share of correct out-of-fold predictions, with its interval.

    This is the definition of every accuracy by cross-validation (docs/decisions/intervals.md).

    Parameters
    ----------
    hits : ndarray of shape (n_samples,), bool
        Whether each out-of-fold prediction is correct.
    groups : ndarray of shape (n_samples,), int64
        Group number of each sample.
    per_fold : sequence of float
        Accuracy of each fold and repeat; a single value if there is one test part.
    test_to_train : float
        Number of test samples divided by the number of training samples.
    """
    return widened_over_folds(share_of(hits, groups), per_fold, test_to_train)


def widened_over_folds(pooled: Interval, per_fold: Sequence[float], test_to_train: float) -> Interval:
    """Return an interval that accounts for the samples and for the spread over folds; see :func:`widen_interval`.

    Parameters
    ----------
    pooled : Interval
        Estimate from all out-of-fold predictions.
    per_fold : sequence of float
        Estimate of each fold and repeat; with a single value, the interval stays as it is.
    test_to_train : float
        Number of test samples divided by the number of training samples.
    """
    return pooled if len(per_fold) == 1 else widen_interval(corrected_resampled(per_fold, test_to_train), pooled)


def cross_validated_difference(
    hits: NDArray[np.bool_],
    others: NDArray[np.bool_],
    groups: NDArray[np.int64],
    per_fold: Sequence[float],
    other_per_fold: Sequence[float],
    test_to_train: float,
    n_intervals: int = 1,
) -> Interval:
    """Return the difference of two accuracies by cross-validation on the same folds, with its interval.

    Parameters
    ----------
    hits, others : ndarray of shape (n_samples,), bool
        Whether each out-of-fold prediction of the first head, and of the second head, is correct.
    groups : ndarray of shape (n_samples,), int64
        Group number of each sample.
    per_fold, other_per_fold : sequence of float
        Accuracies of each fold and repeat; a single value if there is one test part.
    test_to_train : float
        Number of test samples divided by the number of training samples.
    n_intervals : int
        Number of intervals that together are right with 95 %; see :func:`difference_of_shares`.
    """
    pooled = difference_of_shares(hits, others, groups, n_intervals)
    if len(per_fold) == 1:
        return pooled
    return widen_interval(difference_over_folds(per_fold, other_per_fold, test_to_train, n_intervals), pooled)


def effective_number(outcomes: NDArray[np.bool_] | NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Return the effective number of samples in groups: n^2 / (n + r sum m (m - 1)) (Kish 1965).

    The sum is over groups of m samples. r is the estimated correlation of outcomes within groups, from 0 to 1. Only
    groups that contain another outcome than the most frequent one are informative. The first informative group does not
    count, and two perfectly correlated groups are added. Without informative groups r is 1: groups of equal size
    count as one sample each, and a few large groups make the number small. For example, 3,097 samples in 3 groups of
    1,000 and 97 groups of one count as 3.2.

    Parameters
    ----------
    outcomes : ndarray of shape (n_samples,), bool or float64
        Hits, or differences of hits.
    groups : ndarray of shape (n_samples,), int64
        Group number of each sample; not empty.

    Returns
    -------
    float
        Effective number of independent samples.
    """
    members = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(members).astype(np.float64)
    n, pairs = len(groups), sizes * (sizes - 1)
    values, counts = np.unique(outcomes, return_counts=True)
    unusual = outcomes != values[counts.argmax()]
    telling = pairs[(np.bincount(members, unusual) > 0) & (pairs > 0)]
    alike = 1.0
    if len(telling):
        deviations = outcomes - outcomes.mean(dtype=np.float64)
        squares = np.square(deviations)
        products = np.bincount(members, deviations) ** 2 - np.bincount(members, squares)
        seen = float(np.clip(products.sum() / (squares.mean() * pairs.sum()), 0, 1))
        n_telling = float(telling.sum() ** 2 / np.square(telling).sum()) - 1
        alike = (n_telling * seen + _GROUPS_ALIKE) / (n_telling + _GROUPS_ALIKE)
    return float(n**2 / (n + alike * pairs.sum()))


def mean_of_shares(parts: Sequence[Interval]) -> Interval:
    """Return the mean of independent shares, with an interval from their intervals (Zou and Donner 2008)."""
    mean = float(np.mean([part.mean for part in parts]))
    down = math.sqrt(sum((part.mean - part.low) ** 2 for part in parts)) / len(parts)
    up = math.sqrt(sum((part.high - part.mean) ** 2 for part in parts)) / len(parts)
    return Interval(mean, max(0.0, mean - down), min(1.0, mean + up))


def corrected_resampled(scores: Sequence[float], test_to_train: float) -> Interval:
    """Return the mean over folds with overlapping training parts, and its interval (Nadeau and Bengio 2003).

    Parameters
    ----------
    scores : sequence of float
        One score per fold and repeat.
    test_to_train : float
        Number of test samples divided by the number of training samples.
    """
    mean, half = _mean_and_half(scores, test_to_train)
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def difference_over_folds(
    scores: Sequence[float], others: Sequence[float], test_to_train: float, n_intervals: int = 1
) -> Interval:
    """Return the mean of ``scores - others`` over the same folds, and its interval; see :func:`corrected_resampled`."""
    mean, half = _mean_and_half(np.subtract(scores, others), test_to_train, n_intervals)
    return Interval(mean, mean - half, mean + half)


def difference_of_shares(
    hits: NDArray[np.bool_], others: NDArray[np.bool_], groups: NDArray[np.int64], n_intervals: int = 1
) -> Interval:
    """Return the difference of two shares of the same samples, and its interval (Agresti and Min 2005).

    Half a sample is added to each of the four cells of the contingency table, so that the width of the interval is not
    zero if all predictions agree.

    Parameters
    ----------
    hits, others : ndarray of shape (n_samples,), bool
        Whether each prediction of the first head, and of the second head, is correct.
    groups : ndarray of shape (n_samples,), int64
        Group number of each sample.
    n_intervals : int
        Number of intervals, of which this is one, that all contain their true values with a probability of 95 % (the
        correction of Bonferroni).
    """
    n = effective_number(hits.astype(np.float64) - others, groups)
    better = (float((hits & ~others).mean()) * n + 0.5) / (n + 2)
    worse = (float((others & ~hits).mean()) * n + 0.5) / (n + 2)
    half = float(stats.norm.ppf(_upper(n_intervals))) * math.sqrt((better + worse - (better - worse) ** 2) / (n + 2))
    return Interval(float(hits.mean() - others.mean()), better - worse - half, better - worse + half)


def _upper(n_intervals: int) -> float:
    """Return the probability below the upper limit of each of several intervals that hold together with 95 %."""
    return 1 - 0.025 / n_intervals


def _mean_and_half(
    scores: Sequence[float] | NDArray[np.float64], test_to_train: float, n_intervals: int = 1
) -> tuple[float, float]:
    n = len(scores)
    spread = math.sqrt((1 / n + test_to_train) * float(np.var(scores, ddof=1)))
    return float(np.mean(scores)), float(stats.t.ppf(_upper(n_intervals), n - 1)) * spread


def widen_interval(resampled: Interval, pooled: Interval) -> Interval:
    """Return the pooled estimate, with its interval extended a quarter of the way to a wider interval over the folds.

    The interval over the folds is unstable: it has no width if the folds agree by chance, and twice the width if they
    differ by chance. The pooled interval ignores how much the heads of the folds differ (docs/decisions/intervals.md).

    Parameters
    ----------
    resampled : Interval
        Estimate and interval over the folds.
    pooled : Interval
        Estimate and interval of the pooled samples.
    """
    mean = pooled.mean
    low, high = min(pooled.low, mean), max(pooled.high, mean)
    return Interval(
        mean, min(low + _WAY * (resampled.low - low), low), max(high + _WAY * (resampled.high - high), high)
    )
