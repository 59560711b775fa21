"""Write HDF5 files, and read them with an index in the user block, without the HDF5 library.

The HDF5 library crashes when a write fails, and can crash or hang on a file whose structure is damaged. Therefore
write errors are hidden from the library until the file is closed, and the library is never used to read files. The user
block before the HDF5 content contains the position of each dataset, and featx maps the datasets into memory. Other
programs read the files as plain HDF5.

The user block contains a magic string, the length and the CRC-32 of the index (little-endian), and the index as JSON,
padded with spaces. The index contains ``attrs`` (attributes of the file), ``datasets`` (``dtype``, ``shape``,
``offset`` in the file, and ``crc`` of the bytes or null, for each dataset), ``size`` (of the file) and ``structure``
(CRC-32 of the bytes between the datasets).
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.errors import DamagedStoreError, NewerFormatError, StoreError
from featx.files import open_regular

_MAGIC = b"featx hdf5 index\n"
_HEAD = struct.Struct(f"<{len(_MAGIC)}sII")
_LARGEST_INDEX = 1 << 20
_SMALL = 1 << 16
_ENTRY_BYTES = 200


class NewDataset:
    """A dataset of a new file, which is written in consecutive parts; created by :meth:`NewFile.create`."""

    def __init__(self, dataset: Any, checked: bool) -> None:
        self._dataset = dataset
        self._n = 0
        self.crc: int | None = 0 if checked else None

    def append(self, values: NDArray[Any]) -> None:
        """Write the next values."""
        self._dataset[self._n : self._n + len(values)] = values
        self._n += len(values)
        if self.crc is not None:
            self.crc = zlib.crc32(np.ascontiguousarray(values).data, self.crc)


class NewFile:
    """An HDF5 file that is being written; created by :func:`new_hdf5`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._checked: dict[str, int | None] = {}
        self._growing: dict[str, NewDataset] = {}

    def add(self, name: str, values: NDArray[Any]) -> None:
        """Write a dataset with a checksum, which is checked when the dataset is read; byte strings are UTF-8."""
        import h5py

        values = np.ascontiguousarray(values)
        is_text = values.dtype.kind == "S"
        tagged = values.astype(h5py.string_dtype("utf-8", values.itemsize)) if is_text else values
        self._file.create_dataset(name, data=tagged)
        self._checked[name] = zlib.crc32(values.tobytes())

    def create(self, name: str, shape: tuple[int, ...], dtype: str, checked: bool = False) -> NewDataset:
        """Create an empty dataset, to which the caller appends the values.

        Without ``checked``, the dataset has no checksum, so that the caller checks the values after reading.
        """
        self._growing[name] = NewDataset(self._file.create_dataset(name, shape, dtype), checked)
        return self._growing[name]

    def index(self) -> dict[str, dict[str, Any]]:
        """Return the dtype, shape, offset and checksum of each dataset; the offset of an empty dataset is 0."""
        checked = self._checked | {name: dataset.crc for name, dataset in self._growing.items()}
        return {
            name: {
                "dtype": dataset.dtype.str,
                "shape": list(dataset.shape),
                "offset": dataset.id.get_offset() or 0,
                "crc": checked[name],
            }
            for name, dataset in self._file.items()
        }


@contextlib.contextmanager
def new_hdf5(path: Path, attrs: Mapping[str, str | int]) -> Iterator[NewFile]:
    """Create an HDF5 file whose bytes depend only on the content.

    Parameters
    ----------
    path : path
    attrs : mapping
        Attributes of the file. Text may contain surrogate escapes.

    Raises
    ------
    OSError
        If the file could not be written completely, for example because the disk is full.
    """
    import h5py

    block_bytes = 1 << (len(json.dumps(dict(attrs))) + 16 * _ENTRY_BYTES).bit_length()
    with path.open("w+b", buffering=0) as stream:
        output = _DeferredErrors(stream)
        with h5py.File(output, "w", userblock_size=block_bytes) as file:
            for name, value in attrs.items():
                file.attrs[name] = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            new = NewFile(file)
            yield new
            file.flush()
            datasets = new.index()
        content = {"attrs": dict(attrs), "datasets": datasets, "size": output.end}
        content["structure"] = _structure(output, block_bytes, content)
        index = json.dumps(content, sort_keys=True).encode().ljust(block_bytes - _HEAD.size)
        output.seek(0)
        output.write(memoryview(_HEAD.pack(_MAGIC, len(index), zlib.crc32(index)) + index))
        if output.error is not None:
            raise output.error


