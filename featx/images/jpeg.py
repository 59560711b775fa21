"""JPEG files at reduced size: libjpeg-turbo shrinks while it decodes, which is fast and antialiased."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import simplejpeg
from PIL import Image

from featx.errors import ImageError

APP1, APP2, SCAN, END = 0xE1, 0xE2, 0xDA, 0xD9
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of segments (ITU T.81, table B.1)."""

_MARKER = 0xFF
_MOST_SEGMENTS = 256
_MOST_MARKERS = 10_000
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""Within a scan: neither a byte of its data nor a restart."""

_LEFT_OVER = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd\d")
_INCOMPLETE = re.compile(r"premature end|bad Huffman|found marker 0x\w\w instead of RST", re.IGNORECASE)


def decode_jpeg(data: bytes, width: int, height: int, scale: float, mode: str) -> tuple[Image.Image | None, str]:
    """Decode a JPEG of 8-bit grey or colour.

    Parameters
    ----------
    data : bytes
        A whole file.
    width, height : int
        Size of its image, in pixels.
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
        Part of the image is missing. Tolerant decoders fill it with grey, without a word.
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
        return None, "data left over, perhaps damaged" if _LEFT_OVER.match(str(error)) else ""
    if mode == "CMYK":
        return None, ""
    return Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels), ""


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker, start and end of each segment of a JPEG file, to its first scan; of the first 256, if more."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        head = data[at : at + 4]
        if len(head) < 4 or head[0] != _MARKER:
            return
        if head[1] == _MARKER:  # such bytes may stand in front of a marker
            at += 1
            continue
        length = int.from_bytes(head[2:], "big")
        if length < 2:
            return
        yield head[1], at + 4, at + 2 + length
        if head[1] == SCAN:
            return
        at += 2 + length


def count_scans(data: bytes, at: int) -> int:
    """Return how many scans begin behind a position in the first scan of a JPEG file; at most 10,000.

    What lies behind the image is not counted: a phone puts a video there, which has such bytes by chance.
    """
    n = 0
    for _ in range(_MOST_MARKERS):
        found = _NEXT_MARKER.search(data, at)
        if found is None or found[0][1] == END:
            return n
        n += found[0][1] == SCAN
        at = found.end() + max(2, int.from_bytes(data[found.end() : found.end() + 2], "big"))
    return _MOST_MARKERS


def jpeg_bits(data: bytes) -> int | None:
    """Return the bits of a colour that a JPEG file declares in its frame header (ITU T.81, B.2.2); None without one."""
    return next((data[start] for marker, start, _ in segments(data) if marker in FRAMES and start < len(data)), None)
