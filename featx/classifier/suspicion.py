"""Find images with doubtful labels from out-of-fold probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rank_suspects(probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of images with doubtful labels, the most doubtful first.

    A label is doubtful if another class is more probable. The images are sorted by the probability of the given
    label minus the largest probability of another class (normalized margin, Northcutt et al. 2021).

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Calibrated out-of-fold probabilities.
    y : ndarray of shape (n_samples,), int64
        Class index of each given label.

    Returns
    -------
    ndarray of shape (n_doubtful,), int64
    """
    margins = suspicion_margins(probabilities, y)
    order = np.argsort(margins, kind="stable")
    return order[margins[order] < 0]


def suspicion_margins(probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability of each given label minus the largest probability of another class, shape (n_samples,)."""
    rows = np.arange(len(y))
    others = probabilities.copy()
    others[rows, y] = -1
    return np.asarray(probabilities[rows, y] - others.max(axis=1))