def _structure(stream: Any, at: int, content: Mapping[str, Any]) -> int:
    """Return the CRC-32 of the bytes between the datasets, from ``at`` to the end; -1 if the file is too short."""
    spans = sorted(
        (entry["offset"], math.prod(entry["shape"]) * np.dtype(entry["dtype"]).itemsize)
        for entry in content["datasets"].values()
        if entry["offset"]
    )
    crc = 0
    for offset, n_bytes in [*spans, (content["size"], 0)]:
        while at < offset:
            stream.seek(at)
            part = stream.read(min(offset - at, _LARGEST_INDEX))
            if not part:
                return -1
            crc, at = zlib.crc32(part, crc), at + len(part)
        at = max(at, offset + n_bytes)
    return crc


class StoredFile:
    """An HDF5 file that featx wrote, with attributes and memory-mapped datasets.

    Parameters
    ----------
    path : path

    Raises
    ------
    DamagedStoreError
        If the index of the file is damaged, or featx did not write the file.
    FileNotFoundError
        If the file does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open_regular(path, follow=False) as stream:
            self._size = os.fstat(stream.fileno()).st_size
            head = stream.read(_HEAD.size)
            magic, length, checksum = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0, 0)
            index = stream.read(min(length, _LARGEST_INDEX)) if magic == _MAGIC else b""
            self._begin = stream.tell()
            if not index or zlib.crc32(index) != checksum:
                raise DamagedStoreError(f"{path} is damaged, or was not written by featx")
            self._spans = {"the index": (0, self._begin)}
            # The whole file is mapped, so that all datasets belong to the same file even if the path gets another file.
            self._bytes: Any = np.asarray(np.memmap(stream, np.uint8, "r"))
        try:
            self._content = json.loads(index)
            self.attrs: dict[str, str | int] = _checked_attrs(self._content["attrs"])
            self._datasets: dict[str, Any] = dict(self._content["datasets"].items())
            if type(self._content["size"]) is not int:
                raise TypeError("size is not a number")
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            raise DamagedStoreError(f"{path} is damaged, or was not written by featx") from None

    def check_structure(self) -> None:
        """Check that the bytes outside the datasets are unchanged; only other programs read these bytes.

        Raises
        ------
        DamagedStoreError
            If these bytes have changed, or the file has another length.
        """
        if self._size != self._content["size"]:
            raise DamagedStoreError(f"{self._path} has {self._size:,} bytes; expected {self._content['size']:,}")
        with open_regular(self._path, follow=False) as stream:
            try:
                same = _structure(stream, self._begin, self._content) == self._content.get("structure")
            except Exception:  # NumPy raises various exceptions for an invalid dtype
                same = False
        if not same:
            raise DamagedStoreError(f"{self._path}: the HDF5 structure, which only other programs read, is damaged")

    @property
    def n_bytes(self) -> int:
        """Size of the file in bytes."""
        return self._size

    def has_checksum(self, name: str) -> bool:
        """Return whether the index contains a checksum of a dataset."""
        return self._dataset(name).crc is not None

    @property
    def names(self) -> frozenset[str]:
        """Names of the datasets."""
        return frozenset(self._datasets)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a dataset."""
        return self._dataset(name).shape

    def dtype(self, name: str) -> str:
        """Return the dtype of a dataset, in NumPy's notation."""
        return self._dataset(name).dtype

    def mapped(self, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return a dataset with the expected dtype and shape, mapped into memory.

        Raises
        ------
        DamagedStoreError
            If the dataset is missing, is outside the file, overlaps another dataset, has another dtype or shape, or
            has a wrong checksum.
        """
        dataset = self._dataset(name)
        if (dataset.dtype, dataset.shape) != (np.dtype(dtype).str, shape):
            raise DamagedStoreError(
                f"{self._path}: {name} is {dataset.dtype} of shape {dataset.shape}; expected {dtype} of shape {shape}"
            )
        start, stop = self._span(name, math.prod(shape) * np.dtype(dtype).itemsize)
        if start == stop:
            return np.empty(shape, dtype)
        content = self._bytes[start:stop]
        if dataset.crc is not None and zlib.crc32(content) != dataset.crc:
            raise DamagedStoreError(f"{self._path}: {name} is damaged")
        values: NDArray[Any] = content.view(dtype).reshape(shape)
        return values

    def _dataset(self, name: str) -> _Dataset:
        try:
            return _Dataset.read(self._datasets[name])
        except (KeyError, TypeError, ValueError):
            raise DamagedStoreError(f"{self._path} has no dataset {name!r}") from None

    def _span(self, name: str, n_bytes: int) -> tuple[int, int]:
        """Return the start and the end of a dataset; check that it is inside the file and overlaps no other dataset."""
        start = self._dataset(name).offset
        if not n_bytes:
            return 0, 0
        if type(start) is not int or not 0 <= start <= self._size - n_bytes:
            raise DamagedStoreError(f"{self._path} is truncated: {name} is outside the file")
        for other, (first, last) in self._spans.items():
            if other != name and start < last and first < start + n_bytes:
                raise DamagedStoreError(f"{self._path} is damaged: {name} overlaps {other}")
        self._spans[name] = start, start + n_bytes
        return self._spans[name]


def open_stored(path: Path, format_version: int) -> StoredFile:
    """Open an HDF5 file that featx wrote, unless its format is newer than the given version.

    Raises
    ------
    NewerFormatError
        If a later version of featx wrote the file.
    DamagedStoreError
        If the index of the file is damaged, or featx did not write the file.
    StoreError
        If the file cannot be read.
    FileNotFoundError
        If the file does not exist.
    """
    try:
        file = StoredFile(path)
    except (FileNotFoundError, StoreError):
        raise
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from None
    version = file.attrs.get("format_version")
    if isinstance(version, int) and version > format_version:
        raise NewerFormatError(
            f"{path} has format {version}; this version of featx reads format {format_version}. Update featx"
        )
    return file


class _Dataset(NamedTuple):
    """Index entry of a dataset; only dtype and shape have been checked."""

    dtype: str
    shape: tuple[int, ...]
    offset: Any
    crc: Any

    @classmethod
    def read(cls, entry: Any) -> _Dataset:
        dtype, shape, offset, crc = (entry[name] for name in ("dtype", "shape", "offset", "crc"))
        if not isinstance(dtype, str) or not isinstance(shape, list) or len(shape) > 3:
            raise TypeError("not a dataset that featx writes")
        if not all(type(length) is int and 0 <= length < 1 << 63 for length in shape):
            raise ValueError("invalid shape")
        return cls(dtype, tuple(shape), offset, crc)


def _checked_attrs(attrs: Any) -> dict[str, str | int]:
    if not isinstance(attrs, dict) or not all(type(value) in (str, int) for value in attrs.values()):
        raise TypeError("attributes must be text or numbers")
    return attrs


class _DeferredErrors:
    """A file object that never raises an error, but stores the first error.

    After an error, only small writes are kept, in memory, because the HDF5 library may read them again. ``end`` is the
    length of the file; ``error`` is the first error, or None.
    """

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self._at = 0
        self._small: dict[int, bytes] = {}
        self.end = 0
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position, and return it."""
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.end}[whence] + offset
        return self._at

    def tell(self) -> int:
        """Return the current position."""
        return self._at

    def write(self, content: memoryview) -> int:
        """Write ``content`` completely, or store the error."""
        if self.error is None:
            try:
                self._write(content)
            except OSError as error:
                self.error = error
        if self.error is not None and len(content) <= _SMALL:
            self._small[self._at] = bytes(content)
        self._at += len(content)
        self.end = max(self.end, self._at)
        return len(content)

    def _write(self, content: memoryview) -> None:
        self._stream.seek(self._at)
        rest = memoryview(content)
        while rest:
            rest = rest[self._stream.write(rest) or 0 :]

    def readinto(self, target: memoryview) -> int:
        """Read bytes that were written into ``target``, and return their number."""
        n = max(0, min(len(target), self.end - self._at))
        self._stream.seek(self._at)
        content = self._stream.read(n) or b""
        target[: len(content)] = content
        for at, small in self._small.items():
            first, last = max(at, self._at), min(at + len(small), self._at + n)
            if first < last:
                target[first - self._at : last - self._at] = small[first - at : last - at]
        self._at += n
        return n

    def read(self, n: int) -> bytes:
        """Return the bytes that were written; h5py requires this method, but calls ``readinto``."""
        content = bytearray(n)
        return bytes(content[: self.readinto(memoryview(content))])

    def truncate(self, size: int) -> int:
        """Set the length of the file."""
        self.end = size
        if self.error is None:
            try:
                self._stream.truncate(size)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Do nothing, because writes are not buffered."""
