"""Compare the patterns of images; a later comparison of nearly the same images compares only what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.neighbours import MOST_LOST, Neighbours
from featx.duplicates.pairs import most_pairs
from featx.duplicates.similarity import ROUNDING, Patterns, as_rows, negative_gaps

_BLOCK_NUMBERS = 1 << 21
_WIDTH = 1 << 13
"""Lower bounds are computed in blocks of 256 x 8,192: 8 MB, for any number of images."""

_MANY = 100
"""If more than one of this number of pairs cannot be excluded by a lower bound, all pairs of a block are computed."""

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""Positions of pairs, the smaller first, and their smallest gap in any of the eight orientations."""


@dataclass(frozen=True)
class Candidates:
    """Pairs of images that may be near-duplicates.

    Parameters
    ----------
    ones, others : ndarray of shape (n_pairs,), int64
        Positions, the smaller first; the pairs are in ascending order.
    gaps : ndarray of shape (n_pairs,), float32
        Smallest gap of the two images in any of the eight orientations.
    reaches : ndarray of shape (n,), float32
        The pairs are complete: every pair is included whose gap is at most the reaches of both images.
    """

    ones: NDArray[np.int64]
    others: NDArray[np.int64]
    gaps: NDArray[np.float32]
    reaches: NDArray[np.float32]

    @classmethod
    def none(cls, n: int) -> Candidates:
        """Return no pairs of ``n`` images."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), np.full(n, -1, np.float32))

    def within(self, bounds: NDArray[np.float32]) -> Candidates:
        """Return the pairs whose gap is at most the bounds of both images."""
        return self._taken(self.gaps <= np.minimum(bounds[self.ones], bounds[self.others]))

    def placed(self, place: NDArray[np.int64], n: int) -> Candidates:
        """Return the pairs of ``n`` images, of which image ``place[i]`` was image i; see :meth:`Comparison.placed`."""
        pairs = self._taken((place[self.ones] >= 0) & (place[self.others] >= 0))
        reaches = np.full(n, -1, np.float32)
        reaches[place[place >= 0]] = self.reaches[place >= 0]
        return Candidates(place[pairs.ones], place[pairs.others], pairs.gaps, reaches)

    def completed(
        self,
        patterns: Patterns,
        limits: NDArray[np.float32],
        reaches: NDArray[np.float32],
        progress: Callable[[int], None],
    ) -> Candidates | None:
        """Return the pairs that are complete up to the limits; None if there are too many.

        Images whose limit exceeds their reach, such as new images, are compared with all images.

        Parameters
        ----------
        patterns : Patterns
        limits, reaches : ndarray of shape (n,), float32
            See :class:`featx.duplicates.neighbours.Limits`.
        progress : callable
        """
        n = len(patterns)
        is_new = limits > self.reaches
        reaches = np.where(is_new, reaches, np.minimum(reaches, self.reaches))
        known = self._taken(~is_new[self.ones] & ~is_new[self.others]).within(reaches)
        waiting = [(known.ones * n + known.others, known.gaps)]
        n_waiting = len(known.gaps)
        for ones, others, gaps in similar_pairs(patterns, np.flatnonzero(is_new), reaches, progress):
            waiting.append((ones * n + others, gaps))
            n_waiting += len(gaps)
            if n_waiting > 2 * most_pairs(n):
                waiting = [_unique(waiting)]
                n_waiting = len(waiting[0][0])
                if n_waiting > most_pairs(n):
                    return None
        codes, gaps = _unique(waiting)
        return Candidates(codes // n, codes % n, gaps, reaches) if len(codes) <= most_pairs(n) else None

    def _taken(self, kept: NDArray[np.bool_]) -> Candidates:
        return replace(self, ones=self.ones[kept], others=self.others[kept], gaps=self.gaps[kept])


def _unique(
    found: list[tuple[NDArray[np.int64], NDArray[np.float32]]],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each pair once, in ascending order, with the smallest of its gaps."""
    codes, gaps = (np.concatenate(some) for some in zip(*found, strict=True))
    order = np.lexsort((gaps, codes))
    codes, gaps = codes[order], gaps[order]
    first = np.ones(len(codes), np.bool_)
    first[1:] = codes[1:] != codes[:-1]
    return codes[first], gaps[first]


