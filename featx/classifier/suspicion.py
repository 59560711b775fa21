"""Which labels the out-of-fold probabilities doubt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rank_suspects(probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of images whose label is doubtful, the most suspicious first.

    A label is doubtful where another class is more probable; the order is that of the probability of the given label
    less that of the best other class (the normalized margin of Northcutt et al. 2021).

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Calibrated, out of fold.
    y : ndarray of shape (n_samples,), int64
        Given class numbers.
    """
    margins = suspicion_margins(probabilities, y)
    order = np.argsort(margins, kind="stable")
    return order[margins[order] < 0]


def suspicion_margins(probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of each given label less that of the best other class, shape (n_samples,)."""
    rows = np.arange(len(y))
    others = probabilities.copy()
    others[rows, y] = -1
    return np.asarray(probabilities[rows, y] - others.max(axis=1))
