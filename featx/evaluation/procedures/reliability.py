"""Whether probabilities come true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.records.findings import Reliability, ReliabilityBin
from featx.targets import SingleLabel

_BINS = 10


def measure_reliability(targets: SingleLabel, probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> Reliability:
    """Compare probabilities of images that the head had not seen with what was true.

    Parameters
    ----------
    targets : SingleLabel
    probabilities : ndarray of shape (n_samples, n_classes), float64
        Calibrated, out of fold.
    y : ndarray of shape (n_samples,), int64
        Class numbers.

    Returns
    -------
    Reliability
        Ten bins of equal numbers of images, by confidence.
    """
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(y)), y] = 1
    brier = float(np.square(probabilities - truth).sum(axis=1).mean())
    answers = targets.answers(probabilities)
    confidence, hit = targets.confidence(probabilities, answers), targets.hits(answers, y)
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    bins = tuple(ReliabilityBin(float(confidence[part].mean()), float(hit[part].mean()), len(part)) for part in parts)
    return Reliability(brier, sum(abs(one.confidence - one.accuracy) * one.n for one in bins) / len(y), bins)
