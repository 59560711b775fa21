"""Accuracy on labelled pictures that were not used to fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.procedures.cross_validation import count_confusions, score_classes
from featx.evaluation.procedures.intervals import share_of
from featx.evaluation.records import Outside


def measure_outside(
    y: NDArray[np.int64],
    predicted: NDArray[np.int64],
    seen: NDArray[np.bool_],
    near: NDArray[np.bool_],
    groups: NDArray[np.int64],
    classes: tuple[str, ...],
) -> Outside:
    """Compare predictions with labels; pictures used to fit, and near-copies, count only in the accuracy as given.

    Parameters
    ----------
    y, predicted : ndarray of shape (n_samples,), int64
        Class numbers.
    seen : ndarray of shape (n_samples,), bool
        Whether the head was fitted on a picture of this content.
    near : ndarray of shape (n_samples,), bool
        Whether it was fitted on a near-copy.
    groups : ndarray of shape (n_samples,), int64
        Pictures of one group count in the interval as what they are worth together.
    classes : tuple of str
    """
    hit, new = predicted == y, ~seen & ~near
    counts = np.bincount(y[new], minlength=len(classes))
    return Outside(
        accuracy=share_of(hit[new], groups[new]) if new.any() else None,
        n=int(new.sum()),
        as_given=float(hit.mean()),
        n_as_given=len(hit),
        n_seen=int(seen.sum()),
        n_near=int((near & ~seen).sum()),
        baseline=float(counts.max() / counts.sum()) if new.any() else None,
        baseline_class=classes[int(counts.argmax())] if new.any() else "",
        per_class=score_classes(y[new], predicted[new], classes),
        confusion=count_confusions(y[new], predicted[new], len(classes)) if new.any() else (),
    )
