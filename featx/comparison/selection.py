"""Estimate how much the accuracy of the best combination is too high because it was selected on the same images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 500


def selection_bias(hits: Sequence[NDArray[np.bool_]], groups: NDArray[np.int64], seed: int) -> float:
    """Return the estimated bias of the best accuracy by bootstrap bias-corrected selection (Tsamardinos et al. 2018).

    Groups of images are drawn with replacement many times. Each time, the combination that is best on the drawn groups
    is measured on the groups that were not drawn. The bias is the best accuracy on all images minus the mean of these
    accuracies.

    Parameters
    ----------
    hits : sequence of ndarray of shape (n_samples,), bool
        Whether each prediction is correct, for each combination.
    groups : ndarray of shape (n_samples,), int64
        Group number of each sample.
    seed : int
        Random seed of the bootstrap.

    Returns
    -------
    float
        At least 0; 0 for a single combination and for a single group.
    """
    members = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(members).astype(np.float64)
    n_groups = len(sizes)
    if len(hits) < 2 or n_groups < 2:
        return 0.0
    sums = np.stack([np.bincount(members, hit) for hit in hits], axis=1)
    rng, even = np.random.default_rng(seed), np.full(n_groups, 1 / n_groups)
    measured: list[float] = []
    for _ in range(_RESAMPLES):
        drawn = rng.multinomial(n_groups, even)
        rest = drawn == 0
        if rest.any():
            best = int(np.argmax(drawn @ sums))
            measured.append(float(sums[rest, best].sum() / sizes[rest].sum()))
    return max(float(sums.sum(axis=0).max() / sizes.sum()) - float(np.mean(measured)), 0.0)
