"""Find for each image those images that have the most similar points: each point votes for its nearest points."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from featx.duplicates.local_features import MIRROR

_NEAREST = 8
"""Number of points for which a point votes."""

_USUAL = 40
"""Rank of the neighbour whose distance is usual: the weight of a vote is 1 at the distance 0, and 0 there."""

_CELL = 400
"""Mean number of points in a cell of similar points."""

_CELLS = 8
"""Number of cells that are searched for each point."""

_SAMPLE = 20
_ROUNDS = 6
_BLOCK = 1 << 12


def most_voted(
    codes: Sequence[NDArray[np.float32]], n_kept: int, progress: Callable[[int, int], None]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of images with the most votes of their points.

    The points are divided into cells of similar points, and a point is compared with those of the eight nearest cells
    (an inverted file, Jegou et al. 2011), so that the time grows linearly with the number of images. All points also
    vote as in the mirrored image; of both sums of votes, the larger counts.

    Parameters
    ----------
    codes : sequence of ndarray of shape (n_points, n_numbers), float32
        Codes of the points of each image.
    n_kept : int
        Number of images that are kept for each image.
    progress : callable
        Called with (cells done, total).

    Returns
    -------
    ones, others : ndarray of shape (n_pairs,), int64
        Positions of pairs, the smaller first.
    ranks : ndarray of shape (n_pairs,), int64
        Smaller of the two ranks, from 0, that each image has for the other. The pairs are in ascending order of rank,
        then position.
    """
    n = len(codes)
    of = np.repeat(np.arange(n), [len(some) for some in codes])
    nothing = np.empty(0, np.int64)
    if len(np.unique(of)) < 2:
        return nothing, nothing, nothing
    points = np.concatenate(codes)
    cells = _Cells(points, of)
    plain = cells.votes(points, lambda done: progress(done, 2 * cells.n))
    votes = plain.maximum(cells.votes(points * MIRROR, lambda done: progress(cells.n + done, 2 * cells.n)))
    return _ranked(votes.tocsr(), n_kept)


class _Cells:
    """Points, divided into cells of similar points."""

    def __init__(self, points: NDArray[np.float32], of: NDArray[np.int64]) -> None:
        self._points, self._of, self._n_images = points, of, int(of[-1]) + 1
        self.n = max(1, len(points) // _CELL)
        rng = np.random.default_rng(0)
        some = points[np.sort(rng.permutation(len(points))[: _SAMPLE * self.n])]
        self._means = some[rng.choice(len(some), self.n, replace=False)]
        for _ in range(_ROUNDS if self.n > 1 else 0):
            self._means = self._means_of(some)
        self._members = self._divide(points)
        self._near = np.argsort(_distances(self._means, self._means), axis=1, kind="stable")[:, :_CELLS]

    def votes(self, asking: NDArray[np.float32], progress: Callable[[int], None]) -> csr_array:
        """Return the sums of the votes for each pair of images, shape (n_images, n_images), symmetric."""
        total = csr_array((self._n_images, self._n_images), dtype=np.float32)
        waiting: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        for number, members in enumerate(self._divide(asking)):
            near = np.concatenate([self._members[cell] for cell in self._near[number]])
            for start in range(0, len(members), _BLOCK):
                waiting.append(self._nearest(asking, members[start : start + _BLOCK], near))
            if sum(len(some[0]) for some in waiting) > 1 << 23:
                total, waiting = total + self._summed(waiting), []
            progress(number + 1)
        total = total + self._summed(waiting)
        return (total + total.T).tocsr()

    def _summed(self, votes: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]) -> csr_array:
        rows, columns, weights = (np.concatenate(some) for some in zip(*votes, strict=True))
        return coo_array((weights, (rows, columns)), (self._n_images, self._n_images)).tocsr()

    def _nearest(
        self, asking: NDArray[np.float32], members: NDArray[np.int64], near: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        distances = _distances(asking[members], self._points[near])
        distances += np.square(asking[members]).sum(axis=1, keepdims=True)
        distances[self._of[members][:, None] == self._of[near]] = np.inf
        usual, nearest = min(_USUAL, distances.shape[1] - 1), min(_NEAREST, distances.shape[1])
        # One partition after the other, because NumPy divides at one rank several times faster than at two.
        order = np.argpartition(distances, usual, axis=1)[:, : usual + 1]
        found = np.maximum(np.take_along_axis(distances, order, axis=1), 0)
        scale = np.where(np.isfinite(found[:, -1:]), found[:, -1:], np.float32(2))
        closest = np.argsort(found, axis=1, kind="stable")[:, :nearest]
        order, found = (np.take_along_axis(values, closest, axis=1) for values in (order, found))
        weights = 1 - found / np.maximum(scale, 1e-6)
        at, rank = np.nonzero(weights > 0)
        return self._of[members[at]], self._of[near[order[at, rank]]], weights[at, rank].astype(np.float32)

    def _divide(self, points: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        cells = self._nearest_means(points)
        order = np.argsort(cells, kind="stable")
        return np.split(order, np.searchsorted(cells[order], np.arange(1, self.n)))

    def _nearest_means(self, points: NDArray[np.float32]) -> NDArray[np.int64]:
        starts = range(0, len(points), _BLOCK)
        return np.concatenate([_distances(points[at : at + _BLOCK], self._means).argmin(axis=1) for at in starts])

    def _means_of(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        cells = self._nearest_means(points)
        counts = np.bincount(cells, minlength=self.n)[:, None]
        sums = np.zeros_like(self._means)
        np.add.at(sums, cells, points)
        return np.where(counts > 0, sums / np.maximum(counts, 1), self._means).astype(np.float32)


def _distances(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return squared distances minus the squared lengths of the rows."""
    return np.asarray(np.square(columns).sum(axis=1) - 2 * (rows @ columns.T))


def _ranked(votes: csr_array, n_kept: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    n = votes.shape[0]
    rows = np.repeat(np.arange(n), np.diff(votes.indptr))
    columns = votes.indices.astype(np.int64)
    order = np.lexsort((columns, -votes.data, rows))
    rows, columns = rows[order], columns[order]
    ranks = np.arange(len(rows)) - votes.indptr[rows]
    kept = ranks < n_kept
    codes = np.minimum(rows, columns)[kept] * n + np.maximum(rows, columns)[kept]
    order = np.lexsort((ranks[kept], codes))
    codes, ranks = codes[order], ranks[kept][order]
    first = np.ones(len(codes), np.bool_)
    first[1:] = codes[1:] != codes[:-1]
    codes, ranks = codes[first], ranks[first]
    order = np.argsort(ranks, kind="stable")
    return codes[order] // n, codes[order] % n, ranks[order].astype(np.int64)
