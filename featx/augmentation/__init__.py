"""Make augmented views of images by random changes of geometry, brightness and contrast."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.augmentation.drawing import draw_transformations
from featx.augmentation.policy import PRESETS, read_policy

__all__ = ["PRESETS", "make_views", "read_policy"]


def make_views(
    pixels: NDArray[np.uint8], content_hashes: NDArray[np.uint8], view: int | NDArray[np.int64], policy: str, seed: int
) -> NDArray[np.uint8]:
    """Return views of images.

    The pixels of a view depend only on the image, the number of the view, the policy and the seed. Keras is imported
    unless all views are 0.

    Parameters
    ----------
    pixels : ndarray of shape (n, size, size, 3), uint8
        Pixels of the images.
    content_hashes : ndarray of shape (n, 32), uint8
        SHA-256 of each image's file.
    view : int or ndarray of shape (n,), int
        Number of the view, one for all images or one for each image. View 0 is the unchanged image.
    policy : str
        Canonical policy, as returned by :func:`read_policy`.
    seed : int
        Random seed of the views.

    Returns
    -------
    ndarray of shape (n, size, size, 3), uint8
        Pixels of the views.
    """
    views = np.broadcast_to(np.asarray(view, np.int64), len(pixels))
    changed = np.flatnonzero(views)
    made = pixels.copy()
    if len(changed):
        from featx.augmentation.layers import transform  # with Keras

        drawn = draw_transformations(content_hashes[changed], views[changed], policy, seed, pixels.shape[1])
        made[changed] = transform(pixels[changed], drawn)
    return made
