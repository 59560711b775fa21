"""The base file of a feature store: the HDF5 layout of docs/format.md, written whole, read as a memory map."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from featx.errors import DamagedStoreError, FeatxError, NewerFormatError
from featx.store.hdf5 import new_hdf5
from featx.store.rows import KEY_BYTES, SIGNATURE_SHAPE, RowFile, Rows

FORMAT_VERSION = 1
_FORMAT_NAME = "featx features"
_BLOCK = 4096


@dataclass(frozen=True)
class Head:
    """What a base file says about itself.

    Parameters
    ----------
    spec : str
        Canonical JSON of the feature recipe.
    probes : ndarray of shape (n_probes, feature_dim), float32
        Features of the probe pictures, as the first producer computed them.
    producers : tuple of dict
        Libraries and processors that computed rows.
    """

    spec: str
    probes: NDArray[np.float32]
    producers: tuple[dict[str, str], ...]

    @property
    def feature_dim(self) -> int:
        """Numbers per picture."""
        return int(self.probes.shape[1])


def write_base(path: Path, head: Head, n_rows: int, blocks: Iterator[Rows]) -> None:
    """Write a base file.

    The bytes depend on the rows alone: sorted by key, in blocks of fixed size, without times.

    Parameters
    ----------
    path : path
        New file.
    head : Head
    n_rows : int
        Rows in all blocks together.
    blocks : iterator of Rows
        Blocks as :func:`block_bounds` cuts them, keys ascending.
    """
    with new_hdf5(path) as file:
        file.attrs["format"] = _FORMAT_NAME
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["spec"] = head.spec
        file.attrs["producers"] = json.dumps(list(head.producers), sort_keys=True)
        file.create_dataset("probes", data=head.probes)
        key = file.create_dataset("key", (n_rows, KEY_BYTES), "u1")
        signature = file.create_dataset("signature", (n_rows, *SIGNATURE_SHAPE), "u1")
        features = file.create_dataset("features", (n_rows, head.feature_dim), "<f4")
        crc = file.create_dataset("crc", (n_rows,), "<u4")
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


def read_head(path: Path) -> Head:
    """Read what a base file says about itself.

    Raises
    ------
    NewerFormatError
        Written by a later featx.
    DamagedStoreError
        Not such a file.
    """
    with _open(path) as file:
        return _head(file, path)


def read_base(path: Path) -> tuple[Head, RowFile]:
    """Open a base file and check every row.

    Raises
    ------
    NewerFormatError
        Written by a later featx.
    DamagedStoreError
        Not such a file, or its structure is damaged. Damaged rows are left out and counted instead.
    """
    with _open(path) as file:
        head = _head(file, path)
        shape: tuple[int, ...] = _dataset(file, path, "crc").shape
        if len(shape) != 1:
            raise DamagedStoreError(f"{path}: crc has the shape {shape}")
        n_rows = shape[0]
        rows = Rows(
            _mapped(file, path, "key", "u1", (n_rows, KEY_BYTES)),
            _mapped(file, path, "signature", "u1", (n_rows, *SIGNATURE_SHAPE)),
            _mapped(file, path, "features", "<f4", (n_rows, head.feature_dim)),
        )
        crc = _mapped(file, path, "crc", "<u4", (n_rows,))
    return head, RowFile.check(rows, crc)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open for reading; any failure of the HDF5 library is a damaged store."""
    try:
        with h5py.File(path, "r", locking=False) as file:  # never changed in place, so never locked
            yield file
    except FeatxError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, ValueError, TypeError, RuntimeError, ...
        raise DamagedStoreError(f"{path} is damaged or no feature store: {error}") from None


def _head(file: h5py.File, path: Path) -> Head:
    if file.attrs.get("format") != _FORMAT_NAME:
        raise DamagedStoreError(f"{path} is not a featx feature store")
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{path} has format {version}; this featx knows {FORMAT_VERSION}: update featx or choose another --cache"
        )
    probes = _dataset(file, path, "probes")
    if probes.dtype != np.dtype("<f4") or probes.ndim != 2 or probes.size > 2**28:
        raise DamagedStoreError(f"{path}: probes is {probes.dtype} of shape {probes.shape}")
    producers = json.loads(file.attrs["producers"])
    return Head(str(file.attrs["spec"]), probes[()], tuple(producers))


def _dataset(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    link = file.get(name, getlink=True)
    dataset = file.get(name) if isinstance(link, h5py.HardLink) else None  # never follow a link to another file
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise DamagedStoreError(f"{path} has no plain dataset {name!r}")
    return dataset


def _mapped(file: h5py.File, path: Path, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    dataset = _dataset(file, path, name)
    if dataset.dtype != np.dtype(dtype) or dataset.shape != shape:
        raise DamagedStoreError(f"{path}: {name} is {dataset.dtype} of shape {dataset.shape}, not {dtype} of {shape}")
    if 0 in shape:
        return np.empty(shape, dtype)
    offset = dataset.id.get_offset()  # None unless the values lie in one piece in this file
    if offset is None:
        raise DamagedStoreError(f"{path}: {name} is not stored in one piece")
    return np.asarray(np.memmap(path, dtype, "r", offset, shape))
