"""Find the nearest neighbours of images, and the largest distance to a near-duplicate that follows from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.similarity import Patterns, gap_of, negative_gaps

FARTHEST = gap_of(0.45)
"""Largest gap of near-duplicates, however far apart the other images of the data set are."""

PART = 0.45**2
"""Largest gap of near-duplicates as a fraction of the gap to different images, which is the square of the fraction of
the distance. If all images of a data set are similar (tiles, X-rays, drawings), near-duplicates must be correspondingly
more similar."""

NEIGHBOUR = 12
"""Rank, beyond the near-duplicates of an image, of the neighbour that represents different images of the data set."""

SPARE = 8
"""Number of further neighbours that are known, so that images can be removed without a new search."""

MOST_NEAR_DUPLICATES = 1000
MOST_LOST = 1000
"""Number of removed images after which all neighbours are searched for again."""

_RANK = MOST_NEAR_DUPLICATES + NEIGHBOUR + MOST_LOST
_FEWEST_TO_A_NEIGHBOUR = 4
_SAMPLE = 1 << 16
_BLOCK_NUMBERS = 1 << 23
_WIDTH = 1 << 13
_ROWS = 1 << 11
_MOST_WAITING = 1 << 21
_MOST_LISTED = 100
_LARGEST = np.float32(1 << 24)
"""A number that no gap exceeds."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest neighbours of each image; the number of neighbours varies.

    The list of an image contains all images whose gap is at most its span (up to 1,000), and 20 further images, so that
    no limit can depend on an image that is not in the list. Lists of more than 100 images are not kept.

    Parameters
    ----------
    counts : ndarray of shape (n,), int64
        Number of neighbours of each image; 0 if its list is not kept.
    at : ndarray of shape (n_neighbours,), int32
        Positions of the neighbours of the first image, the nearest first, then of the second image, and so on.
    gaps : ndarray of shape (n_neighbours,), float32
        Gap of each neighbour.
    spans : ndarray of shape (n,), float32
        Upper bound of the limit of each image, even if up to 1,000 images are removed; -1 for an image that was not
        compared.
    """

    counts: NDArray[np.int64]
    at: NDArray[np.int32]
    gaps: NDArray[np.float32]
    spans: NDArray[np.float32]

    @classmethod
    def none(cls, n: int) -> Neighbours:
        """Return the lists of ``n`` images that were not compared."""
        return cls(np.zeros(n, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), np.full(n, -1, np.float32))

    @property
    def of(self) -> NDArray[np.int32]:
        """Position of the image to whose list each neighbour belongs."""
        return np.repeat(np.arange(len(self.counts), dtype=np.int32), self.counts)

    def lacking(self) -> NDArray[np.int64]:
        """Return the positions of images whose list is too short to determine a limit."""
        n = len(self.counts)
        of = self.of
        n_near = np.bincount(of[self.gaps <= self.spans[of]], minlength=n)
        needed = np.minimum(np.minimum(n_near, MOST_NEAR_DUPLICATES) + NEIGHBOUR, n - 1)
        return np.flatnonzero((self.counts < needed) | (self.counts == 0))

    def placed(self, place: NDArray[np.int64], n: int) -> Neighbours:
        """Return the lists of ``n`` images, of which image ``place[i]`` was image i; see :meth:`Comparison.placed`."""
        of = place[self.of]
        at = place[self.at]
        inside = (of >= 0) & (at >= 0)
        spans = np.full(n, -1, np.float32)
        spans[place[place >= 0]] = self.spans[place >= 0]
        return Neighbours(np.bincount(of[inside], minlength=n), at[inside].astype(np.int32), self.gaps[inside], spans)

    def with_new(self, patterns: Patterns) -> Neighbours:
        """Return the lists after new images, which have no list yet, were compared with the images that have one."""
        new = np.flatnonzero(self.spans < 0)
        old = np.flatnonzero(self.counts)
        tails = self.gaps[np.cumsum(self.counts)[old] - 1]
        tails[self.counts[old] >= len(patterns) - len(new) - 1] = np.inf  # all other images are in the list
        found = [(self.of, self.at, self.gaps)]
        for left in range(0, len(new), _WIDTH):
            columns = patterns.columns(new[left : left + _WIDTH])
            size = max(1, _BLOCK_NUMBERS // len(columns))
            for start in range(0, len(old), size):
                rows = old[start : start + size]
                block = negative_gaps(patterns.rows(rows), columns)
                ones, others = np.nonzero(block >= -tails[start : start + size, None])
                found.append(_found(rows[ones], new[left + others], -block[ones, others]))
        of, at, gaps = _cut(*_concatenated(found), self.spans)
        return Neighbours(np.bincount(of, minlength=len(self.counts)), at, gaps, self.spans)

    def searched(self, patterns: Patterns, progress: Callable[[int], None]) -> tuple[Neighbours, Limits]:
        """Return complete lists, and limits; the neighbours of images without a sufficient list are searched for.

        Parameters
        ----------
        patterns : Patterns
        progress : callable
            Called with the number of images that are done.
        """
        n = len(patterns)
        lacking = self.lacking()
        has_list = np.ones(n, np.bool_)
        has_list[lacking] = False
        of = self.of
        listed = has_list[of]
        found = [(of[listed], self.at[listed], self.gaps[listed])]
        spans = self.spans.copy()
        limits, reaches = _limits(np.where(has_list, self.counts, 0), found[0][2], n)
        sample = np.arange(min(n, _SAMPLE))
        columns = patterns.columns(sample)
        for start in range(0, len(lacking), _ROWS):
            rows = lacking[start : start + _ROWS]
            of, at, gaps = _search(patterns, rows, columns, spans)
            counts = np.bincount(np.searchsorted(rows, of), minlength=len(rows))
            limits[rows], reaches[rows] = _limits(counts, gaps, n)
            short = np.repeat(counts <= _MOST_LISTED, counts)
            found.append((of[short], at[short], gaps[short]))
            progress(n - len(lacking) + start + len(rows))
        of, at, gaps = _concatenated(found)
        if len(lacking) < n:
            order = np.argsort(of, kind="stable")
            of, at, gaps = of[order], at[order], gaps[order]
        limits[patterns.is_flat] = reaches[patterns.is_flat] = -1
        return Neighbours(np.bincount(of, minlength=n), at, gaps, spans), Limits(limits, reaches)


class Limits(NamedTuple):
    """The largest gap from each image to a near-duplicate; -1 for an image without contrast.

    Parameters
    ----------
    limits : ndarray of shape (n,), float32
    reaches : ndarray of shape (n,), float32
        The limits that follow from neighbours that are farther by 8 ranks, if so many are known. A limit rarely exceeds
        its reach when images are added or removed.
    """

    limits: NDArray[np.float32]
    reaches: NDArray[np.float32]


def _limits(counts: NDArray[np.int64], gaps: NDArray[np.float32], n_images: int) -> tuple[NDArray[np.float32], ...]:
    """Return the limits and the reaches of images from the gaps of their neighbours.

    The m nearest neighbours are near-duplicates if the m-th lies within the limit set by the neighbour 12 ranks
    farther. The largest such m is used: with a neighbour of fixed rank, an image with more near-duplicates than that
    rank would have none.
    """
    n = len(counts)
    beyond = min(NEIGHBOUR, n_images // _FEWEST_TO_A_NEIGHBOUR)
    limits, reaches = (np.full(n, FARTHEST, np.float32) for _ in range(2))
    if beyond and len(gaps):
        of = np.repeat(np.arange(n, dtype=np.int32), counts)
        ends = np.cumsum(counts)
        places = np.arange(len(of))
        n_near = places - (ends - counts)[of] - beyond + 1
        within = np.minimum(FARTHEST, PART * gaps.astype(np.float64))
        fits = (n_near >= 0) & (n_near <= MOST_NEAR_DUPLICATES)
        fits &= (n_near == 0) | (gaps[np.maximum(places - beyond, 0)] <= within)
        at = np.full(n, -1)
        at[of[fits]] = places[fits]  # the last place of each image
        known = at >= 0
        limits[known] = _rounded(within[at[known]])
        reaches[known] = _rounded(within[np.minimum(at + SPARE, ends - 1)[known]])
    return limits, reaches


def _rounded(gaps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round bounds of gaps down to multiples of 0.5, which float32 can represent."""
    return np.asarray(np.floor(2 * gaps) / 2, np.float32)


