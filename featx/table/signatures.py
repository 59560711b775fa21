"""Reduce signatures, the grey thumbnails of images, to the coarse thumbnails that are compared first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIGNATURE_SHAPE = (64, 64)
COARSE_SIDE = 16


def coarse(signatures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of the cells of a 16 x 16 grid, shape (n, 16, 16), of signatures, shape (n, 64, 64)."""
    cell = signatures.shape[1] // COARSE_SIDE
    cells = signatures.reshape(-1, COARSE_SIDE, cell, COARSE_SIDE, cell)
    sums = cells.sum(axis=(2, 4), dtype=np.uint32)
    return np.asarray((sums + cell * cell // 2) // (cell * cell)).astype(np.uint8)
