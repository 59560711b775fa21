"""Remove text and long colour profiles from PNG files.

Libraries refuse files with much compressed text, although text does not affect the pixels.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_HIDDEN_EXIF = (b"raw profile type", b"exif")
"""Keywords of text chunks that Pillow interprets as EXIF data."""

_HIDDEN_ORIENTATION = (*_HIDDEN_EXIF, b"xml:com.adobe.xmp")
_MOST_UNPACKED = 1 << 20
"""Maximum size of a decompressed text chunk or colour profile that Pillow accepts, in bytes."""

_LONGEST_PROFILE = 16_000_000
_SIGNATURE_BYTES = 8


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of each chunk of a PNG file.

    The content of the chunk is ``data[start + 8 : end - 4]``. In a truncated file, the last chunk may end beyond the
    end of the file.
    """
    at = _SIGNATURE_BYTES
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at, end
        at = end


def _unpacked(packed: bytes, most: int) -> bytes:
    """Return at most ``most`` bytes of decompressed data; empty if the compressed data are damaged."""
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error:
        return b""


def _packed_profile(content: bytes) -> bytes:
    """Return the compressed colour profile of an ``iCCP`` chunk (PNG specification, 11.3.2.3)."""
    return content.partition(b"\0")[2][1:]


def without_metadata(data: bytes) -> tuple[bytes, bytes]:
    """Remove a long colour profile and the text of a PNG file, except text that may contain the orientation.

    Parameters
    ----------
    data : bytes
        A whole PNG file.

    Returns
    -------
    bytes
        The file without the text and the long colour profile; unchanged if it has neither.
    bytes
        The removed colour profile; empty if no profile was removed, or if it is longer than 16 MB.
    """
    parts: list[bytes] = []
    profile, start = b"", 0
    for kind, at, end in chunks(data):
        is_left_out = kind in _TEXT_CHUNKS and not _may_turn(kind, data[at + 8 : end - 4])
        if kind == b"iCCP":
            packed = _packed_profile(data[at + 8 : end - 4])
            if len(_unpacked(packed, _MOST_UNPACKED + 1)) > _MOST_UNPACKED:
                is_left_out = True
                long = _unpacked(packed, _LONGEST_PROFILE + 1)
                profile = long if len(long) <= _LONGEST_PROFILE else b""
        if is_left_out:
            parts.append(data[start:at])
            start = end
    return (b"".join([*parts, data[start:]]), profile) if parts else (data, b"")


def _may_turn(kind: bytes, content: bytes) -> bool:
    """Return whether a text chunk may contain an orientation.

    A compressed chunk must also be short when it is decompressed.
    """
    keyword, _, rest = content.partition(b"\0")
    if not keyword.lower().startswith(_HIDDEN_ORIENTATION):
        return False
    if kind == b"tEXt" or (kind == b"iTXt" and rest[:1] == b"\0"):
        return True
    packed = rest[1:] if kind == b"zTXt" else rest[2:].split(b"\0", 2)[-1]
    return len(_unpacked(packed, _MOST_UNPACKED + 1)) <= _MOST_UNPACKED
