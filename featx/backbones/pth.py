"""Read tensors, and no other objects, from a PyTorch weights file of the old, non-zip format, without PyTorch.

The file contains pickles of a magic number, a protocol version, a description of the machine, the tensors (as
references into storages) and the list of storages, followed by each storage as a 64-bit count and raw values.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from featx.errors import WeightsError
from featx.files import read_regular

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_BYTES = 1_000_000_000
_MOST_MEMO = 1_000_000
"""Maximum memo index in a pickle; the unpickler allocates memory for all indices up to the largest."""

_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


@dataclass(frozen=True)
class _Tensor:
    storage: tuple[str, str, int]  # key, dtype, number of values
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    **{("torch", name): dtype for name, dtype in _DTYPES.items()},
}


class _TensorUnpickler(pickle.Unpickler):
    """Unpickler that allows an ordered dictionary and tensors, and raises an error for other objects."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise WeightsError(f"it contains {module}.{name}, which is not a tensor; refused") from None

    def persistent_load(self, reference: Any) -> tuple[str, str, int]:
        kind, dtype, key, _, count, _ = reference
        if kind != "storage" or dtype not in _DTYPES.values():
            raise WeightsError("it refers to an object that is not a tensor storage; refused")
        return str(key), dtype, int(count)


def read_pth(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a PyTorch file, as a dict of arrays by name.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    WeightsError
        If the file has another format, is damaged, or contains objects other than tensors.
    """
    stream = io.BytesIO(data)
    try:
        tensors, keys = _read_pickles(stream)
        storages = _read_storages(stream, tensors, keys)
        return {name: _view(storages[t.storage[0]], t) for name, t in tensors.items()}
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly any exception
        raise WeightsError(f"damaged PyTorch file: {error}") from None


def read_pth_file(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a PyTorch file; see :func:`read_pth`. Error messages contain the path."""
    try:
        return read_pth(read_regular(path, _MOST_BYTES))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_pickles(stream: BinaryIO) -> tuple[dict[str, _Tensor], list[str]]:
    magic, protocol, _, tensors, keys = (_unpickle(stream) for _ in range(5))
    if magic != _MAGIC or protocol != _PROTOCOL:
        raise WeightsError("it is not a PyTorch file of the old format")
    if not isinstance(tensors, dict) or not all(isinstance(t, _Tensor) for t in tensors.values()):
        raise WeightsError("the PyTorch file holds objects other than tensors")
    return tensors, keys


def _unpickle(stream: BinaryIO) -> Any:
    start = stream.tell()
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in _MEMO_OPCODES and int(argument or 0) > _MOST_MEMO:
            raise WeightsError("its pickle has more memo entries than a file of tensors needs")
    stream.seek(start)
    return _TensorUnpickler(stream).load()


_MEMO_OPCODES = ("PUT", "BINPUT", "LONG_BINPUT")


def _read_storages(stream: BinaryIO, tensors: dict[str, _Tensor], keys: list[str]) -> dict[str, NDArray[Any]]:
    declared = {t.storage[0]: t.storage for t in tensors.values()}
    storages = {}
    for key in keys:
        _, dtype, count = declared[key]
        stored = int.from_bytes(stream.read(8), "little")
        content = stream.read(count * np.dtype(dtype).itemsize)
        if stored != count or len(content) != count * np.dtype(dtype).itemsize:
            raise WeightsError("truncated PyTorch file")
        storages[key] = np.frombuffer(content, dtype)
    return storages


def _view(storage: NDArray[Any], tensor: _Tensor) -> NDArray[Any]:
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if min((tensor.offset, *tensor.strides), default=0) < 0 or min(tensor.shape, default=1) < 1 or last >= len(storage):
        raise WeightsError("a tensor of the PyTorch file lies outside its storage")
    if math.prod(tensor.shape) > len(storage):
        raise WeightsError("a tensor of the PyTorch file is larger than its storage")
    strides = tuple(s * storage.itemsize for s in tensor.strides)
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
