"""One row of a feature store: key, signature, features and their checksum; in memory and in a file."""

from __future__ import annotations

import mmap
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 34
"""SHA-256 of the file's bytes (32) and the number of the view, big-endian (2)."""

KEY_DTYPE = np.dtype(f"S{KEY_BYTES}")
"""Keys as numpy sorts and searches them: by their bytes."""

SIGNATURE_SHAPE = (16, 16)

_BLOCK = 1024
"""Rows that are looked at together where they lie one after another in a file."""

_SCATTERED = 128
"""The same where they lie anywhere in it: each brings its neighbourhood, 64 kB and more, into memory."""


@dataclass(frozen=True)
class Rows:
    """Some rows, column by column, in memory or mapped from a file.

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
        """Bytes that a row takes in a file, with its checksum."""
        return sum(column[:1].nbytes for column in self._columns) + 4

    def take(self, at: NDArray[np.int64]) -> Rows:
        """Return copies of the rows at the given positions; what is mapped from a file does not stay in memory."""
        taken = Rows(*(np.empty((len(at), *c.shape[1:]), c.dtype) for c in self._columns))
        for start in range(0, len(at), _SCATTERED):
            block = slice(start, start + _SCATTERED)
            for source, target in zip(self._columns, taken._columns, strict=True):
                target[block] = source[at[block]]
            self.forget()
        return taken

    def forget(self) -> None:
        """Give back the memory of rows that are mapped from a file; they are read again when they are needed."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            for mapped in {id(found): found for found in map(_mapping, self._columns) if found is not None}.values():
                mapped.madvise(mmap.MADV_DONTNEED)

    def checksums(self) -> NDArray[np.uint32]:
        """Return the CRC-32 of key, signature and features of each row, shape (n,)."""
        columns = zip(*self._columns, strict=True)
        return np.array([zlib.crc32(f, zlib.crc32(s, zlib.crc32(k))) for k, s, f in columns], np.uint32)


@dataclass(frozen=True)
class RowFile:
    """The undamaged rows of a file, found by key, read when asked for.

    Parameters
    ----------
    rows : Rows
        All rows as they lie in the file.
    keys : ndarray of shape (n,), S34
        Keys of the undamaged ones, sorted, each once.
    at : ndarray of shape (n,), int64
        Position of each of them in ``rows``.
    n_damaged : int
        Rows whose checksum is wrong or whose features are not finite.
    """

    rows: Rows
    keys: NDArray[np.bytes_]
    at: NDArray[np.int64]
    n_damaged: int

    @classmethod
    def check(cls, rows: Rows, checksums: NDArray[np.uint32]) -> RowFile:
        """Compare every row with its checksum and leave the damaged ones out, and those that are not finite."""
        right = np.empty(len(rows), np.bool_)
        every = np.empty(rows.keys.shape, np.uint8)
        for start in range(0, len(rows), _BLOCK):
            block = slice(start, start + _BLOCK)
            part = Rows(rows.keys[block], rows.signatures[block], rows.features[block])
            right[block] = (part.checksums() == checksums[block]) & np.isfinite(part.features).all(axis=1)
            every[block] = part.keys
            rows.forget()
        good = np.flatnonzero(right)
        keys, first = np.unique(sortable(every[good]), return_index=True)
        return cls(rows, keys, good[first], len(rows) - len(good))

    def find(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Return the position in the file of each key, -1 where it is not there; shape (n_keys,)."""
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
    """Return the content of a file without rows."""
    rows = Rows(
        np.empty((0, KEY_BYTES), np.uint8),
        np.empty((0, *SIGNATURE_SHAPE), np.uint8),
        np.empty((0, n_features), np.float32),
    )
    return RowFile(rows, np.empty(0, KEY_DTYPE), np.empty(0, np.int64), 0)


def sortable(keys: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return keys of shape (n, 34), uint8, as byte strings of shape (n,), which numpy sorts and searches."""
    strings: NDArray[Any] = np.ascontiguousarray(keys).view(KEY_DTYPE)
    return strings.reshape(len(keys))


def keys_of(content_hashes: NDArray[np.uint8], view: int | NDArray[np.int64] = 0) -> NDArray[np.uint8]:
    """Return the keys of contents.

    Parameters
    ----------
    content_hashes : ndarray of shape (n, 32), uint8
    view : int or ndarray of shape (n,), int64
        0 for the image itself; one for all or one for each.

    Returns
    -------
    ndarray of shape (n, 34), uint8
    """
    keys = np.empty((len(content_hashes), KEY_BYTES), np.uint8)
    keys[:, :32] = content_hashes
    views = np.broadcast_to(np.asarray(view, ">u2"), len(keys))
    keys[:, 32:] = np.ascontiguousarray(views).view(np.uint8).reshape(-1, 2)
    return keys
