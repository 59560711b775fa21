"""Read the bytes of a file once, with their hash and the properties by which a change is noticed."""

from __future__ import annotations

import hashlib
import time

from featx.images import MAX_PIXELS, read_origin
from featx.source import OpenFile, read_image
from featx.table import FileState

_TRUST_NS = 2_000_000_000
"""Minimum age, in nanoseconds, of a modification time that is trusted. A file that was changed less than 2 s before
reading may change again without a new modification time."""


def read_file(file: OpenFile, max_pixels: int = MAX_PIXELS) -> tuple[bytes, FileState]:
    """Read a file once and hash exactly the bytes that are returned.

    Parameters
    ----------
    file : OpenFile
        Open file, as returned by :meth:`featx.source.ImageFile.open`.
    max_pixels : int
        Maximum number of pixels of an image, which determines the maximum size of the file.

    Raises
    ------
    OSError
        If the file cannot be read or is too large.
    """
    stamp = file.stamp()
    data = read_image(file, max_pixels)
    changed = file.stamp() != stamp
    if changed or (not file.is_exact and time.time_ns() - stamp.mtime_ns < _TRUST_NS):
        stamp = stamp._replace(mtime_ns=-1)
    camera, day = read_origin(data)
    content_hash = hashlib.sha256(data).digest()
    return data, FileState(
        len(data),
        stamp.mtime_ns,
        content_hash,
        camera=camera,
        day=day,
        inode=stamp.inode,
        ctime_ns=stamp.ctime_ns,
    )
