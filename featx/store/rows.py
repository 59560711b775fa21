"""Rows of a feature store, in memory and in files: key, signature, features and checksum."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.table import SIGNATURE_SHAPE

KEY_BYTES = 36
"""Size of a key: 32 bytes for the SHA-256 of the bytes of the file, and the numbers of the view and of the crop, with 2
bytes each (big-endian)."""

KEY_DTYPE = np.dtype(f"S{KEY_BYTES}")
"""Type of keys that NumPy sorts and searches by their bytes."""

_FEATURES_START = KEY_BYTES + SIGNATURE_SHAPE[0] * SIGNATURE_SHAPE[1]
"""Number of bytes of a row before its features."""

_BLOCK = 1024
"""Maximum number of rows that are read and checked at a time."""

_BLOCK_BYTES = 1 << 24
"""Size of the rows that are read at a time, unless a single row is larger."""

_SCATTERED = 128
"""Number of scattered rows that are read at a time; each row loads at least 64 kB of its neighbourhood into memory."""


@dataclass(frozen=True)
class Rows:
    """The columns of several rows, in memory or mapped from a file.

    Parameters
    ----------
    keys : ndarray of shape (n, 36), uint8
    signatures : ndarray of shape (n, 64, 64), uint8
    features : ndarray of shape (n, n_features), float32
    """

    keys: NDArray[np.uint8]
    signatures: NDArray[np.uint8]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def empty(cls, n: int, n_features: int) -> Rows:
        """Return ``n`` rows that are not initialized."""
        return cls(
            np.empty((n, KEY_BYTES), np.uint8),
            np.empty((n, *SIGNATURE_SHAPE), np.uint8),
            np.empty((n, n_features), np.float32),
        )

    @property
    def _columns(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return self.keys, self.signatures, self.features

    @property
    def n_features(self) -> int:
        """Number of features of each row."""
        return int(self.features.shape[1])

    @property
    def row_bytes(self) -> int:
        """Size of a row in a file in bytes, including the checksum."""
        return row_bytes(self.n_features)

    def take(self, at: NDArray[np.int64]) -> Rows:
        """Return copies of the rows at the given positions; the memory of rows mapped from a file is released."""
        taken = Rows.empty(len(at), self.n_features)
        for start in range(0, len(at), _SCATTERED):
            block = slice(start, start + _SCATTERED)
            for source, target in zip(self._columns, taken._columns, strict=True):
                target[block] = source[at[block]]
            self.forget()
        return taken

    def put(self, at: NDArray[Any], rows: Rows) -> None:
        """Replace the rows at the given positions by other rows."""
        for target, source in zip(self._columns, rows._columns, strict=True):
            target[at] = source

    def forget(self) -> None:
        """Release the memory of rows that are mapped from a file; the rows are read again when they are needed."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            mappings = {id(mapped): mapped for mapped in map(_mapping, self._columns) if mapped is not None}
            for mapped in mappings.values():
                mapped.madvise(mmap.MADV_DONTNEED)

    def checksums(self) -> NDArray[np.uint32]:
        """Return the CRC-32 of key, signature and features of each row, shape (n,)."""
        packed = np.empty((len(self), self.row_bytes - 4), np.uint8)
        packed[:, :KEY_BYTES] = self.keys
        packed[:, KEY_BYTES:_FEATURES_START] = self.signatures.reshape(len(self), _FEATURES_START - KEY_BYTES)
        packed[:, _FEATURES_START:] = np.ascontiguousarray(self.features).view(np.uint8)
        return checksums(packed)

    def are_finite(self) -> NDArray[np.bool_]:
        """Return whether all features of each row are finite, shape (n,)."""
        return np.asarray(np.isfinite(self.features).all(axis=1))


