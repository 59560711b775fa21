"""HDF5 files that featx writes once and reads by an index of its own.

The HDF5 library crashes where a write fails, and can crash or hang on a file whose structure is damaged. So it never
sees a failed write, and never reads: the user block before the HDF5 content says where each dataset lies, and datasets
are mapped from there. Every other program reads the files as plain HDF5.

User block: magic, length and CRC-32 of the index (little-endian), the index as JSON, filled up with spaces: ``attrs``;
for each dataset ``dtype``, ``shape``, ``offset`` in the file, and ``crc`` of its bytes or null; ``size`` of the file;
and ``structure``, the CRC-32 of what lies between the datasets.
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

from featx.errors import DamagedStoreError
from featx.files import open_regular

_MAGIC = b"featx hdf5 index\n"
_HEAD = struct.Struct(f"<{len(_MAGIC)}sII")
_LARGEST_INDEX = 1 << 20
_SMALL = 1 << 16
_ENTRY_BYTES = 200


class NewFile:
    """An HDF5 file being written; made by :func:`new_hdf5`."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._checked: dict[str, int] = {}

    def add(self, name: str, values: NDArray[Any]) -> None:
        """Write a dataset whose bytes are checked when it is read; byte strings are UTF-8."""
        import h5py

        values = np.ascontiguousarray(values)
        is_text = values.dtype.kind == "S"
        tagged = values.astype(h5py.string_dtype("utf-8", values.itemsize)) if is_text else values
        self._file.create_dataset(name, data=tagged)
        self._checked[name] = zlib.crc32(values.tobytes())

    def create(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        """Make a dataset that the caller fills and checks."""
        return self._file.create_dataset(name, shape, dtype)

    def index(self) -> dict[str, dict[str, Any]]:
        """Return dtype, shape, offset and checksum of each dataset; an empty one lies nowhere, at 0."""
        return {
            name: {
                "dtype": dataset.dtype.str,
                "shape": list(dataset.shape),
                "offset": dataset.id.get_offset() or 0,
                "crc": self._checked.get(name),
            }
            for name, dataset in self._file.items()
        }


@contextlib.contextmanager
def new_hdf5(path: Path, attrs: Mapping[str, str | int]) -> Iterator[NewFile]:
    """Write a new HDF5 file; the bytes depend on its content alone.

    Parameters
    ----------
    path : path
    attrs : mapping
        Attributes of the file; text may hold surrogate escapes.

    Raises
    ------
    OSError
        It could not be written whole: the disk is full, or fails.
    """
    import h5py

    room = 1 << (len(json.dumps(dict(attrs))) + 16 * _ENTRY_BYTES).bit_length()
    with path.open("w+b", buffering=0) as stream:
        patient = _Patient(stream)
        with h5py.File(patient, "w", userblock_size=room) as file:
            for name, value in attrs.items():
                file.attrs[name] = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            new = NewFile(file)
            yield new
            file.flush()
            datasets = new.index()
        content = {"attrs": dict(attrs), "datasets": datasets, "size": patient.end}
        content["structure"] = _structure(patient, room, content)
        index = json.dumps(content, sort_keys=True).encode().ljust(room - _HEAD.size)
        patient.seek(0)
        patient.write(memoryview(_HEAD.pack(_MAGIC, len(index), zlib.crc32(index)) + index))
        if patient.error is not None:
            raise patient.error


def _structure(stream: Any, at: int, content: Mapping[str, Any]) -> int:
    """Return the CRC-32 of what lies between the datasets, from ``at`` to the end."""
    spans = sorted(
        (one["offset"], math.prod(one["shape"]) * np.dtype(one["dtype"]).itemsize)
        for one in content["datasets"].values()
        if one["offset"]
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
    """What the index of a file says, and its datasets.

    Parameters
    ----------
    path : path

    Raises
    ------
    DamagedStoreError
        Its index is not what featx wrote.
    FileNotFoundError
        There is no such file.
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
                raise DamagedStoreError(f"{path} is damaged, or no file of featx")
            self._spans = {"its index": (0, self._begin)}
            # Mapped as a whole, so that all datasets are of one file, whatever takes its place meanwhile.
            self._bytes: Any = np.asarray(np.memmap(stream, np.uint8, "r"))
        try:
            self._content = json.loads(index)
            self.attrs: dict[str, str | int] = _checked_attrs(self._content["attrs"])
            self._datasets: dict[str, Any] = dict(self._content["datasets"].items())
            if type(self._content["size"]) is not int:
                raise TypeError("a size is a number")
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            raise DamagedStoreError(f"{path} is damaged, or no file of featx") from None

    def check_structure(self) -> None:
        """Make sure that nothing changed outside the datasets; that is of use to other programs only.

        Raises
        ------
        DamagedStoreError
            Something did, or the file has another length.
        """
        if self._size != self._content["size"]:
            raise DamagedStoreError(f"{self._path} has {self._size:,} bytes, written were {self._content['size']:,}")
        with open_regular(self._path, follow=False) as stream:
            try:
                same = _structure(stream, self._begin, self._content) == self._content.get("structure")
            except Exception:  # NumPy raises what it likes where a type is none
                same = False
        if not same:
            raise DamagedStoreError(f"{self._path}: its HDF5 structure is damaged, which other programs read")

    @property
    def names(self) -> frozenset[str]:
        """Names of the datasets."""
        return frozenset(self._datasets)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a dataset."""
        return self._dataset(name).shape

    def dtype(self, name: str) -> str:
        """Return the type of a dataset, as NumPy spells it."""
        return self._dataset(name).dtype

    def mapped(self, name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return a dataset of the expected type and shape, mapped into memory.

        Raises
        ------
        DamagedStoreError
            It has another type or shape, or its bytes are not those written.
        """
        found = self._dataset(name)
        if (found.dtype, found.shape) != (np.dtype(dtype).str, shape):
            raise DamagedStoreError(
                f"{self._path}: {name} is {found.dtype} of shape {found.shape}, not {dtype} of {shape}"
            )
        start, stop = self._span(name, math.prod(shape) * np.dtype(dtype).itemsize)
        if start == stop:
            return np.empty(shape, dtype)
        content = self._bytes[start:stop]
        if found.crc is not None and zlib.crc32(content) != found.crc:
            raise DamagedStoreError(f"{self._path}: {name} is damaged")
        values: NDArray[Any] = content.view(dtype).reshape(shape)
        return values

    def _dataset(self, name: str) -> _Dataset:
        try:
            return _Dataset.read(self._datasets[name])
        except (KeyError, TypeError, ValueError):
            raise DamagedStoreError(f"{self._path} has no dataset {name!r}") from None

    def _span(self, name: str, n_bytes: int) -> tuple[int, int]:
        """Return where a dataset begins and ends, once it is known to lie in the file and in no other one."""
        start = self._dataset(name).offset
        if not n_bytes:
            return 0, 0
        if type(start) is not int or not 0 <= start <= self._size - n_bytes:
            raise DamagedStoreError(f"{self._path} is cut short: {name} lies outside it")
        for other, (first, last) in self._spans.items():
            if other != name and start < last and first < start + n_bytes:
                raise DamagedStoreError(f"{self._path} is damaged: {name} lies in {other}")
        self._spans[name] = start, start + n_bytes
        return self._spans[name]


class _Dataset(NamedTuple):
    """What an index says of a dataset: type and shape are such as featx writes, the rest is not looked at yet."""

    dtype: str
    shape: tuple[int, ...]
    offset: Any
    crc: Any

    @classmethod
    def read(cls, said: Any) -> _Dataset:
        dtype, shape, offset, crc = (said[name] for name in ("dtype", "shape", "offset", "crc"))
        if not isinstance(dtype, str) or not isinstance(shape, list) or len(shape) > 3:
            raise TypeError("no dataset of featx")
        if not all(type(length) is int and 0 <= length < 1 << 63 for length in shape):
            raise ValueError("no shape")
        return cls(dtype, tuple(shape), offset, crc)


def _checked_attrs(said: Any) -> dict[str, str | int]:
    if not isinstance(said, dict) or not all(type(value) in (str, int) for value in said.values()):
        raise TypeError("attributes are text and numbers")
    return said


class _Patient:
    """A file that keeps its first error for later, and from then on only what HDF5 may read again.

    ``end`` is its length, ``error`` the first error or None.
    """

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self._at = 0
        self._small: dict[int, bytes] = {}
        self.end = 0
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.end}[whence] + offset
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
        """Read what was written."""
        n = max(0, min(len(target), self.end - self._at))
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
        self.end = size
        if self.error is None:
            try:
                self._stream.truncate(size)
            except OSError as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Do nothing: what is written is not held back."""
