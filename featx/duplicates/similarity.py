"""Compare images by coarse grey patterns, independently of brightness, contrast and orientation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)

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


def orientations(thumbnails: NDArray[Pixel]) -> Iterator[NDArray[Pixel]]:
    """Yield thumbnails, shape (n, side, side, ...), in all eight orientations; the first is unchanged."""
    for mirrored in (thumbnails, thumbnails[:, :, ::-1]):
        for quarter_turns in range(4):
            yield np.ascontiguousarray(np.rot90(mirrored, quarter_turns, (1, 2)))
