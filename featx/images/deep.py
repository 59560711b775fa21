"""Measure the brightness of images with more than 8 bits, to detect images that would be nearly black."""

from __future__ import annotations

import io
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from featx.images.colour import FULL_SCALE, has_deep_colour, is_deep_grey, white_of
from featx.images.decode import LARGE_PIXELS, MAX_PIXELS, CostlyError
from featx.images.formats import image_format, pnm_maxval
from featx.images.tiff import BITS_PER_SAMPLE, Tiff

_BITS_OF_PNG = 24
"""Position of the bit depth in a PNG file."""

_HEADER = 4096
"""Number of further bytes of a PNM file that are read, to contain the header unless it has long comments."""


class Brightest(NamedTuple):
    """Brightness of an image with more than 8 bits.

    Parameters
    ----------
    value : int
        Largest pixel value.
    white : int
        Value of white.
    is_grey : bool
        Whether the image is grey without opacity. Of other images, only the upper 8 bits are measured.
    """

    value: int
    white: int
    is_grey: bool


def may_be_deep(stream: BinaryIO) -> bool:
    """Return whether an open file is a PNG, TIFF or PNM with more than 8 bits per channel; only the header is read."""
    head = stream.read(33)
    kind = image_format(head[:16])
    if kind == "PNG":
        return head[_BITS_OF_PNG : _BITS_OF_PNG + 1] == b"\x10"
    if kind == "PNM":
        return pnm_maxval(head + stream.read(_HEADER)) > 255
    return kind == "TIFF" and _is_deep_tiff(stream)


def _is_deep_tiff(stream: BinaryIO) -> bool:
    def read(at: int, n: int) -> bytes:
        stream.seek(at)
        return stream.read(n)

    try:
        tiff = Tiff(read)
        return any(tag == BITS_PER_SAMPLE and 8 < tiff.number(entry) <= 16 for tag, entry in tiff.entries(tiff.first))
    except (ValueError, OSError, OverflowError):  # the defect is reported when the file is decoded
        return False


def brightest(data: bytes, *, max_pixels: int = MAX_PIXELS, allow_large: bool = True) -> Brightest | None:
    """Return the brightness of an image with more than 8 bits.

    Parameters
    ----------
    data : bytes
        A whole PNG, TIFF or PGM file.
    max_pixels, allow_large
        See :func:`featx.images.decode`.

    Returns
    -------
    Brightest or None
        Brightness; None for other files, for images with more than ``max_pixels`` pixels, and for damaged files, whose
        defect is reported when they are decoded.

    Raises
    ------
    CostlyError
        If the image is large and ``allow_large`` is False.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "TIFF", "PPM")) as image:
            grey, colour = is_deep_grey(image), has_deep_colour(image)
            n_pixels = image.width * image.height
            if not (grey or colour) or n_pixels > max_pixels:
                return None
            if n_pixels > LARGE_PIXELS and not allow_large:
                raise CostlyError
            values = np.asarray(image)
            if image.format == "PPM":
                maxval = pnm_maxval(data)
                return Brightest(round(int(values.max()) * maxval / FULL_SCALE), maxval, True)
            if grey:
                return Brightest(int(values.max()), white_of(image), True)
            colours = values[..., : 1 if image.mode == "LA" else 3]  # without the opacity
            return Brightest(int(colours.max()) * 257, FULL_SCALE, False)
    except CostlyError:
        raise
    except Exception:  # for invalid files, Pillow raises at least eight types of exceptions
        return None
