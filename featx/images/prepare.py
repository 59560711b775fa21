"""Convert file bytes to the square pixels that a backbone receives, and a small signature of the whole image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.images.decode import MAX_PIXELS, decode
from featx.images.resize import ResizableImage
from featx.spec import Resize
from featx.table import SIGNATURE_SHAPE

Fitting = Resize | Literal["fit"]
"""Rule for resizing an image: to a square or, with ``fit``, to a rectangle of the same aspect ratio."""

CROP_FRACTION = 0.875
"""Fraction of the shorter side that the rule ``crop`` keeps, as in the usual evaluation on ImageNet."""

_PAD_GREY = 127


@dataclass(frozen=True)
class Prepared:
    """An image that is ready for a backbone.

    Parameters
    ----------
    pixels : ndarray of shape (size, size, 3), uint8
        RGB pixels; with the rule ``fit``, of shape (height, width, 3).
    signature : ndarray of shape (64, 64), uint8
        Grey thumbnail of the whole upright image, to find near-duplicates without decoding again.
    width, height : int
        Size of the upright image in pixels.
    note : str
        Remark for the user on how the image was read; empty if there is none.
    """

    pixels: NDArray[np.uint8]
    signature: NDArray[np.uint8]
    width: int
    height: int
    note: str = ""


def prepare(
    data: bytes,
    size: int,
    resize: Fitting = "crop",
    *,
    white: int | None = None,
    page: int = 1,
    max_pixels: int = MAX_PIXELS,
    allow_large: bool = True,
) -> Prepared:
    """Decode an image file and resize it to a square.

    Parameters
    ----------
    data : bytes
        A whole image file.
    size : int
        Side of the square, in pixels.
    resize : {"crop", "squash", "pad", "fit"}
        ``crop``: the square at the centre, whose side is 7/8 of the shorter side of the image; ``squash``: the whole
        image, without keeping the aspect ratio; ``pad``: the whole image in its aspect ratio, with grey margins;
        ``fit``, for display only: the whole image in its aspect ratio, with a longer side of at most ``size``. All
        rules use antialiased bilinear interpolation.
    white, page, max_pixels, allow_large
        See :func:`featx.images.decode`.

    Returns
    -------
    Prepared

    Raises
    ------
    ImageError
        If the file contains no usable image. The message states the reason.
    CostlyError
        If the image is large and ``allow_large`` is False.
    """
    rule = _RULES[resize]

    def enough(width: int, height: int) -> float:
        return rule.enough(width, height, size)

    decoded = decode(data, enough, white=white, page=page, max_pixels=max_pixels, allow_large=allow_large)
    image = ResizableImage(decoded.upright)
    thumbnail = Image.fromarray(image.average(*SIGNATURE_SHAPE)).convert("L")
    return Prepared(rule.apply(image, size), np.asarray(thumbnail), decoded.width, decoded.height, decoded.note)


@dataclass(frozen=True)
class _Rule:
    """Function that resizes an image, and function that returns the smallest sufficient scale for decoding."""

    apply: Callable[[ResizableImage, int], NDArray[np.uint8]]
    enough: Callable[[int, int, int], float]


def _crop(image: ResizableImage, size: int) -> NDArray[np.uint8]:
    side = CROP_FRACTION * min(image.width, image.height)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    # Resizing only the box bounds the memory for images of any shape.
    return image.resize(size, size, box=(left, top, left + side, top + side))


def _squash(image: ResizableImage, size: int) -> NDArray[np.uint8]:
    return image.resize(size, size)


def _pad(image: ResizableImage, size: int) -> NDArray[np.uint8]:
    resized = _whole(image, size / max(image.width, image.height))
    height, width, _ = resized.shape
    left, top = (size - width) // 2, (size - height) // 2
    square = np.full((size, size, 3), _PAD_GREY, np.uint8)
    square[top : top + height, left : left + width] = resized
    return square


def _fit(image: ResizableImage, size: int) -> NDArray[np.uint8]:
    return _whole(image, min(1.0, size / max(image.width, image.height)))


def _whole(image: ResizableImage, scale: float) -> NDArray[np.uint8]:
    return image.resize(max(1, round(image.width * scale)), max(1, round(image.height * scale)))


_RULES = {
    "crop": _Rule(_crop, lambda width, height, size: size / (CROP_FRACTION * min(width, height))),
    "squash": _Rule(_squash, lambda width, height, size: size / min(width, height)),
    "pad": _Rule(_pad, lambda width, height, size: size / max(width, height)),
    "fit": _Rule(_fit, lambda width, height, size: size / max(width, height)),
}
