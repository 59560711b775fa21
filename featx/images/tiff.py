"""Read the directories of TIFF files and EXIF data, in bounded time and memory for any content."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Literal, NamedTuple

_CLASSIC, _BIG = 42, 43
_MOST_ENTRIES = 65_535
_BYTES_OF_KIND = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes per value for each type number (TIFF 6.0, section 2)."""

ASCII = 2
BITS_PER_SAMPLE = 258
"""Number of the tag ``BitsPerSample`` (TIFF 6.0, section 8)."""


class TiffEntry(NamedTuple):
    """Position of the values of a tag.

    Parameters
    ----------
    kind : int
        Type number of the values.
    n_bytes : int
        Size of the values according to the file, in bytes.
    at : int
        Position of the first value.
    """

    kind: int
    n_bytes: int
    at: int


class Tiff:
    """A TIFF file, or EXIF data, which has the same structure.

    Parameters
    ----------
    read : callable
        Function that takes a position and a number of bytes, and returns these bytes, or fewer at the end of the file.

    Raises
    ------
    ValueError
        If the data are not a TIFF file.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        head = read(0, 16)
        orders: dict[bytes, Literal["little", "big"]] = {b"II": "little", b"MM": "big"}
        if head[:2] not in orders:
            raise ValueError("not a TIFF file")
        self._order = orders[head[:2]]
        version = int.from_bytes(head[2:4], self._order)
        if version not in (_CLASSIC, _BIG):
            raise ValueError("not a TIFF file")
        self._count, self._offset = (8, 8) if version == _BIG else (2, 4)
        self._entry = struct.Struct(
            ("<" if self._order == "little" else ">") + ("HHQ8s" if version == _BIG else "HHL4s")
        )
        self.first = int.from_bytes(head[8:16] if version == _BIG else head[4:8], self._order)

    @classmethod
    def of(cls, data: bytes) -> Tiff:
        """Return a Tiff for the content of a file."""
        return cls(lambda at, n: data[at : at + n])

    def entries(self, at: int) -> list[tuple[int, TiffEntry]]:
        """Return tag number and entry of each entry of a directory; entries after the end of the file are left out."""
        n, start = self._n_entries(at)
        block = self._read(start, n * self._entry.size)
        whole = len(block) // self._entry.size * self._entry.size
        entries = []
        for i, (tag, kind, count, value) in enumerate(self._entry.iter_unpack(block[:whole])):
            n_bytes = count * _BYTES_OF_KIND.get(kind, 0)
            if n_bytes <= self._offset:
                position = start + (i + 1) * self._entry.size - self._offset
            else:
                position = int.from_bytes(value, self._order)
            entries.append((tag, TiffEntry(kind, n_bytes, position)))
        return entries

    def after(self, at: int) -> int:
        """Return the position of the directory that follows the directory at a position; 0 if there is none."""
        n, start = self._n_entries(at)
        return int.from_bytes(self._read(start + n * self._entry.size, self._offset), self._order)

    def content(self, entry: TiffEntry, most: int) -> bytes:
        """Return at most ``most`` bytes of the values of a tag; empty if the file is too short for all values."""
        if entry.n_bytes > most and not self._read(entry.at + entry.n_bytes - 1, 1):
            return b""
        content = self._read(entry.at, min(entry.n_bytes, most))
        return content if len(content) == min(entry.n_bytes, most) else b""

    def number(self, entry: TiffEntry) -> int:
        """Return the first value of a tag as an integer; 0 if there is none."""
        return int.from_bytes(self.content(entry, _BYTES_OF_KIND.get(entry.kind, 0)), self._order)

    def _n_entries(self, at: int) -> tuple[int, int]:
        n = int.from_bytes(self._read(at, self._count), self._order)
        return min(n, _MOST_ENTRIES), at + self._count


def without_exif_prefix(exif: bytes) -> bytes:
    """Return EXIF data without the prefix ``Exif``, which some files have once or twice."""
    return exif.removeprefix(b"Exif\0\0").removeprefix(b"Exif\0\0")
