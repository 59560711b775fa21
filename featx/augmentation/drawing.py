"""Draw what happens to each view of each image, from nothing but image, view, policy and seed."""

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
"""Each view draws all of them in this order; which of them count is for the policy to say."""


@dataclass(frozen=True)
class Transformations:
    """What happens to some images.

    Parameters
    ----------
    matrices : ndarray of shape (n, 8), float32, or None
        Where each pixel of a view comes from, as ``keras.ops.image.affine_transform`` takes it; None if nowhere else.
    brightness : ndarray of shape (n,), float32, or None
        What is added to each value from 0 to 255.
    contrast : ndarray of shape (n,), float32, or None
        The factor of each value's distance from the mean of its channel.
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
    views : ndarray of shape (n,), int64
        From 1.
    policy : str
        Canonical.
    seed : int
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
    """Return numbers from 0 to 1, one for each of ``_DRAWS``."""
    digest = hashlib.sha256(f"{policy}|{seed}|{view}|".encode() + content_hash).digest()
    # Raw output of the bit generator: numpy promises that it never changes, and not so of Generator.uniform.
    raw = np.random.PCG64(int.from_bytes(digest, "big")).random_raw(len(_DRAWS))
    return np.asarray(raw >> np.uint64(11)) * 2.0**-53


def _matrices(even: dict[str, NDArray[np.float64]], signed: Any, parameters: Any, size: int) -> NDArray[np.float32]:
    """Return matrices from points of the view to points of the image, both around the centre.

    One matrix, and so one interpolation: each of Keras's geometric layers interpolates anew, which takes three times as
    long and keeps half of the sharpness and not seven tenths (docs/decisions/augmented-views.md); and RandomShear
    shears around a corner and not around the centre.
    """
    flip = parameters.get("flip", "")
    n = len(even["zoom"])
    angle = np.deg2rad(signed("rotation"))
    cosine, sine = np.cos(angle), np.sin(angle)
    part = 1 - even["crop"] * parameters.get("crop", 0.0)  # of the side that the crop leaves
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
