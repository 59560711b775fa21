"""Decide from the structure of a file whether it is decoded in the main process.

A library that opens a file also parses the metadata. With a malicious file, this can take minutes or gigabytes of
memory. JPEG and PNG files of usual structure take at most about a second, whatever their content.
"""

from __future__ import annotations

import struct
from itertools import islice

from featx.images.jpeg import APP1, APP2, FRAMES, SCAN, count_scans, segments
from featx.images.png import HIDDEN_EXIF, TEXT_CHUNKS, chunks, packed_profile, unpacked
from featx.images.tiff import Tiff, without_exif_prefix
from featx.source import LARGE_FILE

_MOST_PIXELS = {"JPEG": 60_000_000, "PNG": 16_000_000}
_MOST_SCANNED_PIXELS = 400_000_000
"""Maximum number of pixels times the number of scans of a progressive JPEG: 40 million pixels and 10 scans. Each scan
passes over all pixels, which takes about 1 ns per pixel."""

_MOST_SCANS = 1_000

_MOST_METADATA = 4_000_000
"""Maximum size of the metadata, in bytes. Cameras write 64 kB of EXIF data and up to 1 MB of XMP or thermal data."""

_MOST_TAGS = 2_000
_MOST_TAG_BYTES = 1_000_000
"""Maximum total number of bytes that the tags of EXIF data refer to. All tags can refer to the same 64 kB."""

_MOST_PROFILE = 1_000_000
"""Maximum size of a colour profile, in bytes; profiles of printers are the largest."""

_SIMPLE_FRAMES = (0xC0, 0xC1, 0xC2)
"""Markers of baseline, extended and progressive frames with Huffman coding (ITU T.81, table B.1)."""

_EXIF, _INDEX = b"Exif\0\0", b"MPF\0"

_MOST_CHUNKS = 20_000
"""Maximum number of chunks of a PNG: enough for 16 million pixels of 8 bytes in chunks of the usual 8 kB."""

_MOST_OTHER_CHUNKS = 200
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")


def has_plain_structure(data: bytes, kind: str) -> bool:
    """Return whether a file is a JPEG or PNG that takes at most about a second and little memory to decode.

    Parameters
    ----------
    data : bytes
        A whole file. Only the structure is examined.
    kind : str
        Format of the file, as returned by :func:`featx.images.image_format`.
    """
    if len(data) > LARGE_FILE:
        return False
    return _is_plain_jpeg(data) if kind == "JPEG" else _is_plain_png(data) if kind == "PNG" else False


def _is_plain_jpeg(data: bytes) -> bool:
    n_exif, n_pixels = 0, 0
    profile: list[bytes] = []
    for marker, start, end in segments(data):
        if marker == SCAN:
            return n_pixels > 0 and _has_few_scans(data, start, n_pixels) and _is_usual(_joined(profile))
        if end > min(len(data), _MOST_METADATA) or not _is_usual_segment(marker, data[start:end]):
            return False
        if marker in FRAMES:
            if n_pixels:
                return False
            n_pixels = _n_pixels(data[start:end])
        elif marker == APP1 and data.startswith(_EXIF, start):
            n_exif += 1  # libraries concatenate several EXIF segments
            if n_exif > 1:
                return False
        elif marker == APP2 and data.startswith(b"ICC_PROFILE\0", start):
            profile.append(data[start:end])
    return False


def _is_usual_segment(marker: int, content: bytes) -> bool:
    if marker in FRAMES:
        return marker in _SIMPLE_FRAMES
    if marker == APP1 and content.startswith(_EXIF):
        return _is_bounded(content)
    if marker == APP2 and content.startswith(_INDEX):
        return _is_bounded(content.removeprefix(_INDEX))
    return True


def _n_pixels(frame: bytes) -> int:
    """Return the number of pixels of a frame of 8-bit grey or colour; 0 for other and for too large frames."""
    if len(frame) < 6 or frame[0] != 8 or frame[5] not in (1, 3):
        return 0
    height, width = struct.unpack_from(">HH", frame, 1)
    return width * height if width * height <= _MOST_PIXELS["JPEG"] else 0


def _has_few_scans(data: bytes, at: int, n_pixels: int) -> bool:
    most = min(_MOST_SCANS, _MOST_SCANNED_PIXELS // n_pixels)
    return data.count(b"\xff\xda", at) < most or count_scans(data, at) < most  # the first test is faster


def _joined(profile: list[bytes]) -> bytes:
    return b"".join(part[14:] for part in sorted(profile))


def _is_plain_png(data: bytes) -> bool:
    if data[8:16] != b"\0\0\0\x0dIHDR" or len(data) < 33:
        return False
    width, height = struct.unpack_from(">II", data, 16)
    if width * height > _MOST_PIXELS["PNG"]:
        return False
    n_others, n_bytes = 0, 0
    for kind, at, end in islice(chunks(data), 1, _MOST_CHUNKS + 1):
        if kind == b"IEND":
            return True
        if kind != b"IDAT":
            n_others += 1
            n_bytes += end - at - 12
            if n_others > _MOST_OTHER_CHUNKS or n_bytes > _MOST_METADATA:
                return False
            if not _is_usual_chunk(kind, data[at + 8 : end - 4]):
                return False
    return False


def _is_usual_chunk(kind: bytes, content: bytes) -> bool:
    if kind == b"iCCP":
        return _is_usual(unpacked(packed_profile(content), _MOST_PROFILE + 1))
    if kind == b"eXIf":
        return _is_bounded(content)
    if kind in TEXT_CHUNKS:
        return not content[:20].lower().startswith(HIDDEN_EXIF)
    return kind not in _ANIMATION


def _is_usual(profile: bytes) -> bool:
    """Return whether a colour profile is short and has no multi-process element, which can have any number of steps."""
    return len(profile) <= _MOST_PROFILE and b"mpet" not in profile


def _is_bounded(exif: bytes) -> bool:
    """Return whether the tags of the first directory, which libraries always read, refer to little data."""
    try:
        tiff = Tiff.of(without_exif_prefix(exif))
    except ValueError:
        return True
    entries = tiff.entries(tiff.first)
    return len(entries) <= _MOST_TAGS and sum(entry.n_bytes for _, entry in entries) <= _MOST_TAG_BYTES
