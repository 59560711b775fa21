"""Append computed rows to the journal of a feature store, so that a killed run loses no committed row.

A journal has a header (magic string, id of the feature spec, number of features, and CRC-32 of these) and records of
fixed size (key, signature, features, and CRC-32 of these). An incomplete last record is removed; a damaged record is
ignored.
"""

from __future__ import annotations

import os
import shutil
import struct
import time
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from featx.errors import StoreError
from featx.files import NotRegularError, identify, is_regular, open_new, open_regular, write_atomically
from featx.store.files import delete
from featx.store.rows import KEY_BYTES, SIGNATURE_SHAPE, RowFile, Rows, no_rows

_MAGIC = b"featx journal 1\n"
_HEADER = struct.Struct("<16s16sI")
_HEADER_BYTES = _HEADER.size + 4
_COMMIT_ROWS = 256
_COMMIT_SECONDS = 2.0


def _record_dtype(n_features: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("key", "u1", (KEY_BYTES,)),
            ("signature", "u1", SIGNATURE_SHAPE),
            ("features", "<f4", (n_features,)),
            ("crc", "<u4"),
        ]
    )


def _header(spec_id: str, n_features: int) -> bytes:
    content = _HEADER.pack(_MAGIC, spec_id.encode(), n_features)
    return content + zlib.crc32(content).to_bytes(4, "little")


def read_journal(path: Path, spec_id: str, n_features: int) -> RowFile:
    """Return the complete, undamaged rows of a journal; no rows if the journal is missing or not a regular file.

    Raises
    ------
    StoreError
        If the journal cannot be read.
    """
    dtype = _record_dtype(n_features)
    try:
        with open_regular(path, follow=False) as stream:
            has_header = stream.read(_HEADER_BYTES) == _header(spec_id, n_features)
            size = stream.seek(0, os.SEEK_END)
            count = (size - _HEADER_BYTES) // dtype.itemsize
            if not has_header or count < 1:  # the run was killed early, or the journal belongs to another store
                return no_rows(n_features)
            records = np.asarray(np.memmap(stream, dtype, "r", _HEADER_BYTES, (count,)))
    except (FileNotFoundError, NotRegularError):
        return no_rows(n_features)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
    rows = Rows(records["key"], records["signature"], records["features"])
    return RowFile.check(rows, records["crc"])


def count_journal(path: Path, n_features: int) -> tuple[int, int]:
    """Return the number of complete rows of a journal, and the number of bytes after these rows; no row is read."""
    stamp = identify(path) if is_regular(path) else None
    if stamp is None:
        return 0, 0
    n_bytes = stamp.size
    if n_bytes < _HEADER_BYTES:
        return 0, n_bytes
    return divmod(n_bytes - _HEADER_BYTES, _record_dtype(n_features).itemsize)


class JournalWriter:
    """Append rows to a journal; committed rows survive a kill and a power failure.

    Parameters
    ----------
    path : path
        Path of the journal. A journal of this store is continued; any other file is replaced by a new journal. A
        symbolic or hard link, which a copied cache may contain, is replaced without changing the target.
    spec_id : str
        Id of the feature spec.
    n_features : int
        Number of features per image.

    Raises
    ------
    OSError
        If the journal cannot be written.
    """

    def __init__(self, path: Path, spec_id: str, n_features: int) -> None:
        self._dtype = _record_dtype(n_features)
        self._pending = 0
        self._committed_at = time.monotonic()
        self._stream = self._continue(path, spec_id, n_features) or self._begin(path, spec_id, n_features)

    def _continue(self, path: Path, spec_id: str, n_features: int) -> BinaryIO | None:
        """Open an existing journal of this store after the last complete row; return None if there is none."""
        try:
            if os.lstat(path).st_nlink > 1 and is_regular(path):
                write_atomically(path, lambda new: _copy(path, new))
            stream = open_regular(path, follow=False, writable=True)
        except (FileNotFoundError, NotRegularError):
            return None
        if stream.read(_HEADER_BYTES) != _header(spec_id, n_features):
            stream.close()
            return None
        size = stream.seek(0, os.SEEK_END)
        stream.seek(size - (size - _HEADER_BYTES) % self._dtype.itemsize)
        stream.truncate()
        return stream

    def _begin(self, path: Path, spec_id: str, n_features: int) -> BinaryIO:
        delete(path)
        stream = open_new(path)
        stream.write(_header(spec_id, n_features))
        stream.flush()
        return stream

    def append(self, rows: Rows) -> None:
        """Append rows; appended rows are committed after at most 256 rows or 2 seconds."""
        records = np.empty(len(rows), self._dtype)
        records["key"] = rows.keys
        records["signature"] = rows.signatures
        records["features"] = rows.features
        records["crc"] = rows.checksums()
        self._stream.write(records.tobytes())
        self._pending += len(rows)
        if self._pending >= _COMMIT_ROWS or time.monotonic() - self._committed_at >= _COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write all appended rows to the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._pending = 0
        self._committed_at = time.monotonic()

    def close(self) -> None:
        """Commit the appended rows, and close the journal."""
        try:
            self.commit()
        finally:
            self._stream.close()


def _copy(path: Path, new: Path) -> None:
    shutil.copyfile(path, new)
