"""Draw the random transformations of each view, which depend only on the image, view number, policy and seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.augmentation.policy import parameters_of

_DRAWS = (
    "flip_x",
    "flip_y",
    "rotation",
    "zoom",
    "shear",
    "shift_x",
    "shift_y",
    "crop",
    "crop_x",
    "crop_y",
    "brightness",
    "contrast",
)
"""Random numbers drawn for every view, in this order; the policy determines which of them are used."""


@dataclass(frozen=True)
class Transformations:
    """Transformations of images.

    Parameters
    ----------
    matrices : ndarray of shape (n, 8), float32, or None
        Affine maps from the pixels of a view to the pixels of the image, in the form of
        ``keras.ops.image.affine_transform``; None without geometric changes.
    brightness : ndarray of shape (n,), float32, or None
        Offset that is added to each pixel value, in levels from 0 to 255; None without changes of brightness.
    contrast : ndarray of shape (n,), float32, or None
        Factor by which the difference of each pixel value from the mean of the channel is multiplied; None without
        changes of contrast.
    """

    matrices: NDArray[np.float32] | None
    brightness: NDArray[np.float32] | None
    contrast: NDArray[np.float32] | None


def draw_transformations(
    content_hashes: NDArray[np.uint8], views: NDArray[np.int64], policy: str, seed: int, size: int
) -> Transformations:
    """Draw the transformations of views.

    Parameters
    ----------
    content_hashes : ndarray of shape (n, 32), uint8
        SHA-256 of the file of each image.
    views : ndarray of shape (n,), int64
        Number of the view of each image, at least 1.
    policy : str
        Canonical policy, as returned by :func:`featx.augmentation.read_policy`.
    seed : int
        Random seed of the views.
    size : int
        Side of the images in pixels.
    """
    parameters = parameters_of(policy)
    pairs = zip(content_hashes, views.tolist(), strict=True)
    drawn = np.array([_draw(content_hash.tobytes(), view, policy, seed) for content_hash, view in pairs])
    even = dict(zip(_DRAWS, drawn.T, strict=True))
    geometric = parameters.keys() - {"brightness", "contrast"}

    def signed(name: str) -> NDArray[np.float64]:
        return np.asarray((2 * even[name] - 1) * parameters.get(name.partition("_")[0], 0.0))

    return Transformations(
        matrices=_matrices(even, signed, parameters, size) if geometric else None,
        brightness=(255 * signed("brightness")).astype(np.float32) if "brightness" in parameters else None,
        contrast=(1 + signed("contrast")).astype(np.float32) if "contrast" in parameters else None,
    )


def _draw(content_hash: bytes, view: int, policy: str, seed: int) -> NDArray[np.float64]:
    """Return uniform random numbers from 0 to 1 (exclusive), one for each name in ``_DRAWS``."""
    digest = hashlib.sha256(f"{policy}|{seed}|{view}|".encode() + content_hash).digest()
    # NumPy guarantees that the raw output of the bit generator never changes, but not the output of Generator.uniform.
    raw = np.random.PCG64(int.from_bytes(digest, "big")).random_raw(len(_DRAWS))
    return np.asarray(raw >> np.uint64(11)) * 2.0**-53


def _matrices(even: dict[str, NDArray[np.float64]], signed: Any, parameters: Any, size: int) -> NDArray[np.float32]:
    """Return matrices that map points of the view to points of the image, both relative to the centre.

    A single matrix needs a single interpolation. Each geometric layer of Keras interpolates again, which takes three
    times as long and preserves half of the sharpness instead of seven tenths (docs/decisions/augmented-views.md).
    In addition, RandomShear shears around a corner instead of the centre.
    """
    flip = parameters.get("flip", "")
    n = len(even["zoom"])
    angle = np.deg2rad(signed("rotation"))
    cosine, sine = np.cos(angle), np.sin(angle)
    part = 1 - even["crop"] * parameters.get("crop", 0.0)  # fraction of the side that remains after the crop
    scale = (1 + signed("zoom")) * part
    mirror_x = np.where((even["flip_x"] < 0.5) & (flip in ("horizontal", "both")), -1.0, 1.0)
    mirror_y = np.where((even["flip_y"] < 0.5) & (flip in ("vertical", "both")), -1.0, 1.0)
    shear = signed("shear")
    turned = np.empty((n, 2, 2))
    # rotation @ shear along x @ scale and mirror
    turned[:, 0, 0], turned[:, 0, 1] = cosine * scale * mirror_x, (cosine * shear - sine) * scale * mirror_y
    turned[:, 1, 0], turned[:, 1, 1] = sine * scale * mirror_x, (sine * shear + cosine) * scale * mirror_y
    middle = (size - 1) / 2
    moved = np.empty((n, 2))
    for axis, name in enumerate("xy"):
        window = (2 * even[f"crop_{name}"] - 1) * (1 - part) / 2
        moved[:, axis] = middle + size * (signed(f"shift_{name}") + window)
    offset = moved - middle * turned.sum(axis=2)
    columns = (turned[:, 0, 0], turned[:, 0, 1], offset[:, 0], turned[:, 1, 0], turned[:, 1, 1], offset[:, 1])
    matrices = np.zeros((n, 8), np.float32)
    matrices[:, :6] = np.stack(columns, axis=1)
    return matrices
