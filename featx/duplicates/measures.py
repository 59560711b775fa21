"""Second measures, with which pairs of similar patterns must agree to be near-duplicates."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.pairs import Agree
from featx.duplicates.similarity import normalized_patterns, orientations

_REFERENCES = 1000
_NEAREST_SHARE = 0.05
_FARTHEST_IN_DETAIL = 0.9
"""Largest distance between the patterns of larger thumbnails of near-duplicates."""

_READ = 1 << 13
"""Number of images whose features are read together: 42 MB for 1,280 features."""

_BLOCK_NUMBERS = 1 << 23


def feature_measure(n: int, read: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> Agree:
    """Return a second measure that compares features.

    A pair agrees if, by the cosine of the features, at least one of the two images is among the 5 % of images that are
    nearest to the other image.

    Parameters
    ----------
    n : int
        Number of images.
    read : callable
        Function that takes ascending positions and returns their features, shape (n_positions, n_features), float32.
        The features of at most 16,384 images are read together, so that the memory does not grow with the number of
        pairs.

    Returns
    -------
    callable
        Function that takes two arrays of positions of shape (n_pairs,), and returns whether each pair agrees, shape
        (n_pairs,).
    """

    def agree(ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
        references = normalized_features(read(np.arange(0, n, -(-n // _REFERENCES) or 1)))
        asked, at = np.unique(np.concatenate([ones, others]), return_inverse=True)
        one, other = at[: len(ones)], at[len(ones) :]
        chunk = _chunks(one, other, len(asked))
        bars = np.empty(len(asked), np.float32)
        cosines = np.empty(len(ones), np.float32)
        for pairs, members, is_whole in _reads(chunk, one, other):
            rows = normalized_features(read(asked[members]))
            if is_whole:
                bars[members] = np.quantile(rows @ references.T, 1 - _NEAREST_SHARE, axis=1)
            for start in range(0, len(pairs), _READ):
                some = pairs[start : start + _READ]
                left, right = (rows[np.searchsorted(members, of[some])] for of in (one, other))
                cosines[some] = np.einsum("ij,ij->i", left, right)
        rounding = np.float32(1e-5)
        return np.asarray(cosines >= np.minimum(bars[one], bars[other]) - rounding)

    return agree


def normalized_features(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features of shape (n, n_features) with rows of length 1; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths == 0, 1, lengths), np.float32)


def _chunks(one: NDArray[np.int64], other: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the number of the chunk to which each of ``n`` images belongs; connected images are in few chunks."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(one), np.bool_), (one, other)), (n, n))
    chunks = np.empty(n, np.int64)
    chunks[np.argsort(connected_components(links, directed=False)[1], kind="stable")] = np.arange(n) // _READ
    return chunks


def _reads(
    chunk: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], bool]]:
    """Yield pairs, the images whose features are read for them, and whether these images are a whole chunk."""
    n_chunks = int(chunk.max(initial=-1)) + 1
    low, high = np.minimum(chunk[one], chunk[other]), np.maximum(chunk[one], chunk[other])
    codes = low * n_chunks + high
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(n_chunks**2 + 1))
    for number in range(n_chunks):
        pairs = order[starts[number * n_chunks + number] : starts[number * n_chunks + number + 1]]
        yield pairs, np.flatnonzero(chunk == number), True
    for code in np.flatnonzero(np.diff(starts)).tolist():
        if code // n_chunks != code % n_chunks:
            pairs = order[starts[code] : starts[code + 1]]
            yield pairs, np.unique(np.concatenate([one[pairs], other[pairs]])), False


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
        size = max(1, _BLOCK_NUMBERS // max(1, details[:1].size))
        for start in range(0, len(ones), size):
            at = np.arange(start, min(start + size, len(ones)))
            one, other = (
                normalized_patterns(details[some[at]]).reshape(-1, *details.shape[1:]) for some in (ones, others)
            )
            # Normalisation and rotation commute, so that patterns are rotated instead of thumbnails.
            for turn in range(8):
                turned = next(itertools.islice(orientations(other), turn, None))
                near = np.square(one - turned).sum(axis=(1, 2)) <= _FARTHEST_IN_DETAIL**2
                alike[at[near]] = True
                at, one, other = at[~near], one[~near], other[~near]
        return alike

    return agree
