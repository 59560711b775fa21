"""Find images that are rotated, shifted, cropped, sheared or otherwise augmented versions of one original."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.alignment import HIGHEST_SCORE, Alignment
from featx.duplicates.local_features import Describer, Points, Texture
from featx.duplicates.union_find import UnionFind
from featx.duplicates.votes import most_voted
from featx.runtime import n_processors

Read = Callable[[NDArray[np.int64]], NDArray[np.uint8]]

CERTAIN_SCORE = 4.75
"""Score that is sufficient in every set."""

LEAST_SCORE, _BEYOND = 4.0, 1.5
_LEAST_IF_AUGMENTED, _BEYOND_IF_AUGMENTED = 3.5, 1.0
"""Smallest score of two versions, even if random pairs have far smaller scores; and how far beyond the 99th percentile
the scores of 100 candidates reach, in units of the distance from the 90th to the 99th percentile. Candidates are more
similar than random pairs. In a set in which many versions have been found, a candidate is more often a version."""

_BEYOND_EACH_TENFOLD = 0.5
"""How much farther the scores of a tenfold number of candidates reach."""

_AUGMENTED = 0.2
"""Number of pairs for each image from which a set counts as augmented."""

_LARGE, _FEWEST_LINKS = 3, 2
"""Number of members from which two groups are joined only by at least two pairs."""

WHOLE = 2000
"""Number of images up to which all are searched. Of more images, a sample is searched first."""

_SAMPLE = 4
"""The sample has about this number times the square root of the number of images."""

_FEWEST_IN_SAMPLE = 1000
_ENOUGH = 3
"""Number of pairs in the sample from which all images are searched."""

_FIRST, _MOST = 3, 12
"""Number of candidates that are aligned for each image: at first, and if one of the two images has a version."""

_RANDOM_PAIRS = 1000
_FEWEST_RANDOM_PAIRS = 200
_KEPT = 4000
_BLOCK = 1 << 9


def find_transformed(
    content_hashes: NDArray[np.uint8],
    read: Read,
    groups: NDArray[np.int64],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[tuple[int, int]]:
    """Find pairs of images that show the same original after geometric and other changes.

    Candidates for an image are the images whose distinct points are most similar (:func:`most_voted`). The two images
    of a candidate are aligned, and the agreement of their textures is scored (:class:`Alignment`). A pair is found if
    its score exceeds 4.0 and the scores to be expected of different images, which follow from random pairs of the same
    set (:func:`score_by_chance`). Images that are alike by nature therefore need a higher score. If at least one pair
    for five images is found, a lower score is sufficient for the other candidates, at least 3.5. Two groups of at least
    three images are joined only by two pairs, so that a single wrong pair does not join all versions of two originals.

    Of more than 2,000 images, a sample is searched first: about four times the square root of their number, at least
    1,000. Only if it contains at least 3 pairs, all images are searched. The sample depends only on the contents.

    Parameters
    ----------
    content_hashes : ndarray of shape (n, 32), uint8
        SHA-256 of each file's bytes, ascending and without repetition.
    read : callable
        Function that takes ascending positions and returns signatures, shape (n_positions, 64, 64), uint8.
    groups : ndarray of shape (n,), int64
        Number of the group of each image, as known so far. Pairs within a group are not searched for.
    progress : callable
        Called with (work done, total).

    Returns
    -------
    list of (int, int)
        Pairs of positions, the smaller first. They connect the versions of an original, but not each with each other.
    """
    n = len(content_hashes)
    if n <= WHOLE:
        return _Search(np.arange(n), read, groups, progress).pairs()
    size = max(_FEWEST_IN_SAMPLE, _SAMPLE * int(np.sqrt(n)))
    first = np.ascontiguousarray(content_hashes[:, :4]).view(">u4").ravel()
    sample = np.flatnonzero(first < np.uint32(min(1.0, size / n) * 0xFFFFFFFF))
    if len(_Search(sample, read, groups, progress).pairs()) < _ENOUGH:
        return []
    return _Search(np.arange(n), read, groups, progress).pairs()


def score_by_chance(scores: NDArray[np.float64], n_pairs: int, *, is_augmented: bool = False) -> float:
    """Return the score that different images rarely exceed among ``n_pairs`` candidates.

    Parameters
    ----------
    scores : ndarray of shape (n_random,), float64
        Scores of random pairs. Scores are limited, as correlations are: the upper tail of their distribution is
        extrapolated as exponential after Fisher's transformation.
    n_pairs : int
    is_augmented : bool
        Whether many versions have been found.

    Returns
    -------
    float
        From 4.0, or 3.5 in an augmented set, to 4.75.
    """
    least, beyond = (_LEAST_IF_AUGMENTED, _BEYOND_IF_AUGMENTED) if is_augmented else (LEAST_SCORE, _BEYOND)
    if len(scores) < _FEWEST_RANDOM_PAIRS:
        return LEAST_SCORE
    tenth, hundredth = np.arctanh(np.quantile(scores, [0.9, 0.99]) / (1.001 * HIGHEST_SCORE))
    n_distances = beyond + _BEYOND_EACH_TENFOLD * (np.log10(max(n_pairs, 100)) - 2)
    expected = HIGHEST_SCORE * np.tanh(hundredth + (hundredth - tenth) * n_distances)
    return float(np.clip(expected, least, CERTAIN_SCORE))


class _Search:
    """Search some images for versions of one original; the positions are those of all images."""

    def __init__(
        self, at: NDArray[np.int64], read: Read, groups: NDArray[np.int64], progress: Callable[[int, int], None]
    ) -> None:
        self._at, self._read, self._progress = at, read, progress
        self._union_find = UnionFind(len(at))
        self._union_find.union_equal(groups[at].tolist())
        self._describer, self._alignment = Describer(), Alignment()
        self._textures: dict[int, Texture] = {}
        self._points: list[Points] = []
        self._ones = self._others = np.empty(0, np.int64)
        self._found: list[tuple[int, int]] = []
        self._joined: set[int] = set()
        self._waiting: dict[tuple[int, int], list[tuple[int, int]]] = {}
        self._insufficient: list[tuple[float, int, int]] = []

    def pairs(self) -> list[tuple[int, int]]:
        """Return pairs that connect the versions of each original."""
        n = len(self._at)
        if n == 0 or self._union_find.size(0) == n:
            return []
        total = n * (3 + _FIRST)
        self._points = self._described(total)
        codes = [points.codes for points in self._points]
        self._ones, self._others, ranks = most_voted(
            codes, _MOST, lambda done, of: self._progress(n + n * done // of, total)
        )
        done = 3 * n
        for one, other, rank in zip(self._ones.tolist(), self._others.tolist(), ranks.tolist(), strict=True):
            done += 1
            if done % 64 == 0:
                self._progress(min(done, total - 1), total)
            is_chosen = rank < _FIRST or one in self._joined or other in self._joined
            if is_chosen and not self._union_find.are_together(one, other):
                self._decide(one, other)
        if len(self._found) >= _AUGMENTED * n:
            least = score_by_chance(self._by_chance, len(self._ones), is_augmented=True)
            for score, one, other in sorted(self._insufficient, reverse=True):
                if score > least and not self._union_find.are_together(one, other):
                    self._join(one, other)
        self._found += self._confirmed([pair for pairs in self._waiting.values() for pair in pairs])
        self._progress(total, total)
        return [(int(self._at[one]), int(self._at[other])) for one, other in self._found]

    @functools.cached_property
    def _by_chance(self) -> NDArray[np.float64]:
        """Scores of random pairs, which are needed only if a candidate has a high score."""
        pairs = _random_pairs(len(self._at), self._ones, self._others)
        return np.array([self._score(*pair) for pair in pairs])

    @functools.cached_property
    def _least(self) -> float:
        return score_by_chance(self._by_chance, len(self._ones))

    def _decide(self, one: int, other: int) -> None:
        """Join two images if their score is high enough."""
        score = self._score(one, other)
        if score > LEAST_SCORE and score > self._least:
            self._join(one, other)
        elif score > _LEAST_IF_AUGMENTED:
            self._insufficient.append((score, one, other))

    def _join(self, one: int, other: int) -> None:
        """Join the groups of two versions; two large groups only at the second pair."""
        pairs = [(one, other)]
        if min(self._union_find.size(one), self._union_find.size(other)) >= _LARGE:
            link = self._link(one, other)
            pairs = [*self._waiting.pop(link, ()), *pairs]
            if len(pairs) < _FEWEST_LINKS:
                self._waiting[link] = pairs
                return
        self._union_find.union(one, other)
        self._joined |= {one, other}
        self._found += pairs

    def _link(self, one: int, other: int) -> tuple[int, int]:
        """Return the groups of two images, the smaller number first."""
        low, high = sorted((self._union_find.group(one), self._union_find.group(other)))
        return low, high

    def _confirmed(self, waiting: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the pairs of large groups that at least two pairs join, after these groups have grown."""
        links: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for pair in waiting:
            if not self._union_find.are_together(*pair):
                links.setdefault(self._link(*pair), []).append(pair)
        return [pair for pairs in links.values() if len(pairs) >= _FEWEST_LINKS for pair in pairs]

    def _described(self, total: int) -> list[Points]:
        """Return the points of all images, which are found in one thread for each core."""
        points: list[Points] = []
        n_threads = n_processors()
        with ThreadPoolExecutor(n_threads) as threads:
            for start in range(0, len(self._at), _BLOCK):
                parts = np.array_split(self._read(self._at[start : start + _BLOCK]), n_threads)
                points += itertools.chain.from_iterable(threads.map(_points_of, parts))
                self._progress(len(points), total)
        return points

    def _score(self, one: int, other: int) -> float:
        points = self._points
        return self._alignment.score((points[one], self._texture(one)), (points[other], self._texture(other)))

    def _texture(self, position: int) -> Texture:
        if position not in self._textures:
            if len(self._textures) >= _KEPT:
                del self._textures[next(iter(self._textures))]
            self._textures[position] = self._describer.texture(self._read(self._at[[position]])[0])
        return self._textures[position]


def _points_of(signatures: NDArray[np.uint8]) -> list[Points]:
    describer = Describer()
    return [describer.points(signature) for signature in signatures]


def _random_pairs(n: int, ones: NDArray[np.int64], others: NDArray[np.int64]) -> Sequence[tuple[int, int]]:
    """Return random pairs that are no candidates."""
    drawn = np.random.default_rng(0).integers(0, n, (2 * _RANDOM_PAIRS, 2))
    one, other = drawn.min(axis=1), drawn.max(axis=1)
    codes = np.unique((one * n + other)[one != other])
    codes = codes[~np.isin(codes, ones * n + others)]
    codes = np.sort(np.random.default_rng(1).permutation(codes)[:_RANDOM_PAIRS])
    return list(zip((codes // n).tolist(), (codes % n).tolist(), strict=True))
