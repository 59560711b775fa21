"""Union-find: connected groups of positions."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray


class UnionFind:
    """Disjoint groups of the positions from 0 to n - 1.

    Parameters
    ----------
    n : int
        Number of positions.
    """

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))
        self._size = [1] * n

    def union(self, one: int, other: int) -> None:
        """Join the groups of two positions."""
        first, second = sorted((self._root(one), self._root(other)))
        if first != second:
            self._parent[second] = first
            self._size[first] += self._size[second]

    def group(self, position: int) -> int:
        """Return a position that represents the group of a position."""
        return self._root(position)

    def size(self, position: int) -> int:
        """Return the number of members of the group of a position."""
        return self._size[self._root(position)]

    def are_together(self, one: int, other: int) -> bool:
        """Return whether two positions are in one group."""
        return self._root(one) == self._root(other)

    def union_all(self, positions: Sequence[int]) -> None:
        """Join the groups of several positions."""
        for one, other in itertools.pairwise(positions):
            self.union(one, other)

    def union_equal(self, keys: Iterable[Hashable]) -> None:
        """Join the groups of positions with equal keys; None joins nothing."""
        first: dict[Hashable, int] = {}
        for i, key in enumerate(keys):
            if key is not None:
                self.union(first.setdefault(key, i), i)

    def numbers(self) -> NDArray[np.int64]:
        """Return the group number of each position, from 0, in order of first appearance; shape (n,)."""
        roots = np.array([self._root(i) for i in range(len(self._parent))], np.int64)
        return np.unique(roots, return_inverse=True)[1].astype(np.int64)

    def groups(self) -> list[list[int]]:
        """Return the positions of the groups with at least two members, in order of first appearance."""
        members: dict[int, list[int]] = {}
        for i, number in enumerate(self.numbers().tolist()):
            members.setdefault(number, []).append(i)
        return [group for group in members.values() if len(group) > 1]

    def _root(self, i: int) -> int:
        while self._parent[i] != i:
            self._parent[i] = self._parent[self._parent[i]]
            i = self._parent[i]
        return i


def group_pairs(n: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return the groups of at least two positions below ``n`` that pairs connect, in order of first appearance."""
    union_find = UnionFind(n)
    for one, other in pairs:
        union_find.union(one, other)
    return union_find.groups()
