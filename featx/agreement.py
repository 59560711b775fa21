"""Measure how well two feature arrays of the same images agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_COSINE = 0.9999
"""Minimum cosine for each probe image if both feature arrays were computed in the same precision."""

MIN_MEAN_COSINE = 0.995
"""Minimum mean cosine over the probe images if the feature arrays were computed in different precisions."""


def reproduces(stored: NDArray[np.float32], computed: NDArray[np.float32]) -> tuple[bool, float]:
    """Return whether features of the probe images are those that are stored, and their smallest cosine.

    Parameters
    ----------
    stored, computed : ndarray of shape (n, n_features), float32
        Features of the same images in the same precision.
    """
    if np.array_equal(stored, computed):
        return True, 1.0
    cosine = float(cosines(stored, computed).min())
    return cosine >= MIN_COSINE, cosine


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine between corresponding rows of two arrays.

    Parameters
    ----------
    a, b : ndarray of shape (n, n_features), float32

    Returns
    -------
    ndarray of shape (n,), float64
        Cosine of each pair of rows; 1 for equal rows, even if they are zero.

    Examples
    --------
    >>> import numpy as np
    >>> cosines(np.array([[1, 0], [0, 0]], np.float32), np.array([[0, 2], [0, 0]], np.float32)).tolist()
    [0.0, 1.0]
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    cosine = (x * y).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
    return np.where((x == y).all(axis=1), 1.0, cosine)
