"""Pairs of images that are alike, as many as are needed to know which belong together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Agree = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
"""Tells for pairs of positions, shape (n_pairs,) each, whether a second measure holds them for copies too."""

_MOST_WAITING = 1_000_000
"""Pairs above which those that say nothing new are left out."""

_ENOUGH = 16
"""Partners of an image that are kept, at least, of each kind."""


class FoundPairs:
    """Collects pairs; its memory does not grow with their number, but with that of the images.

    Up to a million pairs are kept as they are and asked for together. Of more, a pair is left out if both images have
    16 others already, and belong together by others, among pairs of its kind. So the groups that the pairs of one
    kind or of several make are the same with and without what is left out.

    Parameters
    ----------
    n : int
        Number of images.
    agree : callable
        Is asked for pairs.
    marks : sequence of ndarray of shape (n,), int64
        The kind of a pair is which of these two images share.
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
        if self._n_waiting > _MOST_WAITING:
            self._thin_out()

    def pairs(self) -> list[tuple[int, int]]:
        """Return the pairs for which the second measure agrees, in order."""
        ones, others = self._take_waiting()
        self._kept.append(self._agreed(ones, others))
        codes = np.unique(np.concatenate(self._kept))
        return list(zip((codes // self._n).tolist(), (codes % self._n).tolist(), strict=True))

    def is_settled(self, at: NDArray[np.int64]) -> bool:
        """Tell whether no pair of images at some positions can say anything new."""
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
        """Ask for some of the pairs that wait, at least those that bring each image its first, until none is new."""
        ones, others = self._take_waiting()
        if not self._kept and len(ones) <= _MOST_WAITING // 2:  # found in several orientations
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
    """Return the number of each key among those that equal it, from 0, in order."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ranks = np.empty(len(keys), np.int64)
    ranks[order] = np.arange(len(keys)) - np.repeat(starts, np.diff(np.r_[starts, len(keys)]))
    return ranks
