"""Find near-duplicates: images that were saved again, resized, retouched, mirrored or rotated."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.pairs import Agree, FoundPairs
from featx.duplicates.similarity import normalized_patterns, orientations

_FARTHEST = 0.45
"""Largest distance between the patterns of near-duplicates, however far apart the other images of the data set are."""

_PART = 0.45
"""Largest distance between near-duplicates as a fraction of the distance to different images. If all images of a data
set are similar (tiles, X-rays, drawings), near-duplicates must be correspondingly more similar."""

_NEIGHBOUR = 12
"""Rank, beyond the near-duplicates of an image, of the neighbour that represents different images of the data set."""

_MOST_NEAR_DUPLICATES = 1000
_FEWEST_TO_A_NEIGHBOUR = 4
_ORIENTATIONS = 8
_BLOCK_NUMBERS = 1 << 23
_WIDTH = 1 << 13
"""Inner products are computed in blocks of 1,024 x 8,192: 32 MB, for any number of images."""

_ROWS = 128
"""Number of rows of a block processed together: a million pairs, if all images are similar."""

_REFERENCES = 1000
_NEAREST_SHARE = 0.05


def find_near_duplicates(
    signatures: NDArray[np.uint8],
    agree: Agree,
    progress: Callable[[int, int], None] = lambda done, total: None,
    marks: Sequence[NDArray[np.int64]] = (),
) -> list[tuple[int, int]]:
    """Find pairs of near-duplicates.

    Two images are near-duplicates if the distance of their patterns, in one of eight orientations, is at most 0.45 and
    at most 0.45 times the distance from each of the two images to its 12th neighbour beyond its near-duplicates, and if
    a second measure agrees. The near-duplicates of an image are the largest number of nearest neighbours, up to 1,000,
    for which this limit holds. All pairs are compared: this takes a second for 3,000 images and minutes for 100,000.
    The memory grows linearly with the number of images.

    If more than a million pairs are found, redundant pairs are left out: pairs of images that each have 16
    near-duplicates and are already in the same group.

    Parameters
    ----------
    signatures : ndarray of shape (n, 16, 16), uint8
        Grey thumbnails, one for each content.
    agree : callable
        Second measure, called with pairs that pass the first.
    progress : callable
        Called with (images compared, total); each image counts once for its limit and once per orientation.
    marks : sequence of ndarray of shape (n,), int64
        Properties of the images, such as the number of their class. A pair that shares a property never
        makes a pair redundant that does not share this property.

    Returns
    -------
    list of (int, int)
        Pairs of positions, the smaller first, in ascending order.
    """
    upright = normalized_patterns(signatures)
    n = len(upright)
    total = n * (1 + _ORIENTATIONS)
    # Limits are converted to correlations, which saves two passes over every block of inner products.
    floors = 1 - np.square(_limits(upright, lambda done: progress(done, total))) / 2
    found = FoundPairs(n, agree, marks)
    for number, oriented in enumerate(orientations(signatures), 1):
        others = normalized_patterns(oriented)
        for start, stop in _blocks(n, _WIDTH):
            for left in range(start, n, _WIDTH):
                right = min(left + _WIDTH, n)
                if not found.is_settled(np.r_[start:stop, left:right]):
                    similarity = upright[start:stop] @ others[left:right].T
                    _compare(similarity, floors, start, left, found)
            progress(min(number * n + stop, total - 1), total)
    pairs = found.pairs()
    progress(total, total)
    return pairs


def _compare(similarity: NDArray[Any], floors: NDArray[Any], start: int, left: int, found: FoundPairs) -> None:
    """Add the pairs of a block, at row ``start`` and column ``left``, that reach the limits of both images."""
    for top in range(0, len(similarity), _ROWS):
        part = similarity[top : top + _ROWS]
        first = start + top
        ones, twos = np.nonzero(part >= floors[first : first + len(part), None])
        keep = (first + ones < left + twos) & (part[ones, twos] >= floors[left + twos])
        found.add(first + ones[keep], left + twos[keep])


def _limits(upright: NDArray[np.float32], progress: Callable[[int], None]) -> NDArray[np.float32]:
    """Return the largest distance from each image to a near-duplicate; below 0 for an image without a pattern."""
    n = len(upright)
    beyond = min(_NEIGHBOUR, n // _FEWEST_TO_A_NEIGHBOUR)
    limits = np.full(n, _FARTHEST, np.float32)
    if beyond:
        farthest = n - 1 - min(n - 1, _MOST_NEAR_DUPLICATES + beyond)
        for start, stop in _blocks(n):
            similarity = np.partition(upright[start:stop] @ upright.T, farthest, axis=1)[:, farthest:]
            nearest_first = np.sort(similarity, axis=1)[:, -2::-1]  # the largest is the image itself
            limits[start:stop] = _limits_within(np.sqrt(np.maximum(2 - 2 * nearest_first, 0)), beyond)
            progress(stop)
    limits[~upright.any(axis=1)] = -1
    return limits


def _limits_within(distances: NDArray[np.float32], beyond: int) -> NDArray[np.float32]:
    """Return limits from distances to neighbours, shape (n, n_neighbours), the nearest first.

    The m nearest neighbours are near-duplicates if the m-th lies within the limit set by the neighbour ``beyond`` ranks
    farther. The largest such m is used: with a neighbour of fixed rank, an image with more near-duplicates than that
    rank would have none.
    """
    limits = np.minimum(np.float32(_FARTHEST), np.float32(_PART) * distances[:, beyond - 1 :])
    are_near = np.ones(limits.shape, np.bool_)
    are_near[:, 1:] = distances[:, : limits.shape[1] - 1] <= limits[:, 1:]
    most = limits.shape[1] - 1 - are_near[:, ::-1].argmax(axis=1)
    return np.take_along_axis(limits, most[:, None], axis=1)[:, 0]


def feature_measure(features: NDArray[np.float32]) -> Agree:
    """Return a second measure that compares features.

    A pair agrees if, by the cosine of the features, at least one of the two images is among the 5 % of images that are
    nearest to the other image.

    Parameters
    ----------
    features : ndarray of shape (n, n_features), float32

    Returns
    -------
    callable
        Function that takes two arrays of positions of shape (n_pairs,), and returns whether each pair agrees, shape
        (n_pairs,).
    """
    return stored_feature_measure(len(features), lambda at: features[at])


def stored_feature_measure(n: int, read: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> Agree:
    """Return the measure of :func:`feature_measure` for features that are read on demand.

    Parameters
    ----------
    n : int
        Number of images.
    read : callable
        Function that takes positions and returns their features, shape (n_positions, n_features), float32.

    Returns
    -------
    callable
    """

    def agree(ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        references = np.arange(0, n, -(-n // _REFERENCES) or 1)
        # One read of only the required rows, because a store verifies itself on each read.
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
    """Return a second measure for images without features, which compares larger thumbnails.

    Parameters
    ----------
    details : ndarray of shape (n, side, side), uint8
        Grey thumbnails, larger than the signatures.

    Returns
    -------
    callable
        Function that takes two arrays of positions of shape (n_pairs,), and returns whether each pair agrees, shape
        (n_pairs,).
    """

    def agree(ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        alike = np.zeros(len(ones), np.bool_)
        for start, stop in _blocks(len(ones), details[0].size if len(details) else 1):
            at = np.arange(start, stop)
            one, other = (
                normalized_patterns(details[some[at]]).reshape(-1, *details.shape[1:]) for some in (ones, others)
            )
            # Normalisation and rotation commute, so that patterns are rotated instead of thumbnails.
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
