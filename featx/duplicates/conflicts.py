"""Copies whose labels differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.grouping import Grouping
from featx.table import FeatureTable

_MOST_CONFLICTS = 200


def find_conflicts(table: FeatureTable, grouping: Grouping, at: NDArray[np.int64]) -> dict[str, Any]:
    """Return ``n_conflicts``, pairs of duplicates and near-duplicates whose labels differ, and the first 200 of them.

    Parameters
    ----------
    table : FeatureTable
    grouping : Grouping
    at : ndarray of shape (n,), int64
        Positions of those that are looked at.
    """
    first: dict[bytes, int] = {}
    same = [(first.setdefault(table.content_hashes[i].tobytes(), i), i) for i in at.tolist()]
    known = set(at.tolist())
    samples = table.samples
    pairs = [
        (one, other)
        for one, other in [*same, *grouping.near]
        if {one, other} <= known and samples[one].label != samples[other].label
    ]
    ids = [[samples[one].sample_id, samples[other].sample_id] for one, other in pairs[:_MOST_CONFLICTS]]
    return {"n_conflicts": len(pairs), "conflicts": ids}
