"""Count the pages or frames of an image file, up to a limit."""

from __future__ import annotations

from PIL import Image

from featx.images.tiff import Tiff

_ONE_IMAGE = ("MPO", "HEIF")
"""Formats in which further images are other versions of the first image."""

_DESCRIPTOR, _EXTENSION, _END = 0x2C, 0x21, 0x3B
_MOST_BLOCKS = 1_000_000


def count_pages(image: Image.Image, data: bytes, most: int) -> int:
    """Return the number of pages of a TIFF or frames of an animation, in bounded time.

    Parameters
    ----------
    image : PIL.Image.Image
        The opened image.
    data : bytes
        The whole image file.
    most : int
        Number at which counting stops.
    """
    if image.format in _ONE_IMAGE:
        return 1
    if image.format == "TIFF":
        return _count_tiff(data, most)
    if image.format == "GIF":
        return _count_gif(data, most)
    return min(int(getattr(image, "n_frames", 1)), most)  # the header contains the number


def _count_tiff(data: bytes, most: int) -> int:
    tiff = Tiff.of(data)
    at, seen = tiff.first, set[int]()
    while 0 < at < len(data) and at not in seen and len(seen) < most:
        seen.add(at)
        at = tiff.after(at)
    return max(1, len(seen))


def _count_gif(data: bytes, most: int) -> int:
    """Count the image descriptors (GIF89a, section 20)."""
    n, at, inside = 0, 13 + _table_bytes(data[10]), False
    for _ in range(_MOST_BLOCKS):
        if n >= most or at >= len(data):
            break
        kind = data[at]
        if inside:  # data of an image or an extension, in sub-blocks
            inside = kind != 0
            at += 1 + kind
        elif kind == _DESCRIPTOR and at + 9 < len(data):
            n += 1
            inside = True
            at += 11 + _table_bytes(data[at + 9])
        elif kind == _EXTENSION:
            inside = True
            at += 2
        elif kind == _END:
            break
        else:
            at += 1
    return max(1, n)


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
