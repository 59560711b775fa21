"""Members of archives, whatever the format."""

from __future__ import annotations

import errno
from typing import NamedTuple


class DamagedArchiveError(OSError):
    """The directory of an archive, or a header on which all later ones depend, cannot be read."""


class ArchiveMember(NamedTuple):
    """A file of an archive.

    Parameters
    ----------
    name : str
        Normal form of the name; empty for folders.
    position : int
        Position from which this record can be read again.
    size : int
        Size of the content in bytes.
    reason : str
        Reason why the member is skipped; otherwise empty.
    start, stored_size : int
        Position and number of the bytes in the archive.
    crc, method : int
        Check sum and compression method, if the format has them.
    raw_name : bytes
        Name as stored.
    """

    name: str
    position: int
    size: int = 0
    reason: str = ""
    start: int = 0
    stored_size: int = 0
    crc: int = 0
    method: int = 0
    raw_name: bytes = b""


def member_error(why: str) -> OSError:
    """Return the error of a damaged member."""
    return OSError(errno.EIO, f"the file is damaged in the archive: {why}")