_Found = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]
"""Positions of images, positions of neighbours, and gaps."""


def _found(of: NDArray[np.int64], at: NDArray[np.int64], gaps: NDArray[np.float32]) -> _Found:
    return of.astype(np.int32), at.astype(np.int32), gaps


def _search(
    patterns: Patterns, rows: NDArray[np.int64], columns: NDArray[np.float32], spans: NDArray[np.float32]
) -> _Found:
    """Return the lists of some images, and set their spans; ``columns`` are the factors of the first images of all."""
    of_rows = patterns.rows(rows)
    size = max(1, _BLOCK_NUMBERS // max(1, len(columns)))
    parts = [slice(start, start + size) for start in range(0, len(rows), size)]
    found = _concatenated([_search_first(of_rows[part], rows[part], columns, spans) for part in parts])
    n_known, n = len(columns), len(patterns)
    width = max(1, _BLOCK_NUMBERS // len(rows))
    while n_known < n:
        # As many further images as before; the list, of which the last gap is the next bound, then changes little.
        stop = min(n, 2 * n_known)
        tails = found[2][np.cumsum(np.bincount(np.searchsorted(rows, found[0]), minlength=len(rows))) - 1]
        waiting = [found]
        for left in range(n_known, stop, width):
            block = negative_gaps(of_rows, patterns.columns(np.arange(left, min(left + width, stop))))
            waiting.append(_within(_without_itself(block, rows, left), tails, rows, left))
            if sum(len(some[0]) for some in waiting[1:]) > _MOST_WAITING:
                waiting = [_cut(*_concatenated(waiting), spans)]
        found = _cut(*_concatenated(waiting), spans)
        n_known = stop
    return found


def _search_first(
    of_rows: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.float32], spans: NDArray[np.float32]
) -> _Found:
    """Return the lists of some images among the first images of all, and set their spans."""
    block = _without_itself(negative_gaps(of_rows, columns), rows, 0)
    n_columns = len(columns)
    n_sorted = min(n_columns, _RANK)
    nearest = np.sort(-np.partition(block, n_columns - n_sorted, axis=1)[:, n_columns - n_sorted :], axis=1)
    bound = nearest[:, -1].astype(np.float64) if n_sorted == _RANK else np.full(len(rows), np.inf)
    spans[rows] = _rounded(np.minimum(FARTHEST, PART * bound))
    n_near = (nearest <= spans[rows, None]).sum(axis=1)
    last = np.minimum(n_near, MOST_NEAR_DUPLICATES) + NEIGHBOUR + SPARE - 1
    tails = nearest[np.arange(len(rows)), np.minimum(last, n_sorted - 1)]
    tails[last >= n_sorted] = np.inf
    return _cut(*_within(block, tails, rows, 0), spans)


def _without_itself(block: NDArray[np.float32], rows: NDArray[np.int64], left: int) -> NDArray[np.float32]:
    inside = np.flatnonzero((rows >= left) & (rows < left + block.shape[1]))
    block[inside, rows[inside] - left] = -np.inf
    return block


def _within(block: NDArray[np.float32], tails: NDArray[np.float32], rows: NDArray[np.int64], left: int) -> _Found:
    ones, others = np.nonzero(block >= np.maximum(-tails, -_LARGEST)[:, None])
    return _found(rows[ones], left + others, -block[ones, others])


def _concatenated(found: list[_Found]) -> _Found:
    of, at, gaps = (np.concatenate(some) for some in zip(*found, strict=True))
    return of, at, gaps


def _cut(of: NDArray[np.int32], at: NDArray[np.int32], gaps: NDArray[np.float32], spans: NDArray[np.float32]) -> _Found:
    """Sort neighbours by image and gap, and leave out those that no limit depends on."""
    # Both are sorted already except for new images, which a stable sort (by merging) makes use of.
    order = np.argsort((of.astype(np.int64) << 26) + (2 * gaps).astype(np.int64), kind="stable")
    of, at, gaps = of[order], at[order], gaps[order]
    counts = np.bincount(of, minlength=len(spans))
    ranks = np.arange(len(of)) - (np.cumsum(counts) - counts)[of]
    n_near = np.bincount(of[gaps <= spans[of]], minlength=len(spans))
    kept = ranks < (np.minimum(n_near, MOST_NEAR_DUPLICATES) + NEIGHBOUR + SPARE)[of]
    return of[kept], at[kept], gaps[kept]
