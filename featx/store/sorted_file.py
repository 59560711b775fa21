"""The base file of a feature store: the HDF5 layout of docs/format.md, written whole, read as a memory map."""

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
"""Bytes of the features of all probe images; as far above any network as below any memory."""


@dataclass(frozen=True)
class StoreHeader:
    """What a base file says about itself.

    Parameters
    ----------
    spec : str
        Canonical JSON of the feature recipe.
    probes : ndarray of shape (n_probes, n_features), float32
        Features of the probe images, as the first producer computed them.
    producers : tuple of dict
        Libraries and processors that computed rows.
    """

    spec: str
    probes: NDArray[np.float32]
    producers: tuple[dict[str, str], ...]

    @property
    def n_features(self) -> int:
        """Numbers per image."""
        return int(self.probes.shape[1])


def write_sorted_file(path: Path, header: StoreHeader, n_rows: int, blocks: Iterator[Rows]) -> None:
    """Write a base file.

    The bytes depend on the rows alone: sorted by key, in blocks of fixed size, without times.

    Parameters
    ----------
    path : path
        New file.
    header : Head
    n_rows : int
        Rows in all blocks together.
    blocks : iterator of Rows
        Blocks as :func:`block_bounds` cuts them, keys ascending.
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
    """Yield (start, stop) of the blocks in which rows are written."""
    for start in range(0, n_rows, _BLOCK):
        yield start, min(start + _BLOCK, n_rows)


def read_header(path: Path) -> StoreHeader:
    """Read what a base file says about itself.

    Raises
    ------
    NewerFormatError
        Written by a later featx.
    DamagedStoreError
        Not such a file.
    """
    return _head(_opened(path), path)


def count_sorted_rows(path: Path) -> tuple[StoreHeader, int]:
    """Read what a base file says about itself, and how many rows it has room for; none of them is looked at.

    Raises
    ------
    NewerFormatError, DamagedStoreError
        As :func:`read_header`.
    """
    file = _opened(path)
    header = _head(file, path)
    return header, len(_columns(file, header)[0])


def check_sorted_file(path: Path) -> None:
    """Make sure that nothing changed in a base file besides its rows.

    Raises
    ------
    NewerFormatError, DamagedStoreError
        As :func:`read_header`; or other programs cannot read the file as it was written.
    """
    _opened(path).check_structure()


def read_sorted_file(path: Path) -> tuple[StoreHeader, RowFile]:
    """Open a base file and check every row.

    Raises
    ------
    NewerFormatError
        Written by a later featx.
    DamagedStoreError
        Not such a file, or its structure is damaged. Damaged rows are left out and counted instead.
    """
    file = _opened(path)
    header = _head(file, path)
    return header, RowFile.check(*_columns(file, header))


def _columns(file: StoredFile, header: StoreHeader) -> tuple[Rows, NDArray[np.uint32]]:
    """Return all rows and their checksums, as they lie in the file."""
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
        if isinstance(error, NotRegularError):  # which is set aside as damage is
            raise DamagedStoreError(f"{path} is {error.strerror}") from None
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None


def _head(file: StoredFile, path: Path) -> StoreHeader:
    if file.attrs.get("format") != _FORMAT_NAME:
        raise DamagedStoreError(f"{path} is not a featx feature store")
    version = file.attrs.get("format_version")
    if not isinstance(version, int) or version < FORMAT_VERSION:
        raise DamagedStoreError(f"{path} has the format {version!r}")
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{path} has format {version}; this featx knows {FORMAT_VERSION}: update featx or choose another `cache`"
        )
    shape = file.shape("probes")
    if len(shape) != 2 or not 0 < 4 * math.prod(shape) <= _MOST_PROBES:
        raise DamagedStoreError(f"{path}: probes has the shape {shape}")
    probes = np.array(file.mapped("probes", "<f4", shape))
    producers = _producers(file.attrs.get("producers"))
    if not producers:
        raise DamagedStoreError(f"{path} does not say what made it")
    spec = file.attrs.get("spec")
    if not isinstance(spec, str):
        raise DamagedStoreError(f"{path} does not say of which recipe it is")
    return StoreHeader(spec, probes, producers)


def _producers(text: object) -> tuple[dict[str, str], ...]:
    try:
        said = json.loads(text) if isinstance(text, str) else None
    except (RecursionError, ValueError):
        return ()
    if not isinstance(said, list):
        return ()
    sound = all(isinstance(one, dict) and all(isinstance(value, str) for value in one.values()) for one in said)
    return tuple(said) if sound else ()
