"""Check that a decoder reached the last row of an image, because Pillow silently leaves missing PNG rows black."""

from __future__ import annotations

import struct
import zlib

from PIL import Image

from featx.images.png import chunks

_PIECE = 1 << 20
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, column step and row step of each pass of an interlaced PNG (PNG specification, 8.2)."""


def is_complete(image: Image.Image, data: bytes) -> bool:
    """Return whether a loaded image is complete.

    Only PNG files are checked. Files of other formats count as complete.

    Parameters
    ----------
    image : PIL.Image.Image
        The loaded image.
    data : bytes
        The whole image file.
    """
    if image.format != "PNG" or not data.startswith(b"\x89PNG"):
        return True
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if not interlaced:
        last_row = image.crop((0, image.height - 1, image.width, image.height))
        if last_row.getbbox() is not None:  # not all zero: the decoder reached the last row
            return True
    n_expected = _n_expected(width, height, bits, colour, bool(interlaced))
    return _n_inflated(data, n_expected) >= n_expected


def _n_expected(width: int, height: int, bits: int, colour: int, interlaced: bool) -> int:
    """Return the number of bytes of all rows, including one filter byte per row."""
    row_bits = bits * _CHANNELS.get(colour, 1)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    total = 0
    for x, y, dx, dy in passes:
        columns, rows = -(-(width - x) // dx), -(-(height - y) // dy)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * row_bits + 7) // 8)
    return total


def _n_inflated(data: bytes, enough: int) -> int:
    """Return the number of bytes of decompressed pixel data; decompression stops soon after ``enough`` bytes."""
    stream = zlib.decompressobj()
    total = 0
    for kind, at, end in chunks(data):
        if kind == b"IDAT":
            rest = data[at + 8 : end - 4]
            while rest and not stream.eof and total < enough:
                total += len(stream.decompress(rest, _PIECE))
                rest = stream.unconsumed_tail
        if kind == b"IEND" or total >= enough:
            break
    return total if total >= enough else total + len(stream.flush())
