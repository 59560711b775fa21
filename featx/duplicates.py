"""Copies of pictures: exact and near ones, and the groups that must stay on one side of every split."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_NEAR = 0.1
"""Largest difference of near-copies, in parts of a picture's own contrast: that of 2,000 satellite tiles stays above
0.2 however alike they look, that of pictures saved or resized again below 0.1."""

_NEAR_IN_DETAIL = 0.15
_FLATTEST = 1.0
_BLOCK = 2048


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
    ties = _Ties(len(content_hashes))
    first: dict[Hashable, int] = {}
    for i, (content, name) in enumerate(zip(content_hashes, named, strict=True)):
        for key in (content.tobytes(), name):
            if key is not None:
                ties.tie(first.setdefault(key, i), i)
    return ties.numbers()


def group_pairs(n: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the groups of two and more that pairs of positions below ``n`` make, in order of first appearance."""
    ties = _Ties(n)
    for one, other in pairs:
        ties.tie(one, other)
    members: dict[int, list[int]] = {}
    for i, number in enumerate(ties.numbers().tolist()):
        members.setdefault(number, []).append(i)
    return [group for group in members.values() if len(group) > 1]


def near_copies(signatures: NDArray[np.uint8], details: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Find pictures that are one picture saved, scaled or retouched again.

    Two are near-copies if they differ by little of their own contrast, in grey and coarsely, and then in colour and
    in detail. Every pair is compared: seconds for 10,000 pictures, a minute or two for 100,000.

    Parameters
    ----------
    signatures : ndarray of shape (n, 16, 16), uint8
        Grey thumbnails.
    details : ndarray of shape (n, side, side, 3), uint8
        Colour thumbnails, larger.

    Returns
    -------
    list of (int, int)
        Pairs of positions, the smaller first.
    """
    coarse = _flat(signatures)
    squares = np.square(coarse).sum(axis=1)
    allowed = _NEAR * _contrast(coarse)
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(coarse), _BLOCK):
        block = slice(start, start + _BLOCK)
        distances = squares[block, None] + squares[None, start:] - 2 * (coarse[block] @ coarse[start:].T)
        limits = np.minimum(allowed[block, None], allowed[None, start:]) ** 2 * coarse.shape[1]
        ones, others = np.nonzero(np.triu(distances <= limits + 1, 1))  # 1 for what float32 rounds off
        pairs += _confirmed(details, (ones + start).tolist(), (others + start).tolist())
    return pairs


def _confirmed(details: NDArray[np.uint8], ones: list[int], others: list[int]) -> list[tuple[int, int]]:
    found = []
    for one, other in zip(ones, others, strict=True):
        pair = _flat(details[[one, other]])
        difference = np.sqrt(np.square(pair[0] - pair[1]).mean())
        if difference <= _NEAR_IN_DETAIL * _contrast(pair).min():
            found.append((one, other))
    return found


def _flat(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return pictures.reshape(len(pictures), -1).astype(np.float32)


def _contrast(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    contrast: NDArray[np.float32] = np.maximum(flat.std(axis=1), _FLATTEST)
    return contrast


class _Ties:
    """Which of some positions belong together (union-find)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def tie(self, one: int, other: int) -> None:
        """Put two positions, and all that belong to them, together."""
        first, second = sorted((self._root(one), self._root(other)))
        self._parent[second] = first

    def numbers(self) -> NDArray[np.int64]:
        """Return the group number of each position, from 0, in order of first appearance."""
        roots = np.array([self._root(i) for i in range(len(self._parent))], np.int64)
        return np.unique(roots, return_inverse=True)[1].astype(np.int64)

    def _root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i
