"""Compare images by coarse grey patterns, independently of brightness, contrast and orientation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)

_ROWS = 1 << 12

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

    Parameters
    ----------
    signatures : ndarray of shape (n, side, side), uint8
        Grey thumbnails. A thumbnail without contrast has a pattern of zeros, which correlates with no other pattern.
    """

    def __init__(self, signatures: NDArray[np.uint8]) -> None:
        n, n_pixels = len(signatures), signatures[0].size if len(signatures) else 1
        self._values = np.empty((n, n_pixels), np.int16)
        self._halves = np.empty(n, np.float32)
        self.is_flat = np.empty(n, np.bool_)
        for start in range(0, n, _ROWS):
            block = slice(start, start + _ROWS)
            pixels = signatures[block].reshape(-1, n_pixels).astype(np.int64)
            pixels = n_pixels * pixels - pixels.sum(axis=1, keepdims=True)
            squares = np.square(pixels).sum(axis=1, keepdims=True)
            shown = squares >= FLATTEST**2 * n_pixels**3
            values = np.rint(pixels * (LENGTH / np.sqrt(np.where(shown, squares, 1))))
            self._values[block] = np.where(shown, values, 0)
            squares = np.square(self._values[block], dtype=np.float64).sum(axis=1)
            self._halves[block] = np.where(shown[:, 0], squares, LENGTH**2) / 2
            self.is_flat[block] = ~shown[:, 0]
        side = signatures.shape[-1]
        positions = np.arange(side * side).reshape(1, side, side)
        self.orders = [order.ravel() for order in orientations(positions)]
        """Order of the pixels of a pattern in each of the eight orientations; the first is unchanged."""

    def __len__(self) -> int:
        return len(self._values)

    def rows(self, at: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the left factors of :func:`negative_gaps` for the images at the given positions."""
        factors = np.empty((len(at), self._values.shape[1] + 2), np.float32)
        factors[:, :-2], factors[:, -2], factors[:, -1] = self._values[at], -self._halves[at], 1
        return factors

    def columns(self, at: NDArray[np.int64], order: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Return the right factors of :func:`negative_gaps`, for an orientation from :attr:`orders`."""
        factors = np.empty((len(at), self._values.shape[1] + 2), np.float32)
        values = self._values[at]
        factors[:, :-2] = values if order is None else values[:, order]
        factors[:, -2], factors[:, -1] = 1, -self._halves[at]
        return factors


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
