"""Compare images by coarse grey patterns, independently of brightness, contrast and orientation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)

_ROWS = 1 << 12
_PAIRS = 1 << 10
_FREQUENCIES = 8

ROUNDING = np.float32(64)
"""Largest rounding error of a lower bound of a gap; the gap of a distance of 0.008."""

LENGTH = 2000
"""Length of a pattern of integers. Sums of products of such patterns, and half their squared lengths, have at most 24
bits, so that they are exact in float32 in any order of summation."""

FLATTEST = 2.0
"""Contrast (standard deviation, in grey levels) below which a thumbnail has no pattern to compare."""


def normalized_patterns(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return thumbnails as vectors of mean 0 and length 1, which are independent of brightness and contrast.

    The distance of two vectors is ``sqrt(2 - 2 r)``, where r is the correlation of the thumbnails.

    Parameters
    ----------
    thumbnails : ndarray of shape (n, side, side), uint8
        Grey thumbnails.

    Returns
    -------
    ndarray of shape (n, side * side), float32
        Zeros for thumbnails without contrast.
    """
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    contrast = flat.std(axis=1, keepdims=True)
    shown = contrast >= FLATTEST
    return np.where(shown, flat / np.where(shown, contrast, 1) / np.float32(np.sqrt(flat.shape[1])), np.float32(0))


