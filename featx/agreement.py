"""How well two sets of features of the same images agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_COSINE = 0.9999
"""Cosine that features of each probe image need where the same arithmetic computed both."""

MIN_MEAN_COSINE = 0.995
"""Mean cosine over the probe images that is enough where another precision computed one of them."""


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of each row with the same row of another array.

    Parameters
    ----------
    a, b : ndarray of shape (n, n_features), float32

    Returns
    -------
    ndarray of shape (n,), float64
        1 for rows that are equal, even if they are zero.

    Examples
    --------
    >>> import numpy as np
    >>> cosines(np.array([[1, 0], [0, 0]], np.float32), np.array([[0, 2], [0, 0]], np.float32)).tolist()
    [0.0, 1.0]
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    found = (x * y).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
    return np.where((x == y).all(axis=1), 1.0, found)
