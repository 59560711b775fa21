"""Read the tensors of a PyTorch weight file of the old, non-zip format, and nothing else, without PyTorch.

Format: pickles of a magic number, a protocol version, a description of the machine, the tensors (as
references into storages) and the list of storages; then each storage as a 64-bit count and raw values.
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

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_MEMO = 1_000_000
"""Objects that a pickle may number; the number alone makes the unpickler reserve memory."""

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
    """An unpickler that can name an ordered dictionary and tensors; anything else stops it."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise WeightsError(f"it asks for {module}.{name}, which is no tensor; refused") from None

    def persistent_load(self, reference: Any) -> tuple[str, str, int]:
        kind, dtype, key, _, count, _ = reference
        if kind != "storage" or dtype not in _DTYPES.values():
            raise WeightsError("it refers to something that is no tensor storage; refused")
        return str(key), dtype, int(count)


def read_pth(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the tensors of a PyTorch file, name to array.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    WeightsError
        Not such a file, damaged, or holding anything but tensors.
    """
    stream = io.BytesIO(data)
    try:
        tensors, keys = _read_pickles(stream)
        storages = _read_storages(stream, tensors, keys)
        return {name: _view(storages[t.storage[0]], t) for name, t in tensors.items()}
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise WeightsError(f"damaged PyTorch file: {error}") from None


def read_pth_file(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a PyTorch file; see :func:`read_pth`, whose errors name the file here."""
    try:
        return read_pth(path.read_bytes())
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def _read_pickles(stream: BinaryIO) -> tuple[dict[str, _Tensor], list[str]]:
    magic, protocol, _, tensors, keys = (_unpickled(stream) for _ in range(5))
    if magic != _MAGIC or protocol != _PROTOCOL:
        raise WeightsError("not a PyTorch file of the old format")
    if not isinstance(tensors, dict) or not all(isinstance(t, _Tensor) for t in tensors.values()):
        raise WeightsError("the PyTorch file holds something besides tensors")
    return tensors, keys


def _unpickled(stream: BinaryIO) -> Any:
    start = stream.tell()
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in _NUMBERED and int(argument or 0) > _MOST_MEMO:
            raise WeightsError("it numbers more objects than a file of tensors has")
    stream.seek(start)
    return _TensorUnpickler(stream).load()


_NUMBERED = ("PUT", "BINPUT", "LONG_BINPUT")


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
