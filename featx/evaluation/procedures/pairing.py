"""The difference of two heads on the same folds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.procedures.cross_validation import CrossValidated
from featx.evaluation.procedures.intervals import difference_of_shares, difference_over_folds, shrink_interval
from featx.evaluation.records.scores import Interval


def paired_difference(
    one: CrossValidated, other: CrossValidated, y: NDArray[np.int64], groups: NDArray[np.int64]
) -> Interval:
    """Return the difference of two accuracies, with an interval shrink_interval as that of an accuracy is.

    Parameters
    ----------
    one, other : CrossValidated
        On the same folds; ``one`` minus ``other``.
    y, groups : ndarray of shape (n_samples,), int64
        Class and group numbers of the samples of both.
    """
    tested = one.tested
    y, groups = y[tested], groups[tested]
    pooled = difference_of_shares(one.targets.hits(one.predicted, y), one.targets.hits(other.predicted, y), groups)
    if one.summary.n_folds == 1:
        return pooled
    over_folds = difference_over_folds(one.summary.per_fold, other.summary.per_fold, 1 / (one.summary.n_folds - 1))
    return shrink_interval(over_folds, pooled)