@dataclass(frozen=True)
class RowFile:
    """Rows of a file, indexed by key and read on demand.

    Parameters
    ----------
    rows : Rows
        All rows, in the order of the file.
    crcs : ndarray of shape (n_rows,), uint32
        Stored checksum of each row.
    keys : ndarray of shape (n,), S36
        Keys of the rows that are used, sorted and without repetition.
    at : ndarray of shape (n,), int64
        Position of each key in ``rows``.
    n_damaged : int
        Number of rows that were checked and are not used: rows with a wrong checksum, or with features that are not
        finite.
    """

    rows: Rows
    crcs: NDArray[np.uint32]
    keys: NDArray[np.bytes_]
    at: NDArray[np.int64]
    n_damaged: int = 0

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Return the position of each key in the file, shape (n_keys,); -1 for a missing key."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        place = np.searchsorted(self.keys, keys)
        place[place == len(self.keys)] = 0
        return np.where(self.keys[place] == keys, self.at[place], -1)

    def select(self, chosen: NDArray[np.bool_]) -> RowFile:
        """Return the file with some of its keys; ``chosen`` has one value for each key."""
        if chosen.all():
            return self  # without a copy of the keys, which may be mapped from the file
        return replace(self, keys=self.keys[chosen], at=self.at[chosen])

    def between(self, first: bytes, stop: bytes | None) -> RowFile:
        """Return the file with its keys from ``first`` to ``stop``, exclusive; None for all keys from ``first`` on."""
        start = int(np.searchsorted(self.keys, np.array(first, KEY_DTYPE)))
        end = len(self) if stop is None else int(np.searchsorted(self.keys, np.array(stop, KEY_DTYPE)))
        return replace(self, keys=self.keys[start:end], at=self.at[start:end])

    def read(self, at: NDArray[np.int64]) -> tuple[Rows, NDArray[np.bool_]]:
        """Return copies of the rows at the given positions, and whether each of these rows is undamaged."""
        rows = self.rows.take(at)
        return rows, (rows.checksums() == self.crcs[at]) & rows.are_finite()

    def check(self) -> RowFile:
        """Read all rows, and leave out the damaged rows."""
        is_valid = np.empty(len(self), np.bool_)
        for start, stop in blocks_of(len(self), self.rows.row_bytes):
            is_valid[start:stop] = self.read(self.at[start:stop])[1]
        checked = self.select(is_valid)
        return replace(checked, n_damaged=self.n_damaged + int((~is_valid).sum()))


def row_bytes(n_features: int) -> int:
    """Return the size of a row in a file in bytes, including the checksum."""
    return _FEATURES_START + 4 * n_features + 4


def blocks_of(n_rows: int, n_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the stop of blocks of rows of ``n_bytes`` each, so that a block fits into little memory."""
    step = max(1, min(_BLOCK, _BLOCK_BYTES // n_bytes))
    for start in range(0, n_rows, step):
        yield start, min(start + step, n_rows)


def checksums(packed: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the CRC-32 of each row of bytes, shape (n,).

    Parameters
    ----------
    packed : ndarray of shape (n, n_bytes), uint8
        Rows of bytes; each row is contiguous.
    """
    return np.fromiter(map(zlib.crc32, packed), np.uint32, len(packed))


def _mapping(column: NDArray[Any]) -> mmap.mmap | None:
    mapped: Any = column
    while mapped is not None and not isinstance(mapped, mmap.mmap):
        mapped = getattr(mapped, "base", None)
    return mapped


def sortable(keys: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return keys of shape (n, 36), uint8, as byte strings of shape (n,), because NumPy can sort and search these."""
    strings: NDArray[Any] = np.ascontiguousarray(keys).view(KEY_DTYPE)
    return strings.reshape(len(keys))


def as_bytes(keys: NDArray[np.bytes_]) -> NDArray[np.uint8]:
    """Return keys of shape (n,), S36, as bytes of shape (n, 36), uint8."""
    return np.ascontiguousarray(keys).view(np.uint8).reshape(len(keys), KEY_BYTES)


def keys_of(
    content_hashes: NDArray[np.uint8], view: int | NDArray[np.int64] = 0, crop: int | NDArray[np.int64] = 0
) -> NDArray[np.uint8]:
    """Return the keys of contents, views and crops.

    Parameters
    ----------
    content_hashes : ndarray of shape (n, 32), uint8
    view, crop : int or ndarray of shape (n,), int64
        Numbers of the view and of the crop (0 for the image itself), either the same for all contents or one number for
        each content.

    Returns
    -------
    ndarray of shape (n, 36), uint8
    """
    keys = np.empty((len(content_hashes), KEY_BYTES), np.uint8)
    keys[:, :32] = content_hashes
    for start, number in ((32, view), (34, crop)):
        numbers = np.broadcast_to(np.asarray(number, ">u2"), len(keys))
        keys[:, start : start + 2] = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 2)
    return keys
