"""How alike two images are: coarse grey patterns, whatever their brightness, contrast and orientation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Pixel = TypeVar("Pixel", bound=np.generic)

FLATTEST = 2.0
"""Contrast, in grey levels, below which a thumbnail shows no pattern to compare."""


def normalized_patterns(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return thumbnails as vectors of mean 0 and length 1, so that brightness and contrast do not count.

    The distance of two vectors is ``sqrt(2 - 2 r)``, where r is the correlation of the thumbnails.

    Parameters
    ----------
    thumbnails : ndarray of shape (n, side, side), uint8
        Grey.

    Returns
    -------
    ndarray of shape (n, side * side), float32
        Zeros where a thumbnail is too flat to show anything.
    """
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    contrast = flat.std(axis=1, keepdims=True)
    shown = contrast >= FLATTEST
    return np.where(shown, flat / np.where(shown, contrast, 1) / np.float32(np.sqrt(flat.shape[1])), np.float32(0))


def orientations(thumbnails: NDArray[Pixel]) -> Iterator[NDArray[Pixel]]:
    """Yield thumbnails, shape (n, side, side, ...), as they are, then turned and mirrored in the seven other ways."""
    for mirrored in (thumbnails, thumbnails[:, :, ::-1]):
        for quarter_turns in range(4):
            yield np.ascontiguousarray(np.rot90(mirrored, quarter_turns, (1, 2)))
