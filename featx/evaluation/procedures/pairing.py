"""Difference between the accuracies of two heads on the same folds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.procedures.cross_validation import CrossValidated
from featx.evaluation.procedures.intervals import cross_validated_difference
from featx.evaluation.records.scores import Interval


def paired_difference(
    one: CrossValidated, other: CrossValidated, y: NDArray[np.int64], groups: NDArray[np.int64], n_intervals: int = 1
) -> Interval:
    """Return the difference of two accuracies, with a confidence interval from paired predictions.

    Parameters
    ----------
    one, other : CrossValidated
        Cross-validations on the same samples and folds; the difference is ``one`` minus ``other``.
    y, groups : ndarray of shape (n_samples,), int64
        Class index and group number of each sample.
    n_intervals : int
        Number of differences whose intervals hold together with 95 %.
    """
    tested = one.tested
    y, groups = y[tested], groups[tested]
    return cross_validated_difference(
        one.targets.hits(one.predicted, y),
        one.targets.hits(other.predicted, y),
        groups,
        one.summary.per_fold,
        other.summary.per_fold,
        1 / max(one.summary.n_folds - 1, 1),
        n_intervals,
    )
