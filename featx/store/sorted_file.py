"""Write and read the sorted file of a feature store, in the HDF5 layout of docs/format.md."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import DamagedStoreError, NewerFormatError, StoreError
from featx.files import NotRegularError
from featx.store.hdf5 import StoredFile, new_hdf5
from featx.store.rows import KEY_BYTES, SIGNATURE_SHAPE, RowFile, Rows

FORMAT_VERSION = 1
_FORMAT_NAME = "featx features"
_BLOCK = 4096
_MOST_PROBES = 1 << 30
"""Maximum size of the features of all probe images in bytes, more than any backbone gives and less than the memory."""


@dataclass(frozen=True)
class StoreHeader:
    """Metadata of a sorted file.

    Parameters
    ----------
    spec : str
        Canonical JSON of the feature spec.
    probes : ndarray of shape (n_probes, n_features), float32
        Features of the probe images, computed by the first producer.
    producers : tuple of dict
        Versions of the libraries, and kind of processor, of each machine that computed rows.
    """

    spec: str
    probes: NDArray[np.float32]
    producers: tuple[dict[str, str], ...]

    @property
    def n_features(self) -> int:
        """Number of features per image."""
        return int(self.probes.shape[1])


def write_sorted_file(path: Path, header: StoreHeader, n_rows: int, blocks: Iterator[Rows]) -> None:
    """Write a sorted file.

    The bytes of the file depend only on the header and the rows: the rows are sorted by key and written in blocks of
    fixed size, and no time is stored.

    Parameters
    ----------
    path : path
        New file.
    header : StoreHeader
    n_rows : int
        Number of rows in all blocks together.
    blocks : iterator of Rows
        Blocks of rows with ascending keys and the bounds of :func:`block_bounds`.
    """
    attrs: dict[str, str | int] = {
        "format": _FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "spec": header.spec,
        "producers": json.dumps(list(header.producers), sort_keys=True),
    }
    with new_hdf5(path, attrs) as file:
        file.add("probes", header.probes)
        key = file.create("key", (n_rows, KEY_BYTES), "u1")
        signature = file.create("signature", (n_rows, *SIGNATURE_SHAPE), "u1")
        features = file.create("features", (n_rows, header.n_features), "<f4")
        crc = file.create("crc", (n_rows,), "<u4")
        start = 0
        for rows in blocks:
            stop = start + len(rows)
            key[start:stop], signature[start:stop], features[start:stop] = rows.keys, rows.signatures, rows.features
            crc[start:stop] = rows.checksums()
            start = stop


def block_bounds(n_rows: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the stop of each block of rows that is written at once."""
    for start in range(0, n_rows, _BLOCK):
        yield start, min(start + _BLOCK, n_rows)


def read_header(path: Path) -> StoreHeader:
    """Return the header of a sorted file.

    Raises
    ------
    NewerFormatError
        If a later version of featx wrote the file.
    DamagedStoreError
        If the file is not a sorted file, or its header is damaged.
    """
    return _head(_opened(path), path)


def count_sorted_rows(path: Path) -> tuple[StoreHeader, int]:
    """Return the header and the number of rows of a sorted file, without checking the rows.

    Raises
    ------
    NewerFormatError, DamagedStoreError
        If the header cannot be read; see :func:`read_header`.
    """
    file = _opened(path)
    header = _head(file, path)
    return header, len(_columns(file, header)[0])


def check_sorted_file(path: Path) -> None:
    """Check the HDF5 structure of a sorted file, which only other programs read.

    Raises
    ------
    DamagedStoreError
        If the index of the file or the HDF5 structure is damaged.
    """
    _opened(path).check_structure()


def read_sorted_file(path: Path) -> tuple[StoreHeader, RowFile]:
    """Return the header and the undamaged rows of a sorted file, after checking every row.

    Raises
    ------
    NewerFormatError
        If a later version of featx wrote the file.
    DamagedStoreError
        If the file is not a sorted file, or its index is damaged. Damaged rows raise no error; they are left out and
        counted.
    """
    file = _opened(path)
    header = _head(file, path)
    return header, RowFile.check(*_columns(file, header))


def _columns(file: StoredFile, header: StoreHeader) -> tuple[Rows, NDArray[np.uint32]]:
    """Return all rows and their checksums, in the order of the file."""
    shape = file.shape("crc")
    n_rows = shape[0] if shape else 0
    rows = Rows(
        file.mapped("key", "u1", (n_rows, KEY_BYTES)),
        file.mapped("signature", "u1", (n_rows, *SIGNATURE_SHAPE)),
        file.mapped("features", "<f4", (n_rows, header.n_features)),
    )
    return rows, file.mapped("crc", "<u4", (n_rows,))


def _opened(path: Path) -> StoredFile:
    try:
        return StoredFile(path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        if isinstance(error, NotRegularError):  # treated as damage, so that the file is set aside
            raise DamagedStoreError(f"{path} is {error.strerror}") from None
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def _head(file: StoredFile, path: Path) -> StoreHeader:
    if file.attrs.get("format") != _FORMAT_NAME:
        raise DamagedStoreError(f"{path} is not a feature store of featx")
    version = file.attrs.get("format_version")
    if not isinstance(version, int) or version < FORMAT_VERSION:
        raise DamagedStoreError(f"{path} has the invalid format version {version!r}")
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{path} has format {version}; this version of featx reads format {FORMAT_VERSION}. Update featx, or "
            "choose another `cache`"
        )
    shape = file.shape("probes")
    if len(shape) != 2 or not 0 < 4 * math.prod(shape) <= _MOST_PROBES:
        raise DamagedStoreError(f"{path}: probes has the invalid shape {shape}")
    probes = np.array(file.mapped("probes", "<f4", shape))
    producers = _producers(file.attrs.get("producers"))
    if not producers:
        raise DamagedStoreError(f"{path} has no valid attribute producers")
    spec = file.attrs.get("spec")
    if not isinstance(spec, str):
        raise DamagedStoreError(f"{path} has no feature spec")
    return StoreHeader(spec, probes, producers)


def _producers(text: object) -> tuple[dict[str, str], ...]:
    try:
        producers = json.loads(text) if isinstance(text, str) else None
    except (RecursionError, ValueError):
        return ()
    if not isinstance(producers, list):
        return ()
    is_valid = all(isinstance(p, dict) and all(isinstance(value, str) for value in p.values()) for p in producers)
    return tuple(producers) if is_valid else ()
