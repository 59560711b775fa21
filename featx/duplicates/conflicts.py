"""Find duplicates and near-duplicates with different labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.grouping import Grouping
from featx.table import FeatureTable

_MOST_CONFLICTS = 200


def find_conflicts(table: FeatureTable, grouping: Grouping, at: NDArray[np.int64]) -> dict[str, Any]:
    """Return pairs of images with different labels: duplicates, and near-duplicates.

    One of the two labels of a pair of duplicates is certainly wrong. Near-duplicates may show different objects that
    look alike.

    Parameters
    ----------
    table : FeatureTable
    grouping : Grouping
    at : ndarray of shape (n,), int64
        Positions of the images to compare.

    Returns
    -------
    dict
        ``n_duplicate_conflicts`` and ``n_near_duplicate_conflicts``, the numbers of pairs; ``duplicate_conflicts`` and
        ``near_duplicate_conflicts``, the sample ids of the first 200 pairs of each kind.
    """
    first: dict[bytes, int] = {}
    same = [(first.setdefault(table.content_hashes[i].tobytes(), i), i) for i in at.tolist()]
    selected = set(at.tolist())
    samples = table.samples

    def conflicting(pairs: Iterable[tuple[int, int]]) -> list[list[str]]:
        return [
            [samples[one].sample_id, samples[other].sample_id]
            for one, other in pairs
            if {one, other} <= selected and samples[one].label != samples[other].label
        ]

    duplicates, near_duplicates = conflicting(same), conflicting(grouping.near)
    return {
        "n_duplicate_conflicts": len(duplicates),
        "duplicate_conflicts": duplicates[:_MOST_CONFLICTS],
        "n_near_duplicate_conflicts": len(near_duplicates),
        "near_duplicate_conflicts": near_duplicates[:_MOST_CONFLICTS],
    }
