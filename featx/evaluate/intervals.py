"""95 % intervals of accuracies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from featx.evaluation import Interval

_Z = 1.959963984540054


def wilson(share: float, n: float) -> Interval:
    """Return Wilson's score interval of a share of ``n`` independent trials (Wilson 1927)."""
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def effective_number(groups: NDArray[np.int64]) -> float:
    """Return how many independent trials samples of some groups are worth: (sum m)^2 / sum m^2 (Kish 1965).

    Samples of one group stand or fall together. The number is that of the groups where all have one size m, and less
    where a few hold most samples: of 3,097 samples in 3 groups of 1,000 and 97 of one, it is 3.2 and not 100.

    Parameters
    ----------
    groups : ndarray of shape (n_samples,), int64
        Group numbers, from 0; not empty.
    """
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / np.square(sizes).sum())


def mean_of_shares(shares: Sequence[float], ns: Sequence[float]) -> Interval:
    """Return the interval of the mean of independent shares, from their Wilson intervals (Zou and Donner 2008)."""
    parts = [wilson(share, n) for share, n in zip(shares, ns, strict=True)]
    mean = float(np.mean([part.mean for part in parts]))
    down = math.sqrt(sum((part.mean - part.low) ** 2 for part in parts)) / len(parts)
    up = math.sqrt(sum((part.high - part.mean) ** 2 for part in parts)) / len(parts)
    return Interval(mean, max(0.0, mean - down), min(1.0, mean + up))


def corrected_resampled(scores: Sequence[float], test_to_train: float) -> Interval:
    """Return the interval of a mean over folds whose training parts overlap (Nadeau and Bengio 2003).

    Parameters
    ----------
    scores : sequence of float
        One for each fold and repeat.
    test_to_train : float
        Size of a test part over that of its training part.
    """
    mean, half = _mean_and_half(scores, test_to_train)
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def difference_over_folds(scores: Sequence[float], others: Sequence[float], test_to_train: float) -> Interval:
    """Return the interval of the mean of ``scores - others`` over the same folds; see :func:`corrected_resampled`."""
    mean, half = _mean_and_half(np.subtract(scores, others), test_to_train)
    return Interval(mean, mean - half, mean + half)


def difference_of_shares(hits: NDArray[np.bool_], others: NDArray[np.bool_], groups: NDArray[np.int64]) -> Interval:
    """Return the interval of the difference of two shares of the same samples (Agresti and Min 2005).

    Half a sample is added to each of the four cells of their table, so that two that never differ are no certainty.

    Parameters
    ----------
    hits, others : ndarray of shape (n_samples,), bool
    groups : ndarray of shape (n_samples,), int64
    """
    n = effective_number(groups)
    better = (float((hits & ~others).mean()) * n + 0.5) / (n + 2)
    worse = (float((others & ~hits).mean()) * n + 0.5) / (n + 2)
    half = _Z * math.sqrt((better + worse - (better - worse) ** 2) / (n + 2))
    return Interval(float(hits.mean() - others.mean()), better - worse - half, better - worse + half)


def _mean_and_half(scores: Sequence[float] | NDArray[np.float64], test_to_train: float) -> tuple[float, float]:
    n = len(scores)
    spread = math.sqrt((1 / n + test_to_train) * float(np.var(scores, ddof=1)))
    return float(np.mean(scores)), float(stats.t.ppf(0.975, n - 1)) * spread


def steadied(resampled: Interval, pooled: Interval) -> Interval:
    """Return a corrected resampled interval drawn halfway to that of the pooled pictures, but never within it.

    Folds that agree by chance make the first one of no width, folds that differ by chance one of twice the width; the
    second knows nothing of how much the heads of the folds differ (docs/decisions/intervals.md).
    """
    mean = resampled.mean
    low, high = min(pooled.low, mean), max(pooled.high, mean)
    return Interval(mean, min((resampled.low + low) / 2, low), max((resampled.high + high) / 2, high))