class Patterns:
    """Patterns of signatures as integers, so that distances are exact.

    The distance of two images does not depend on the blocks in which it is computed, on the number of threads or on the
    library of linear algebra. Distances are given as *gaps*: half the squared distance of two patterns of length 2,000,
    which is a multiple of 0.5; a gap of 4,000,000 is that of two uncorrelated patterns.

    Most pairs can be excluded with a lower bound of their gap from 64 numbers for each image: numbers from the cosine
    transform of its pattern for the 63 lowest frequencies, and the length of the rest.

    Parameters
    ----------
    signatures : ndarray of shape (n, side, side), uint8
        Grey thumbnails. A thumbnail without contrast has a pattern of zeros, which correlates with no other pattern.

    Attributes
    ----------
    is_flat : ndarray of shape (n,), bool
        Whether a thumbnail has no contrast.
    orders : list of ndarray
        Order of the pixels of a pattern in each of the eight orientations; the first is unchanged.
    invariants : ndarray of shape (n, 66), float32
        Right factors of :func:`negative_gaps`, whose result is a lower bound of the gap in any of the eight
        orientations, except for rounding (:data:`ROUNDING`).
    """

    def __init__(self, signatures: NDArray[np.uint8]) -> None:
        n, side = len(signatures), signatures.shape[-1]
        n_pixels = side * side
        self.orders = [order.ravel() for order in orientations(np.arange(n_pixels).reshape(1, side, side))]
        self.is_flat = np.empty(n, np.bool_)
        self._values = np.empty((n, n_pixels), np.int16)
        self._halves = np.empty(n, np.float32)
        transform = _cosine_transform(side)
        n_numbers = len(transform) ** 2 + 2
        self.invariants = np.empty((n, n_numbers), np.float32)
        for start in range(0, n, _ROWS):
            block = slice(start, start + _ROWS)
            values = _integer_patterns(signatures[block])
            squares = np.square(values, dtype=np.float64).sum(axis=1)
            self._values[block], self.is_flat[block] = values, squares == 0
            self._halves[block] = np.where(squares == 0, LENGTH**2, squares) / 2
            waves = transform @ values.reshape(-1, side, side).astype(np.float64) @ transform.T
            rest = np.sqrt(np.maximum(squares - np.square(waves).sum(axis=(1, 2)), 0))
            factors = self.invariants[block]
            factors[:, :-2] = _invariants(waves).reshape(len(values), -1)
            factors[:, 0] = rest  # instead of the mean, which is 0 except for rounding
            factors[:, -2], factors[:, -1] = 1, -np.square(factors[:, :-2]).sum(axis=1) / 2

    def __len__(self) -> int:
        return len(self._values)

    def rows(self, at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the left factors of :func:`negative_gaps` for the images at the given positions."""
        return as_rows(self.columns(at))

    def columns(self, at: NDArray[np.int64], order: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Return the right factors of :func:`negative_gaps`, for an orientation from :attr:`orders`."""
        factors = np.empty((len(at), self._values.shape[1] + 2), np.float32)
        values = self._values[at]
        factors[:, :-2] = values if order is None else values[:, order]
        factors[:, -2], factors[:, -1] = 1, -self._halves[at]
        return factors

    def gaps(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the gaps of pairs: of the eight orientations, the smallest gap."""
        gaps = np.empty(len(ones), np.float32)
        for start in range(0, len(ones), _PAIRS):
            block = slice(start, start + _PAIRS)
            left, right = (self._values[at[block]].astype(np.float32) for at in (ones, others))
            product = np.max([np.einsum("ij,ij->i", left, right[:, order]) for order in self.orders], axis=0)
            gaps[block] = self._halves[ones[block]] + self._halves[others[block]] - product
        return gaps


def _integer_patterns(thumbnails: NDArray[np.uint8]) -> NDArray[np.int16]:
    n_pixels = thumbnails[0].size
    pixels = thumbnails.reshape(-1, n_pixels).astype(np.int64)
    pixels = n_pixels * pixels - pixels.sum(axis=1, keepdims=True)
    squares = np.square(pixels).sum(axis=1, keepdims=True)
    shown = squares >= FLATTEST**2 * n_pixels**3
    values = np.rint(pixels * (LENGTH / np.sqrt(np.where(shown, squares, 1))))
    return np.where(shown, values, 0).astype(np.int16)


def _cosine_transform(side: int) -> NDArray[np.float64]:
    """Return the orthonormal cosine transform (DCT-II) for the lowest frequencies, shape (n_frequencies, side)."""
    frequencies = np.arange(min(_FREQUENCIES, side))[:, None]
    waves: NDArray[np.float64] = np.cos(np.pi * frequencies * (np.arange(side) + 0.5) / side) * np.sqrt(2 / side)
    waves[0] /= np.sqrt(2)
    return waves


def _invariants(waves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers that are the same for all orientations, and whose distance is at most that of the waves.

    To mirror a thumbnail changes the sign of the waves with an odd frequency in one direction; to transpose it
    exchanges the frequencies of the two directions. Absolute values, and the larger and the smaller of two numbers,
    are independent of this; neither increases a distance.
    """
    is_odd = np.arange(waves.shape[1]) % 2
    parity = is_odd[:, None] + is_odd
    upper = np.triu(np.ones(waves.shape[1:], np.bool_), 1)
    swapped = waves.transpose(0, 2, 1)
    total, difference = (waves + swapped) / np.sqrt(2), np.abs(waves - swapped) / np.sqrt(2)
    both = np.where(upper, np.where(parity == 2, np.abs(total), total), difference)
    one, other = np.abs(waves), np.abs(swapped)
    mixed = np.where(upper, np.maximum(one, other), np.minimum(one, other))
    found = np.where(parity == 1, mixed, both)
    diagonal = np.arange(waves.shape[1])
    own = waves[:, diagonal, diagonal]
    found[:, diagonal, diagonal] = np.where(is_odd, np.abs(own), own)
    return found


def as_rows(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return right factors of :func:`negative_gaps` as left factors."""
    rows = columns.copy()
    rows[:, -2], rows[:, -1] = columns[:, -1], columns[:, -2]
    return rows


def negative_gaps(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the gaps of all pairs with negative sign, shape (n_rows, n_columns); see :class:`Patterns`."""
    return rows @ columns.T


def gap_of(distance: float) -> float:
    """Return the gap of two images whose patterns of length 1 have the given distance."""
    return distance**2 * LENGTH**2 / 2


def orientations(thumbnails: NDArray[Pixel]) -> Iterator[NDArray[Pixel]]:
    """Yield thumbnails, shape (n, side, side, ...), in all eight orientations; the first is unchanged."""
    for mirrored in (thumbnails, thumbnails[:, :, ::-1]):
        for quarter_turns in range(4):
            yield np.ascontiguousarray(np.rot90(mirrored, quarter_turns, (1, 2)))
