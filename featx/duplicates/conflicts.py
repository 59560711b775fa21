"""Find duplicates and near-duplicates with different labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.grouping import Grouping
from featx.table import FeatureTable

_MOST_CONFLICTS = 200


def find_conflicts(table: FeatureTable, grouping: Grouping, at: NDArray[np.int64]) -> dict[str, Any]:
    """Return pairs of duplicates and near-duplicates with different labels.

    Parameters
    ----------
    table : FeatureTable
    grouping : Grouping
    at : ndarray of shape (n,), int64
        Positions of the images to compare.

    Returns
    -------
    dict
        ``n_conflicts``, the number of pairs, and ``conflicts``, the sample ids of the first 200 pairs.
    """
    first: dict[bytes, int] = {}
    same = [(first.setdefault(table.content_hashes[i].tobytes(), i), i) for i in at.tolist()]
    selected = set(at.tolist())
    samples = table.samples
    pairs = [
        (one, other)
        for one, other in [*same, *grouping.near]
        if {one, other} <= selected and samples[one].label != samples[other].label
    ]
    ids = [[samples[one].sample_id, samples[other].sample_id] for one, other in pairs[:_MOST_CONFLICTS]]
    return {"n_conflicts": len(pairs), "conflicts": ids}
