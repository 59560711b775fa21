"""JPEG files at reduced size: libjpeg-turbo shrinks while it decodes, which is fast and antialiased."""

from __future__ import annotations

import math
import re

import simplejpeg
from PIL import Image

from featx.errors import ImageError

_MARKER = 0xFF
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_LEFT_OVER = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd\d")
_INCOMPLETE = re.compile(r"premature end|bad Huffman|found marker 0x\w\w instead of RST", re.IGNORECASE)


def decode_jpeg(data: bytes, width: int, height: int, scale: float, mode: str) -> tuple[Image.Image | None, str]:
    """Decode a JPEG of 8-bit grey or colour.

    Parameters
    ----------
    data : bytes
        A whole file.
    width, height : int
        Size of its picture, in pixels.
    scale : float
        The smallest scale that is enough, at most 1; of 1, 1/2, 3/8, 1/4 and 1/8 the next above is used.
    mode : {"L", "RGB", "CMYK"}
        Pixels wanted; CMYK only checks the file.

    Returns
    -------
    PIL.Image.Image or None
        As stored (no EXIF orientation applied); None for a file with anything unusual about it, which a more
        tolerant decoder may read or find a reason for, and for CMYK.
    note : str
        What a person should know; empty if nothing.

    Raises
    ------
    ImageError
        Part of the picture is missing. Tolerant decoders fill it with grey, without a word.
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
            raise ImageError("truncated or damaged JPEG: part of the picture is missing") from None
        return None, "data left over, perhaps damaged" if _LEFT_OVER.match(str(error)) else ""
    if mode == "CMYK":
        return None, ""
    return Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels), ""


def jpeg_bits(data: bytes) -> int | None:
    """Return the bits of a colour that a JPEG file declares in its frame header (ITU T.81, B.2.2); None without one."""
    at = 2
    while at + 5 <= len(data) and data[at] == _MARKER:
        if data[at + 1] in _FRAMES:
            return data[at + 4]
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
