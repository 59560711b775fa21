"""Near-copies: images that are one image saved, scaled, retouched, mirrored or turned again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.pairs import Agree, FoundPairs
from featx.duplicates.similarity import normalized_patterns, orientations

_FARTHEST = 0.45
"""Largest distance of two patterns that are near-copies, however far apart the other images of the set are."""

_PART = 0.45
"""Largest distance in parts of that to different images: where all images of a set are alike (tiles, X-rays,
drawings), near-copies have to be that much more alike."""

_NEIGHBOUR = 12
"""Which neighbour beyond an image's copies tells how near different images of the set are."""

_MOST_COPIES = 1000
_FEWEST_TO_A_NEIGHBOUR = 4
_ORIENTATIONS = 8
_BLOCK_NUMBERS = 1 << 23
_WIDTH = 1 << 13
"""Products are made in blocks of 1,024 x 8,192: 32 MB, whatever the number of images."""

_ROWS = 128
"""Rows of a block that are looked at together: a million pairs, if all are alike."""

_REFERENCES = 1000
_NEAREST_SHARE = 0.05


def find_near_duplicates(
    signatures: NDArray[np.uint8],
    agree: Agree,
    progress: Callable[[int, int], None] = lambda done, total: None,
    marks: Sequence[NDArray[np.int64]] = (),
) -> list[tuple[int, int]]:
    """Find images that are nearly the same.

    Two are near-copies if their patterns, in one of eight orientations, are closer than 0.45 and than 0.45 of the
    distance from either to its 12th neighbour beyond the copies, and if a second measure agrees. The copies of an
    image, up to 1,000, are the most neighbours that lie that close. Every pair is compared: a second for 3,000
    images, minutes for 100,000, in memory that grows with their number alone.

    Where more than a million pairs are found, those are left out that say nothing new: both images have 16
    near-copies, and belong together without it.

    Parameters
    ----------
    signatures : ndarray of shape (n, 16, 16), uint8
        Grey thumbnails, one for each content.
    agree : callable
        Is asked for pairs that pass.
    progress : callable
        Called with (images compared, all), each counted once for its limit and once for every orientation.
    marks : sequence of ndarray of shape (n,), int64
        Numbers that images share or not, as that of their class: a pair of two that share one says nothing of pairs
        that do not.

    Returns
    -------
    list of (int, int)
        Pairs of positions, the smaller first, in order.
    """
    upright = normalized_patterns(signatures)
    n = len(upright)
    total = n * (1 + _ORIENTATIONS)
    # The likeness at a limit: comparing it spares two passes over every block of products.
    floors = 1 - np.square(_limits(upright, lambda done: progress(done, total))) / 2
    found = FoundPairs(n, agree, marks)
    for number, oriented in enumerate(orientations(signatures), 1):
        others = normalized_patterns(oriented)
        for start, stop in _blocks(n, _WIDTH):
            for left in range(start, n, _WIDTH):
                right = min(left + _WIDTH, n)
                if not found.is_settled(np.r_[start:stop, left:right]):
                    likeness = upright[start:stop] @ others[left:right].T
                    _compare(likeness, floors, start, left, found)
            progress(min(number * n + stop, total - 1), total)
    pairs = found.pairs()
    progress(total, total)
    return pairs


def _compare(likeness: NDArray[Any], floors: NDArray[Any], start: int, left: int, found: FoundPairs) -> None:
    """Add the pairs of a block of products, whose first row and column have these positions, that reach both floors."""
    for top in range(0, len(likeness), _ROWS):
        part = likeness[top : top + _ROWS]
        first = start + top
        ones, twos = np.nonzero(part >= floors[first : first + len(part), None])
        keep = (first + ones < left + twos) & (part[ones, twos] >= floors[left + twos])
        found.add(first + ones[keep], left + twos[keep])


