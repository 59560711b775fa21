"""Decode JPEG files at reduced size; libjpeg-turbo downscales during decoding, which is fast and antialiased."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from featx.errors import ImageError

APP1, APP2, SCAN, END = 0xE1, 0xE2, 0xDA, 0xD9
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of segments (ITU T.81, table B.1)."""

_MARKER = 0xFF
_MOST_SEGMENTS = 256

_LEFT_OVER = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd\d")
_INCOMPLETE = re.compile(r"premature end|bad Huffman|found marker 0x\w\w instead of RST", re.IGNORECASE)


def decode_jpeg(data: bytes, width: int, height: int, scale: float, mode: str) -> tuple[NDArray[np.uint8] | None, str]:
    """Decode a JPEG of 8-bit grey or colour.

    Parameters
    ----------
    data : bytes
        A whole JPEG file.
    width, height : int
        Size of the stored image, in pixels.
    scale : float
        Smallest sufficient scale, at most 1. The image is decoded at the smallest of the scales 1, 1/2, 3/8, 1/4 and
        1/8 that is not below this scale.
    mode : {"L", "RGB", "CMYK"}
        Mode of the result; with CMYK, the file is only checked.

    Returns
    -------
    ndarray of shape (height, width) for L or (height, width, 3) for RGB, uint8, or None
        Pixels in the stored orientation (the EXIF orientation is not applied). None for CMYK, and for an unusual file:
        a more tolerant decoder can then read the file or report the reason.
    note : str
        Remark for the user, or an empty string.

    Raises
    ------
    ImageError
        If part of the image is missing. Tolerant decoders silently fill the missing part with grey.
    """
    scale = min(scale, 1.0)
    try:
        pixels = simplejpeg.decode_jpeg(
            data,
            colorspace={"L": "GRAY"}.get(mode, mode),
            min_height=math.ceil(height * scale),
            min_width=math.ceil(width * scale),
            min_factor=2,  # other eighths are no faster than full size
            strict=True,
        )
    except ValueError as error:
        if _INCOMPLETE.search(str(error)):
            raise ImageError("truncated or damaged JPEG: part of the image is missing") from None
        return None, "extraneous data, perhaps damaged" if _LEFT_OVER.match(str(error)) else ""
    if mode == "CMYK":
        return None, ""
    return (pixels[:, :, 0] if mode == "L" else pixels), ""


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of at most 256 segments of a JPEG file, up to the first scan."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        head = data[at : at + 4]
        if len(head) < 4 or head[0] != _MARKER:
            return
        if head[1] == _MARKER:  # fill bytes may precede a marker
            at += 1
            continue
        length = int.from_bytes(head[2:], "big")
        if length < 2:
            return
        yield head[1], at + 4, at + 2 + length
        if head[1] == SCAN:
            return
        at += 2 + length


def jpeg_bits(data: bytes) -> int | None:
    """Return the bits per channel in the frame header of a JPEG file (ITU T.81, B.2.2); None if there is no header."""
    return next((data[start] for marker, start, _ in segments(data) if marker in FRAMES and start < len(data)), None)