@dataclass(frozen=True)
class Comparison:
    """What is known of a set of images from their comparison.

    A comparison depends on the order in which images were added and removed, but the pairs that follow from it do not.

    Parameters
    ----------
    neighbours : Neighbours
    candidates : Candidates
    n_lost : int
        Number of images that were removed since the spans of the neighbours were determined.
    """

    neighbours: Neighbours
    candidates: Candidates
    n_lost: int = 0

    @classmethod
    def none(cls, n: int) -> Comparison:
        """Return the comparison of ``n`` images none of which has been compared."""
        return cls(Neighbours.none(n), Candidates.none(n))

    def placed(self, place: NDArray[np.int64], n: int) -> Comparison:
        """Return the comparison of ``n`` images, of which image ``place[i]`` was image i; new images are not compared.

        Parameters
        ----------
        place : ndarray of shape (n_before,), int64
            New position of each image, ascending; -1 for an image that was removed.
        n : int
        """
        kept = place >= 0
        n_lost = self.n_lost + len(place) - int(kept.sum())
        if n_lost > MOST_LOST:
            return Comparison.none(n)
        return Comparison(self.neighbours.placed(place, n), self.candidates.placed(place, n), n_lost)

    def completed(
        self, patterns: Patterns, progress: Callable[[int], None]
    ) -> tuple[Comparison | None, NDArray[np.float32]]:
        """Compare the images that were not compared yet.

        Parameters
        ----------
        patterns : Patterns
        progress : callable
            Called with the work that is done: 1 for the neighbours of an image, 1 for each of its eight orientations.

        Returns
        -------
        Comparison or None
            None if there are too many candidates to keep: more than a million, and more than 8 for each image.
        ndarray of shape (n,), float32
            The limit of each image.
        """
        neighbours = self.neighbours
        if len(self.candidates.reaches) > (neighbours.spans < 0).sum() > 0:
            neighbours = neighbours.with_new(patterns)
        neighbours, (limits, reaches) = neighbours.searched(patterns, progress)
        candidates = self.candidates.completed(patterns, limits, reaches, progress)
        return (None if candidates is None else Comparison(neighbours, candidates, self.n_lost)), limits


def similar_pairs(
    patterns: Patterns,
    rows: NDArray[np.int64],
    bounds: NDArray[np.float32],
    progress: Callable[[int], None],
    is_settled: Callable[[NDArray[np.int64]], bool] = lambda at: False,
) -> Iterator[Pairs]:
    """Yield the pairs whose gap in any orientation is at most the bounds of both images, in blocks.

    Parameters
    ----------
    patterns : Patterns
    rows : ndarray of shape (n_rows,), int64
        At least one image of each pair is one of these, in ascending order.
    bounds : ndarray of shape (n,), float32
    progress : callable
        Called as for :meth:`Comparison.completed`.
    is_settled : callable
        Called with positions of images; pairs among them are left out if the function returns true.
    """
    n = len(patterns)
    apart = np.setdiff1d(np.arange(n), rows)
    columns = np.concatenate([apart, rows])
    size = max(1, _BLOCK_NUMBERS // _WIDTH)
    for left in range(0, n, _WIDTH):
        at = columns[left : left + _WIDTH]
        # Of the pairs of two rows, each is compared once: the column comes after the row.
        n_rows = np.arange(left, left + len(at)) - len(apart)
        n_rows[n_rows < 0] = len(rows)
        invariants = patterns.invariants[at]
        for start in range(0, int(n_rows.max(initial=0)), size):
            some = rows[start : start + size]
            if not is_settled(np.concatenate([some, at])):
                block = negative_gaps(as_rows(patterns.invariants[some]), invariants)
                yield _compare(patterns, block, some, at, bounds, n_rows - start)
        progress(n + 8 * (left + len(at)))


def _compare(
    patterns: Patterns,
    block: NDArray[np.float32],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    bounds: NDArray[np.float32],
    n_rows: NDArray[np.int64],
) -> Pairs:
    """Return the pairs of a block of lower bounds; column j is compared with the first ``n_rows[j]`` rows."""
    ones, others = np.nonzero(block >= -(bounds[rows] + ROUNDING)[:, None])
    wanted = (ones < n_rows[others]) & (-block[ones, others] <= bounds[columns[others]] + ROUNDING)
    ones, others = ones[wanted], others[wanted]
    if len(ones) * _MANY < block.size:
        gaps = patterns.gaps(rows[ones], columns[others])
    else:
        factors = patterns.rows(rows)
        gaps = np.full(len(ones), np.inf, np.float32)
        for order in patterns.orders:
            gaps = np.minimum(gaps, -negative_gaps(factors, patterns.columns(columns, order))[ones, others])
    kept = gaps <= np.minimum(bounds[rows[ones]], bounds[columns[others]])
    one, other = rows[ones[kept]], columns[others[kept]]
    return np.minimum(one, other), np.maximum(one, other), gaps[kept]
