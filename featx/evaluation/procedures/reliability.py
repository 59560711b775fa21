"""Whether probabilities come true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.records import Reliability

_BINS = 10


def measure_reliability(probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> Reliability:
    """Compare probabilities of pictures that the head had not seen with what was true.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Calibrated, out of fold.
    y : ndarray of shape (n_samples,), int64
        Class numbers.

    Returns
    -------
    Reliability
        Ten bins of equal numbers of pictures, by confidence.
    """
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(y)), y] = 1
    brier = float(np.square(probabilities - truth).sum(axis=1).mean())
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    bins = tuple((float(confidence[part].mean()), float(hit[part].mean()), len(part)) for part in parts)
    return Reliability(brier, sum(abs(c - a) * n for c, a, n in bins) / len(y), bins)