def _limits(upright: NDArray[np.float32], progress: Callable[[int], None]) -> NDArray[np.float32]:
    """Return the largest distance to a near-copy of each image; below 0 for one that shows no pattern."""
    n = len(upright)
    beyond = min(_NEIGHBOUR, n // _FEWEST_TO_A_NEIGHBOUR)
    limits = np.full(n, _FARTHEST, np.float32)
    if beyond:
        farthest = n - 1 - min(n - 1, _MOST_COPIES + beyond)
        for start, stop in _blocks(n):
            likeness = np.partition(upright[start:stop] @ upright.T, farthest, axis=1)[:, farthest:]
            nearest_first = np.sort(likeness, axis=1)[:, -2::-1]  # the largest is the image itself
            limits[start:stop] = _limits_within(np.sqrt(np.maximum(2 - 2 * nearest_first, 0)), beyond)
            progress(stop)
    limits[~upright.any(axis=1)] = -1
    return limits


def _limits_within(distances: NDArray[np.float32], beyond: int) -> NDArray[np.float32]:
    """Return limits from distances to neighbours, shape (n, n_neighbours), the nearest first.

    Some m neighbours are copies if the m-th lies within the limit that the neighbour ``beyond`` them sets. The largest
    such m counts: with a fixed neighbour, an image with more copies than that would have none.
    """
    limits = np.minimum(np.float32(_FARTHEST), np.float32(_PART) * distances[:, beyond - 1 :])
    are_copies = np.ones(limits.shape, np.bool_)
    are_copies[:, 1:] = distances[:, : limits.shape[1] - 1] <= limits[:, 1:]
    most = limits.shape[1] - 1 - are_copies[:, ::-1].argmax(axis=1)
    return np.take_along_axis(limits, most[:, None], axis=1)[:, 0]


def feature_measure(features: NDArray[np.float32]) -> Agree:
    """Return a second measure: the features of either image hold the other for one of the nearest twentieth.

    Parameters
    ----------
    features : ndarray of shape (n, n_features), float32
    """
    return stored_feature_measure(len(features), lambda at: features[at])


def stored_feature_measure(n: int, read: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> Agree:
    """Return the measure of :func:`feature_measure` for features that are read when they are asked for.

    Parameters
    ----------
    n : int
        Number of images.
    read : callable
        Returns the features of positions, shape (n_positions, n_features), float32.
    """

    def agree(ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        references = np.arange(0, n, -(-n // _REFERENCES) or 1)
        # All in one reading, as a store checks itself at each: of the images in question alone.
        needed = np.unique(np.concatenate([ones, others, references]))
        rows = read(needed)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.asarray(rows / np.where(lengths == 0, 1, lengths), np.float32)
        asked, at = np.unique(np.concatenate([ones, others]), return_inverse=True)
        place = np.searchsorted(needed, asked)
        known = rows[np.searchsorted(needed, references)]
        bars = np.empty(len(asked), np.float32)
        for start, stop in _blocks(len(asked), _WIDTH):
            bars[start:stop] = np.quantile(rows[place[start:stop]] @ known.T, 1 - _NEAREST_SHARE, axis=1)
        one, other = place[at[: len(ones)]], place[at[len(ones) :]]
        cosines = np.empty(len(ones), np.float32)
        for start, stop in _blocks(len(ones), _WIDTH):
            cosines[start:stop] = np.einsum("ij,ij->i", rows[one[start:stop]], rows[other[start:stop]])
        rounding = np.float32(1e-5)
        bar = np.minimum(bars[at[: len(ones)]], bars[at[len(ones) :]])
        return np.asarray(cosines >= bar - rounding)

    return agree


def detail_measure(details: NDArray[np.uint8]) -> Agree:
    """Return a second measure for images without features: larger thumbnails, compared in the same way.

    Parameters
    ----------
    details : ndarray of shape (n, side, side), uint8
        Grey thumbnails, larger than the signatures.
    """

    def agree(ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        alike = np.zeros(len(ones), np.bool_)
        for start, stop in _blocks(len(ones), details[0].size if len(details) else 1):
            at = np.arange(start, stop)
            one, other = (
                normalized_patterns(details[some[at]]).reshape(-1, *details.shape[1:]) for some in (ones, others)
            )
            # A pattern that is turned is the pattern of what is turned.
            for turn in range(_ORIENTATIONS):
                turned = next(itertools.islice(orientations(other), turn, None))
                near = np.square(one - turned).sum(axis=(1, 2)) <= (2 * _FARTHEST) ** 2
                alike[at[near]] = True
                at, one, other = at[~near], one[~near], other[~near]
        return alike

    return agree


def _blocks(n: int, width: int | None = None) -> list[tuple[int, int]]:
    size = max(1, _BLOCK_NUMBERS // max(1, width or n))
    return [(start, min(start + size, n)) for start in range(0, n, size)]
