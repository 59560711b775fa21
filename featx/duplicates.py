"""Groups of pictures that must stay on one side of every split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def group_samples(content_hashes: NDArray[np.uint8], named: Sequence[str | None]) -> NDArray[np.int64]:
    """Number the groups: exact copies of one file, and what the data set itself calls a group.

    A picture that is a copy of one in a named group ties the two groups together.

    Parameters
    ----------
    content_hashes : ndarray of shape (n_samples, 32), uint8
    named : sequence of (str or None)
        Group of each sample as the data set says; None for a picture of its own.

    Returns
    -------
    ndarray of shape (n_samples,), int64
        Group numbers, from 0, in order of first appearance.
    """
    parent = np.arange(len(content_hashes))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    first: dict[bytes | str, int] = {}
    for i, (content, name) in enumerate(zip(content_hashes, named, strict=True)):
        ties: list[bytes | str] = [content.tobytes()] if name is None else [content.tobytes(), name]
        for tie in ties:
            other = root(first.setdefault(tie, i))
            parent[max(other, root(i))] = min(other, root(i))
    roots = np.array([root(i) for i in range(len(parent))], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)
