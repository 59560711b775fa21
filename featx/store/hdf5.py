"""New HDF5 files on disks that may fill up: the library crashes where a write fails, so it never sees one fail."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import h5py

_LARGE = 1 << 16


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a new HDF5 file for writing.

    Raises
    ------
    OSError
        It could not be written whole: the disk is full, or fails.
    """
    with path.open("w+b", buffering=0) as stream:
        patient = _Patient(stream)
        with h5py.File(patient, "w") as file:
            yield file
        if patient.error is not None:
            raise patient.error


class _Patient:
    """A file that keeps its first error for later, and from then on only what HDF5 may read again."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self._at = 0
        self._small: dict[int, bytes] = {}
        self._end = 0
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence] + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def write(self, content: memoryview) -> int:
        """Write all of it, or remember why not."""
        if self.error is None:
            try:
                self._write(content)
            except OSError as error:
                self.error = error
        if self.error is not None and len(content) <= _LARGE:
            self._small[self._at] = bytes(content)
        self._at += len(content)
        self._end = max(self._end, self._at)
        return len(content)

    def _write(self, content: memoryview) -> None:
        self._stream.seek(self._at)
        rest = memoryview(content)
        while rest:
            rest = rest[self._stream.write(rest) or 0 :]

    def readinto(self, target: memoryview) -> int:
        """Read what was written."""
        n = max(0, min(len(target), self._end - self._at))
        self._stream.seek(self._at)
        found = self._stream.read(n) or b""
        target[: len(found)] = found
        for at, content in self._small.items():
            first, last = max(at, self._at), min(at + len(content), self._at + n)
            if first < last:
                target[first - self._at : last - self._at] = content[first - at : last - at]
        self._at += n
        return n

    def read(self, n: int) -> bytes:
        """Return what was written; h5py knows a file by this method, and calls the one above."""
        content = bytearray(n)
        return bytes(content[: self.readinto(memoryview(content))])

    def truncate(self, size: int) -> int:
        """Set the length."""
        self._end = size
        if self.error is None:
            try:
                self._stream.truncate(size)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Do nothing: what is written is not held back."""
