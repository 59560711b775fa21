"""Measure the reliability of calibrated probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.records.findings import Reliability, ReliabilityBin
from featx.targets import SingleLabel

_BINS = 10


def measure_reliability(targets: SingleLabel, probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> Reliability:
    """Compare out-of-fold probabilities with the true classes.

    Parameters
    ----------
    targets : SingleLabel
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Calibrated out-of-fold probabilities.
    y : ndarray of shape (n_samples,), int64
        Index of the class of each sample.

    Returns
    -------
    Reliability
        Reliability with at most ten bins of about equal numbers of images, in ascending order of confidence.
    """
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(y)), y] = 1
    brier = float(np.square(probabilities - truth).sum(axis=1).mean())
    predicted = targets.predicted(probabilities)
    confidence, hit = targets.confidence(probabilities, predicted), targets.hits(predicted, y)
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    bins = tuple(ReliabilityBin(float(confidence[part].mean()), float(hit[part].mean()), len(part)) for part in parts)
    return Reliability(brier, sum(abs(one.confidence - one.accuracy) * one.n for one in bins) / len(y), bins)
