"""Two classifiers on the same pictures: the difference of their accuracies with its interval."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from featx.evaluation import Interval

_PSEUDO = ((1.0, 0.5), (-1.0, 0.5), (0.0, 1.0))
"""Difference and weight of what is added to the groups, so that few or equal ones do not claim certainty."""


def paired_on_pictures(hits: NDArray[np.bool_], others: NDArray[np.bool_], groups: NDArray[np.int64]) -> Interval:
    """Return the mean of ``hits - others`` over pictures with its 95 % interval.

    Parameters
    ----------
    hits, others : ndarray of shape (n,), bool
        Whether each classifier was right on a picture.
    groups : ndarray of shape (n,), int64
        Pictures of one group stand or fall together.

    Notes
    -----
    Agresti and Min (2005) for pictures that are groups of their own: half a pair is added to each of the four cells.
    Groups of several enter as sums (a ratio estimator of a cluster sample).
    """
    differences = hits.astype(np.float64) - others
    _, number = np.unique(groups, return_inverse=True)
    sizes = np.bincount(number).astype(np.float64)
    sums = np.bincount(number, differences)
    total = sizes.sum() + sum(weight for _, weight in _PSEUDO)
    centre = (sums.sum() + sum(weight * value for value, weight in _PSEUDO)) / total
    squares = ((sums - centre * sizes) ** 2).sum()
    squares += sum(weight * (value - centre) ** 2 for value, weight in _PSEUDO)
    n_groups = len(sizes)
    # The factor of few groups; the t of their number, which for single pictures is the normal one.
    spread = math.sqrt(squares * n_groups / max(n_groups - 1, 1)) / total
    half = float(stats.t.ppf(0.975, max(n_groups - 1, 1))) * spread
    mean = float(differences.mean())
    return Interval(mean, max(-1.0, min(centre - half, mean)), min(1.0, max(centre + half, mean)))
