"""Read parts of a file at any position: of a local archive."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Protocol, Self

from featx.files import open_regular
from featx.table import Stamp


class Blob(Protocol):
    """An open file whose parts are read by position."""

    @property
    def size(self) -> int:
        """Size in bytes."""
        ...

    def stamp(self) -> Stamp:
        """Return the current stamp of the open file."""
        ...

    def read_at(self, position: int, n: int) -> bytes:
        """Return the bytes from a position; fewer at the end of the file."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class LocalBlob:
    """A regular file of this machine, open for reading.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._stream = open_regular(path)
        self.size = os.fstat(self._stream.fileno()).st_size

    def stamp(self) -> Stamp:
        """Return the current stamp of the open file."""
        return Stamp.of(os.fstat(self._stream.fileno()))

    def read_at(self, position: int, n: int) -> bytes:
        """Return the bytes from a position; fewer at the end of the file."""
        if hasattr(os, "pread"):
            return os.pread(self._stream.fileno(), n, position)
        self._stream.seek(position)  # on Windows
        return self._stream.read(n)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class Window(io.RawIOBase):
    """The bytes of a blob from ``start``, as a seekable file of ``size`` bytes, which closes the blob."""

    def __init__(self, blob: Blob, start: int, size: int) -> None:
        self._blob, self._start, self._size, self._at = blob, start, size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position in the window."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position in the window, and return it."""
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into a buffer, and return the number of bytes."""
        wanted = min(len(buffer), max(0, self._size - self._at))
        if not wanted:
            return 0
        content = self._blob.read_at(self._start + self._at, wanted)
        if not content:
            raise OSError(errno.EIO, "the archive ends within this file")
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def close(self) -> None:
        """Close the blob."""
        if not self.closed:
            self._blob.close()
        super().close()

    def __enter__(self) -> Self:
        return self
