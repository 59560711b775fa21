"""Recognise image files and their formats by the content or the file name."""

from __future__ import annotations

import posixpath
import re
import struct

_EXTENSIONS = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp",
    ".heic", ".heif", ".avif", ".jp2", ".mpo", ".apng", ".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".qoi", ".tga",
}  # fmt: skip
_MAGIC: dict[str, tuple[bytes, ...]] = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG 2000": (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"),
    "QOI": (b"qoif",),
}
_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

_PNM = re.compile(rb"(?:P[456]\s|P[123][\r\n]|Pf[\r\n])\s*[\d#]")
"""Start of a PNM file. In the plain formats, whose content is text, the magic number must be a line of its own, because
other text may also begin with P1."""

_PNM_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM_HEADER = re.compile(rb"P[2356]" + (_PNM_GAP + rb"\d{1,9}") * 2 + _PNM_GAP + rb"(\d{1,9})\s")
_LONGEST_HEADER = 65_536

_TGA = struct.Struct("<BBBHHBHHHHBB")
_TGA_DEPTHS = {1: (8,), 2: (16, 24, 32), 3: (8, 16), 9: (8,), 10: (16, 24, 32), 11: (8, 16)}
"""Allowed bits per pixel by image type: 1 palette, 2 colour, 3 grey; run-length encoding adds 8 to the type."""

_TGA_PACKED = 8


def image_format(head: bytes) -> str | None:
    """Return the image format that the first 16 bytes of a file indicate; None if it is unknown.

    Besides the formats that featx decodes, ``JPEG 2000`` is recognised, to report a more precise reason. A TGA file has
    no magic number; see :func:`is_tga`.
    """
    for kind, magic in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if head.startswith(b"BM") and (len(head) < 10 or head[6:10] == b"\0\0\0\0"):
        return "BMP"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in _AVIF:
        return "AVIF"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return "HEIC"
    return "PNM" if _PNM.match(head) else None


def pnm_maxval(data: bytes) -> int:
    """Return the maximum value (white) in the header of a PGM or PPM file; 0 for every other file."""
    header = _PNM_HEADER.match(data[:_LONGEST_HEADER])
    return int(header[1]) if header else 0


def is_tga(data: bytes) -> bool:
    """Return whether a whole file is a TGA image.

    A TGA file has no magic number, so the consistency of the header is checked.
    """
    if len(data) <= _TGA.size:
        return False
    n_id, has_map, kind, _, n_map, map_bits, _, _, width, height, depth, flags = _TGA.unpack_from(data)
    is_mapped = kind & ~_TGA_PACKED == 1
    if depth not in _TGA_DEPTHS.get(kind, ()) or not (width and height) or flags & 0xC0 or has_map != is_mapped:
        return False
    if (map_bits not in (16, 24, 32) or not n_map) if is_mapped else (map_bits or n_map):
        return False
    start = _TGA.size + n_id + n_map * map_bits // 8
    n_bytes = 1 if kind & _TGA_PACKED else width * height * depth // 8
    return bool(len(data) >= start + n_bytes)


def looks_like_image(name: str, head: bytes) -> bool:
    """Return whether a file is regarded as an image, by the first bytes or by the extension of the name."""
    return posixpath.splitext(name)[1].lower() in _EXTENSIONS or image_format(head) is not None
