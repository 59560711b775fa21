"""Accuracy on labelled images of another data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.procedures.intervals import mean_of_shares, share_of
from featx.evaluation.records.new_images import NewImagesAccuracy
from featx.evaluation.records.scores import ByClass, Interval
from featx.targets import SingleLabel


def measure_new_images(
    targets: SingleLabel,
    y: NDArray[np.int64],
    predicted: NDArray[np.int64],
    seen: NDArray[np.bool_],
    near: NDArray[np.bool_],
    groups: NDArray[np.int64],
) -> NewImagesAccuracy:
    """Return the accuracy of predictions; training images and their near-duplicates count only in ``as_given``.

    Parameters
    ----------
    targets : SingleLabel
    y, predicted : ndarray of shape (n_samples,), int64
        True and predicted class index of each sample.
    seen : ndarray of shape (n_samples,), bool
        Whether an image has the same bytes as a training image.
    near : ndarray of shape (n_samples,), bool
        Whether an image is a near-duplicate of a training image.
    groups : ndarray of shape (n_samples,), int64
        Group number of each sample. The confidence interval accounts for the correlation within groups.
    """
    hit, new = targets.hits(predicted, y), ~seen & ~near
    baseline = targets.baseline(y[new]) if new.any() else None
    by_class = ByClass.of(targets, predicted[new], y[new])
    return NewImagesAccuracy(
        accuracy=share_of(hit[new], groups[new]) if new.any() else None,
        balanced_accuracy=_mean_recall(hit[new], y[new], groups[new]) if new.any() else None,
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


def _mean_recall(hit: NDArray[np.bool_], y: NDArray[np.int64], groups: NDArray[np.int64]) -> Interval:
    return mean_of_shares([share_of(hit[y == label], groups[y == label]) for label in np.unique(y)])
