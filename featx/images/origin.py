"""What a photograph says of its origin: the camera and the day, from the EXIF data of a JPEG file."""

from __future__ import annotations

import re
from typing import NamedTuple

from PIL import Image

_MARKER = 0xFF
_APP1 = 0xE1
_START_OF_SCAN = 0xDA
_EXIF = b"Exif\0\0"

_MAKE, _MODEL, _EXIF_IFD = 0x010F, 0x0110, 0x8769
_TAKEN, _DIGITIZED, _SERIAL = 0x9003, 0x9004, 0xA431  # when the file was changed (0x0132) is no day of a photograph
_DAY = re.compile(r"((?:19|20)\d\d):([01]\d):([0-3]\d)")
_LONGEST = 80


class Origin(NamedTuple):
    """Where a photograph comes from; empty text for what is not said.

    Parameters
    ----------
    camera : str
        Make, model and, if it is told, serial number.
    day : str
        As ``2024-01-05``.
    """

    camera: str = ""
    day: str = ""


def read_origin(data: bytes) -> Origin:
    """Return what the bytes of an image file say of camera and day, without decoding it.

    Parameters
    ----------
    data : bytes
        Any file; only JPEG is looked into.
    """
    segment = _exif_segment(data)
    if segment is None:
        return Origin()
    try:
        exif = Image.Exif()
        exif.load(segment)
        details = exif.get_ifd(_EXIF_IFD)
        make, model, serial = _text(exif.get(_MAKE)), _text(exif.get(_MODEL)), _text(details.get(_SERIAL))
        day = _DAY.match(_text(details.get(_TAKEN)) or _text(details.get(_DIGITIZED)))
    except Exception:  # broken metadata, in as many exception types as there are ways to break it, names no origin
        return Origin()
    if model.lower().startswith(make.lower()):  # as "NIKON" and "NIKON D750"
        make = ""
    return Origin(" ".join(filter(None, (make, model, serial)))[:_LONGEST], "-".join(day.groups()) if day else "")


def _exif_segment(data: bytes) -> bytes | None:
    """Return the content of the APP1 segment that holds EXIF data (CIPA DC-008, 4.5.4); None without one."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 4 <= len(data) and data[at] == _MARKER and data[at + 1] != _START_OF_SCAN:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == _APP1 and data[at + 4 : at + 10] == _EXIF:
            return data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)
    return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in value[:_LONGEST]).strip()
