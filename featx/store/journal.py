"""Append computed rows to the journal of a feature store, so that a killed run loses no committed row.

A journal has a header (magic string; length and CRC-32 of the rest of the header; feature spec, producer and shape of
the probe features as JSON; the probe features) and records of fixed size (key, signature, features, and CRC-32 of
these). An incomplete last record and damaged records are ignored.
"""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from featx.errors import StoreError
from featx.files import NotRegularError, identify, open_new, open_regular
from featx.store.files import delete
from featx.store.header import MOST_PROBES, StoreHeader, read_producers
from featx.store.rows import KEY_BYTES, RowFile, Rows, blocks_of, checksums, row_bytes, sortable
from featx.table import SIGNATURE_SHAPE

MOST_ROWS = 1 << 17
MOST_BYTES = 1 << 30
"""A journal with this number of rows or bytes becomes a segment, so that this takes little memory and space."""

_MAGIC = b"featx journal 3\n"
_HEAD = struct.Struct(f"<{len(_MAGIC)}sII")
_LARGEST_JSON = 1 << 20
_COMMIT_SECONDS = 2.0


@dataclass(frozen=True)
class Journal:
    """The content of a journal.

    Parameters
    ----------
    header : StoreHeader
        Header of the store; its only producer computed the rows of the journal.
    rows : RowFile
        Complete, undamaged rows.
    """

    header: StoreHeader
    rows: RowFile

    def belongs_to(self, spec: str, headers: Sequence[StoreHeader]) -> bool:
        """Return whether the rows have the given feature spec, and as many features as the segments have."""
        n_features = self.header.n_features
        return self.header.spec == spec and all(header.n_features == n_features for header in headers)


def _record_dtype(n_features: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("key", "u1", (KEY_BYTES,)),
            ("signature", "u1", SIGNATURE_SHAPE),
            ("features", "<f4", (n_features,)),
            ("crc", "<u4"),
        ]
    )


def _header_bytes(header: StoreHeader) -> bytes:
    content = {"spec": header.spec, "producers": json.dumps(list(header.producers)), "probes": header.probes.shape}
    text = json.dumps(content, sort_keys=True).encode()
    text += b" " * (-(_HEAD.size + 4 + len(text)) % 4)  # so that numbers are aligned
    rest = len(text).to_bytes(4, "little") + text + header.probes.astype("<f4", copy=False).tobytes()
    return _HEAD.pack(_MAGIC, len(rest), zlib.crc32(rest)) + rest


def _read_header(stream: BinaryIO) -> StoreHeader | None:
    """Return the header of a journal; None if it is incomplete or damaged, because the run was killed early."""
    head = stream.read(_HEAD.size)
    magic, length, checksum = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0, 0)
    if magic != _MAGIC or length > MOST_PROBES + _LARGEST_JSON:
        return None
    rest = stream.read(length) if length <= os.fstat(stream.fileno()).st_size else b""
    if len(rest) != length or zlib.crc32(rest) != checksum:
        return None
    return _parse_header(rest)


def _parse_header(rest: bytes) -> StoreHeader | None:
    start = 4 + int.from_bytes(rest[:4], "little")
    try:
        content = json.loads(rest[4:start])
        spec, (n_probes, n_features) = content["spec"], content["probes"]
        producers = read_producers(content["producers"])
        probes = np.frombuffer(rest[start:], "<f4").reshape(n_probes, n_features)
    except (KeyError, RecursionError, TypeError, ValueError):
        return None
    if not isinstance(spec, str) or not producers or not probes.size:
        return None
    return StoreHeader(spec, probes, producers)


def read_journal(path: Path) -> Journal | None:
    """Return the content of a journal; None if it is missing, not a regular file, or has no complete header.

    Raises
    ------
    StoreError
        If the journal cannot be read.
    """
    try:
        with open_regular(path, follow=False) as stream:
            header = _read_header(stream)
            if header is None:
                return None
            dtype, start = _record_dtype(header.n_features), stream.tell()
            count = (stream.seek(0, os.SEEK_END) - start) // dtype.itemsize
            if count < 1:
                return Journal(header, _row_file(np.empty(0, dtype)))
            records = np.asarray(np.memmap(stream, dtype, "r", start, (count,)))
    except (FileNotFoundError, NotRegularError):
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
    return Journal(header, _row_file(records))


def _row_file(records: NDArray[Any]) -> RowFile:
    """Check the records, and return the undamaged rows."""
    rows = Rows(records["key"], records["signature"], records["features"])
    is_valid, crcs = np.empty(len(records), np.bool_), np.empty(len(records), np.uint32)
    keys = np.empty(rows.keys.shape, np.uint8)
    for start, stop in blocks_of(len(records), rows.row_bytes):
        part = records[start:stop].copy()
        is_valid[start:stop] = checksums(_packed(part)) == part["crc"]
        is_valid[start:stop] &= np.isfinite(part["features"]).all(axis=1)
        keys[start:stop], crcs[start:stop] = part["key"], part["crc"]
        rows.forget()
    valid = np.flatnonzero(is_valid)
    unique, first = np.unique(sortable(keys[valid]), return_index=True)
    return RowFile(rows, crcs, unique, valid[first], len(records) - len(valid))


def _packed(records: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the bytes of the records without their checksums, shape (n, n_bytes)."""
    return records.view(np.uint8).reshape(len(records), records.dtype.itemsize)[:, :-4]


def count_journal(path: Path) -> tuple[int, int]:
    """Return the number of complete rows of a journal, and the number of bytes after these rows; no row is read."""
    try:
        with open_regular(path, follow=False) as stream:
            header = _read_header(stream)
            start, size = stream.tell(), os.fstat(stream.fileno()).st_size
    except OSError:
        return 0, 0
    if header is None:
        return 0, size
    return divmod(size - start, row_bytes(header.n_features))


def read_journal_header(path: Path) -> StoreHeader | None:
    """Return the header of a journal; None if it is missing, not a regular file, or has no complete header."""
    try:
        with open_regular(path, follow=False) as stream:
            return _read_header(stream)
    except OSError:
        return None


class JournalWriter:
    """Write a new journal; committed rows survive a kill and a power failure.

    Parameters
    ----------
    path : path
        Path of the journal. Any other file at this path is replaced, so that the target of a link does not change.
    header : StoreHeader
        Header of the store, with the producer of the rows as its only producer.

    Raises
    ------
    OSError
        If the journal cannot be written.
    """

    def __init__(self, path: Path, header: StoreHeader) -> None:
        self._dtype = _record_dtype(header.n_features)
        self._committed_at = time.monotonic()
        self.n_rows = 0
        if identify(path) is not None:
            delete(path)
        self._stream = open_new(path)
        self._stream.write(_header_bytes(header))
        self._stream.flush()

    @property
    def is_full(self) -> bool:
        """Whether the journal has so many rows that it is to become a segment."""
        return self.n_rows >= MOST_ROWS or self.n_rows * self._dtype.itemsize >= MOST_BYTES

    def append(self, rows: Rows) -> None:
        """Append rows, which are then safe if the process is killed; they are committed after at most 2 seconds."""
        records = np.empty(len(rows), self._dtype)
        records["key"] = rows.keys
        records["signature"] = rows.signatures
        records["features"] = rows.features
        records["crc"] = checksums(_packed(records))
        self._stream.write(records.data)
        self._stream.flush()
        self.n_rows += len(rows)
        if time.monotonic() - self._committed_at >= _COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write all appended rows to the disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._committed_at = time.monotonic()

    def close(self) -> None:
        """Commit the appended rows, and close the journal."""
        try:
            self.commit()
        finally:
            self._stream.close()
