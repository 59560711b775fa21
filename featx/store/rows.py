"""Rows of a feature store, in memory and in a file: key, signature, features and checksum."""

from __future__ import annotations

import mmap
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 34
"""Size of a key: 32 bytes for the SHA-256 of the bytes of the file, 2 bytes for the number of the view (big-endian)."""

KEY_DTYPE = np.dtype(f"S{KEY_BYTES}")
"""Type of keys that NumPy sorts and searches by their bytes."""

SIGNATURE_SHAPE = (16, 16)

_BLOCK = 1024
"""Number of consecutive rows that are read from a file at a time."""

_SCATTERED = 128
"""Number of scattered rows that are read at a time; each row loads at least 64 kB of its neighbourhood into memory."""


@dataclass(frozen=True)
class Rows:
    """The columns of several rows, in memory or mapped from a file.

    Parameters
    ----------
    keys : ndarray of shape (n, 34), uint8
    signatures : ndarray of shape (n, 16, 16), uint8
    features : ndarray of shape (n, n_features), float32
    """

    keys: NDArray[np.uint8]
    signatures: NDArray[np.uint8]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def _columns(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return self.keys, self.signatures, self.features

    @property
    def row_bytes(self) -> int:
        """Size of a row in a file in bytes, including the checksum."""
        return sum(column[:1].nbytes for column in self._columns) + 4

    def take(self, at: NDArray[np.int64]) -> Rows:
        """Return copies of the rows at the given positions; the memory of rows mapped from a file is released."""
        taken = Rows(*(np.empty((len(at), *c.shape[1:]), c.dtype) for c in self._columns))
        for start in range(0, len(at), _SCATTERED):
            block = slice(start, start + _SCATTERED)
            for source, target in zip(self._columns, taken._columns, strict=True):
                target[block] = source[at[block]]
            self.forget()
        return taken

    def forget(self) -> None:
        """Release the memory of rows that are mapped from a file; the rows are read again when they are needed."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            mappings = {id(mapped): mapped for mapped in map(_mapping, self._columns) if mapped is not None}
            for mapped in mappings.values():
                mapped.madvise(mmap.MADV_DONTNEED)

    def checksums(self) -> NDArray[np.uint32]:
        """Return the CRC-32 of key, signature and features of each row, shape (n,)."""
        columns = zip(*self._columns, strict=True)
        return np.array([zlib.crc32(f, zlib.crc32(s, zlib.crc32(k))) for k, s, f in columns], np.uint32)


@dataclass(frozen=True)
class RowFile:
    """The undamaged rows of a file, indexed by key and read on demand.

    Parameters
    ----------
    rows : Rows
        All rows, in the order of the file.
    keys : ndarray of shape (n,), S34
        Keys of the undamaged rows, sorted and without repetition.
    at : ndarray of shape (n,), int64
        Position of each key in ``rows``.
    n_damaged : int
        Number of rows with a wrong checksum, or with features that are not finite.
    """

    rows: Rows
    keys: NDArray[np.bytes_]
    at: NDArray[np.int64]
    n_damaged: int

    @classmethod
    def check(cls, rows: Rows, checksums: NDArray[np.uint32]) -> RowFile:
        """Check all rows, and leave out rows with a wrong checksum or with features that are not finite."""
        is_valid = np.empty(len(rows), np.bool_)
        all_keys = np.empty(rows.keys.shape, np.uint8)
        for start in range(0, len(rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            part = Rows(rows.keys[block], rows.signatures[block], rows.features[block])
            is_valid[block] = (part.checksums() == checksums[block]) & np.isfinite(part.features).all(axis=1)
            all_keys[block] = part.keys
            rows.forget()
        valid = np.flatnonzero(is_valid)
        keys, first = np.unique(sortable(all_keys[valid]), return_index=True)
        return cls(rows, keys, valid[first], len(rows) - len(valid))

    def find(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Return the position of each key in the file, shape (n_keys,); -1 for a missing key."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        place = np.searchsorted(self.keys, keys)
        place[place == len(self.keys)] = 0
        return np.where(self.keys[place] == keys, self.at[place], -1)


def _mapping(column: NDArray[Any]) -> mmap.mmap | None:
    mapped: Any = column
    while mapped is not None and not isinstance(mapped, mmap.mmap):
        mapped = getattr(mapped, "base", None)
    return mapped


def no_rows(n_features: int) -> RowFile:
    """Return a ``RowFile`` without rows."""
    rows = Rows(
        np.empty((0, KEY_BYTES), np.uint8),
        np.empty((0, *SIGNATURE_SHAPE), np.uint8),
        np.empty((0, n_features), np.float32),
    )
    return RowFile(rows, np.empty(0, KEY_DTYPE), np.empty(0, np.int64), 0)


def sortable(keys: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return keys of shape (n, 34), uint8, as byte strings of shape (n,), because NumPy can sort and search these."""
    strings: NDArray[Any] = np.ascontiguousarray(keys).view(KEY_DTYPE)
    return strings.reshape(len(keys))


def keys_of(content_hashes: NDArray[np.uint8], view: int | NDArray[np.int64] = 0) -> NDArray[np.uint8]:
    """Return the keys of contents and views.

    Parameters
    ----------
    content_hashes : ndarray of shape (n, 32), uint8
    view : int or ndarray of shape (n,), int64
        Number of the view (0 for the image itself), either the same for all contents or one number for each content.

    Returns
    -------
    ndarray of shape (n, 34), uint8
    """
    keys = np.empty((len(content_hashes), KEY_BYTES), np.uint8)
    keys[:, :32] = content_hashes
    views = np.broadcast_to(np.asarray(view, ">u2"), len(keys))
    keys[:, 32:] = np.ascontiguousarray(views).view(np.uint8).reshape(-1, 2)
    return keys
