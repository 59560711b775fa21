"""Augmented views of images: geometric and brightness changes drawn according to a policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.augmentation.drawing import draw_transformations
from featx.augmentation.policy import PRESETS, read_policy

__all__ = ["PRESETS", "make_views", "read_policy"]


def make_views(
    pixels: NDArray[np.uint8], content_hashes: NDArray[np.uint8], view: int | NDArray[np.int64], policy: str, seed: int
) -> NDArray[np.uint8]:
    """Return views of images; the pixels of a view depend only on image, view number, policy and seed.

    Keras is imported unless every view is 0.

    Parameters
    ----------
    pixels : ndarray of shape (n, size, size, 3), uint8
        Pixels of the images.
    content_hashes : ndarray of shape (n, 32), uint8
        SHA-256 of each image's file.
    view : int or ndarray of shape (n,), int
        Number of the view, for all images or for each one; 0 is the unchanged image.
    policy : str
        Canonical policy, as returned by :func:`read_policy`.
    seed : int

    Returns
    -------
    ndarray of shape (n, size, size, 3), uint8
    """
    views = np.broadcast_to(np.asarray(view, np.int64), len(pixels))
    changed = np.flatnonzero(views)
    made = pixels.copy()
    if len(changed):
        from featx.augmentation.layers import transform  # with Keras

        drawn = draw_transformations(content_hashes[changed], views[changed], policy, seed, pixels.shape[1])
        made[changed] = transform(pixels[changed], drawn)
    return made
