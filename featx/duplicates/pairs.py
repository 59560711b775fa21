"""Collect pairs of similar images in limited memory, without changing the groups that the pairs form."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Agree = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
"""Second measure: takes two arrays of positions of shape (n_pairs,), and returns whether each pair agrees."""

_MOST_WAITING = 1_000_000
_PER_IMAGE = 8

_ENOUGH = 16
"""Smallest number of partners of an image that are kept for each kind of pair."""


def most_pairs(n: int) -> int:
    """Return the number of pairs of ``n`` images above which redundant pairs are left out."""
    return max(_MOST_WAITING, _PER_IMAGE * n)


class FoundPairs:
    """Collect pairs of images; the memory grows with the number of images, not with the number of pairs.

    Up to a million pairs, or 8 for each image, are kept and passed to the second measure together. With more pairs, a
    pair is redundant, and left out, if both images already have 16 partners and are in one group, among pairs of the
    same kind. The groups formed by the pairs of one kind or of several kinds are therefore the same with and without
    redundant pairs.

    Parameters
    ----------
    n : int
        Number of images.
    agree : callable
        Second measure.
    marks : sequence of ndarray of shape (n,), int64
        Properties of the images. The kind of a pair is the set of properties that its two images share.
    """

    def __init__(self, n: int, agree: Agree, marks: Sequence[NDArray[np.int64]]) -> None:
        self._n, self._agree, self._marks = n, agree, marks
        self._waiting: list[NDArray[np.int64]] = []
        self._n_waiting = 0
        self._kept: list[NDArray[np.int64]] = []
        n_kinds = 2 ** len(marks)
        self._group = np.tile(np.arange(n), (n_kinds, 1))
        self._n_others = np.zeros((n_kinds, n), np.int64)

    def add(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> None:
        """Add pairs of positions, the smaller first."""
        if self._kept:
            new = self._is_new(ones, others)
            ones, others = ones[new], others[new]
        self._waiting.append(ones * self._n + others)
        self._n_waiting += len(ones)
        if self._n_waiting > 2 * most_pairs(self._n):
            self._thin_out()

    def pairs(self) -> list[tuple[int, int]]:
        """Return the pairs for which the second measure agrees, in ascending order."""
        ones, others = self._take_waiting()
        self._kept.append(self._agreed(ones, others))
        codes = np.unique(np.concatenate(self._kept))
        return list(zip((codes // self._n).tolist(), (codes % self._n).tolist(), strict=True))

    def is_settled(self, at: NDArray[np.int64]) -> bool:
        """Return whether every possible pair of the images at the given positions is redundant."""
        if not self._kept:
            return False
        return all(
            (self._n_others[kind, at] >= _ENOUGH).all() and (self._group[kind, at] == self._group[kind, at[0]]).all()
            for kind in self._possible_kinds(at)
        )

    def _possible_kinds(self, at: NDArray[np.int64]) -> list[int]:
        shared = []
        for mark in self._marks:
            n_values = len(np.unique(mark[at]))
            shared.append([value for value, is_possible in ((0, n_values > 1), (1, n_values < len(at))) if is_possible])
        return [sum(bit << i for i, bit in enumerate(bits)) for bits in itertools.product(*shared)]

    def _kind(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        kind = np.zeros(len(ones), np.int64)
        for i, mark in enumerate(self._marks):
            kind |= (mark[ones] == mark[others]).astype(np.int64) << i
        return kind

    def _is_new(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        kind = self._kind(ones, others)
        fewest = np.minimum(self._n_others[kind, ones], self._n_others[kind, others])
        return np.asarray((fewest < _ENOUGH) | (self._group[kind, ones] != self._group[kind, others]))

    def _take_waiting(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        codes = np.unique(np.concatenate([np.empty(0, np.int64), *self._waiting]))
        self._waiting, self._n_waiting = [], 0
        return codes // self._n, codes % self._n

    def _agreed(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        agree = self._agree(ones, others) if len(ones) else np.empty(0, np.bool_)
        return (ones * self._n + others)[agree]

    def _thin_out(self) -> None:
        """Evaluate the first pairs of each image with the second measure, and repeat until the rest is redundant."""
        ones, others = self._take_waiting()
        # Pairs may be found in several orientations; without these repetitions there may be enough room.
        if not self._kept and len(ones) <= most_pairs(self._n):
            self._waiting, self._n_waiting = [ones * self._n + others], len(ones)
            return
        while len(ones):
            kind = self._kind(ones, others) * self._n
            chosen = (_ranks(kind + ones) < _ENOUGH) | (_ranks(kind + others) < _ENOUGH)
            codes = self._agreed(ones[chosen], others[chosen])
            self._kept.append(codes)
            self._join(codes // self._n, codes % self._n)
            ones, others = ones[~chosen], others[~chosen]
            new = self._is_new(ones, others)
            ones, others = ones[new], others[new]

    def _join(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        kinds = self._kind(ones, others)
        for kind in np.unique(kinds).tolist():
            one, other = ones[kinds == kind], others[kinds == kind]
            group = self._group[kind]
            links = coo_array((np.ones(len(one), np.bool_), (group[one], group[other])), (self._n, self._n))
            self._group[kind] = connected_components(links, directed=False)[1][group]
            self._n_others[kind] += np.bincount(np.concatenate([one, other]), minlength=self._n)


def _ranks(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank of each key among equal keys, from 0, in order of appearance."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ranks = np.empty(len(keys), np.int64)
    ranks[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
    return ranks
