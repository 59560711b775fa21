"""Accuracy on labelled images that were not used to fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.procedures.intervals import share_of
from featx.evaluation.records.scores import ByClass, Outside
from featx.targets import SingleLabel


def measure_outside(
    targets: SingleLabel,
    y: NDArray[np.int64],
    predicted: NDArray[np.int64],
    seen: NDArray[np.bool_],
    near: NDArray[np.bool_],
    groups: NDArray[np.int64],
) -> Outside:
    """Compare predictions with labels; images used to fit, and near-copies, count only in the accuracy as given.

    Parameters
    ----------
    targets : SingleLabel
    y, predicted : ndarray of shape (n_samples,), int64
        Class numbers.
    seen : ndarray of shape (n_samples,), bool
        Whether the head was fitted on an image of this content.
    near : ndarray of shape (n_samples,), bool
        Whether it was fitted on a near-copy.
    groups : ndarray of shape (n_samples,), int64
        Images of one group count in the interval as what they are worth together.
    """
    hit, new = targets.hits(predicted, y), ~seen & ~near
    baseline = targets.baseline(y[new]) if new.any() else None
    by_class = ByClass.of(targets, predicted[new], y[new])
    return Outside(
        accuracy=share_of(hit[new], groups[new]) if new.any() else None,
        n=int(new.sum()),
        as_given=float(hit.mean()),
        n_as_given=len(hit),
        n_seen=int(seen.sum()),
        n_near=int((near & ~seen).sum()),
        baseline=None if baseline is None else baseline.accuracy,
        baseline_class="" if baseline is None else baseline.name,
        per_class=by_class.per_class,
        confusion=by_class.confusion,
    )
