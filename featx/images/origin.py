"""Read the camera and the day of a photograph from the EXIF data of a JPEG file."""

from __future__ import annotations

import re
from typing import NamedTuple

from featx.images.jpeg import APP1, segments
from featx.images.tiff import ASCII, Tiff, TiffEntry, without_exif_prefix

_MAKE, _MODEL, _EXIF_IFD = 0x010F, 0x0110, 0x8769
_TAKEN, _DIGITIZED, _SERIAL = 0x9003, 0x9004, 0xA431  # not 0x0132, the day of the last change
_DAY = re.compile(r"((?:19|20)\d\d):([01]\d):([0-3]\d)")
_LONGEST = 80


class Origin(NamedTuple):
    """Camera and day of a photograph; empty strings for unknown values.

    Parameters
    ----------
    camera : str
        Make, model and, if given, serial number.
    day : str
        Day in the form ``2024-01-05``.
    """

    camera: str = ""
    day: str = ""


def read_origin(data: bytes) -> Origin:
    """Return the camera and the day of an image file, without decoding the pixels.

    Parameters
    ----------
    data : bytes
        A whole file of any format; only JPEG files are examined.
    """
    exif = _exif(data)
    try:
        tiff = Tiff.of(exif)
    except ValueError:
        return Origin()
    tags = _tags(tiff, tiff.first)
    details = _tags(tiff, tiff.number(tags[_EXIF_IFD])) if _EXIF_IFD in tags else {}
    make, model = _text(tiff, tags.get(_MAKE)), _text(tiff, tags.get(_MODEL))
    serial = _text(tiff, details.get(_SERIAL))
    day = _DAY.match(_text(tiff, details.get(_TAKEN)) or _text(tiff, details.get(_DIGITIZED)))
    if model.lower().startswith(make.lower()):  # for example "NIKON" and "NIKON D750"
        make = ""
    return Origin(" ".join(filter(None, (make, model, serial)))[:_LONGEST], "-".join(day.groups()) if day else "")


def _exif(data: bytes) -> bytes:
    """Return the EXIF data of a JPEG file (CIPA DC-008, 4.5.4); empty if there is none."""
    if data.startswith(b"\xff\xd8"):
        for marker, start, end in segments(data):
            if marker == APP1 and data.startswith(b"Exif\0\0", start):
                return without_exif_prefix(data[start:end])
    return b""


def _tags(tiff: Tiff, at: int) -> dict[int, TiffEntry]:
    """Return the tags of a directory by number; if a tag is repeated, the first entry is used."""
    return dict(reversed(tiff.entries(at)))


def _text(tiff: Tiff, entry: TiffEntry | None) -> str:
    if entry is None or entry.kind != ASCII:
        return ""
    content = tiff.content(entry, _LONGEST + 1).removesuffix(b"\0")[:_LONGEST]
    return "".join(c if c.isprintable() else " " for c in content.decode("latin-1")).strip()
