"""Read and write the numeric arrays of a model file, and check their type, shape and number of bytes."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import ClassifierError

_KINDS = "biuf"
_MOST_DIMENSIONS = 4
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def array_bytes(array: NDArray[Any]) -> bytes:
    """Return an array as the bytes of an ``.npy`` file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def check_array(content: bytes, name: str, fortran: bool = False) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return the data type, the shape and the data offset of an ``.npy`` file, without allocating the array.

    Parameters
    ----------
    content : bytes
        Bytes of the file.
    name : str
        Name of the array in error messages.
    fortran : bool
        Whether Fortran order (the first index changes fastest) is allowed.

    Returns
    -------
    dtype : dtype
    shape : tuple of int
    offset : int
        Position of the first number in ``content``.

    Raises
    ------
    ClassifierError
        If the array holds objects or text, or if its shape does not match the number of bytes.
    """
    stream = io.BytesIO(content)
    try:
        dtype, shape, first_fastest = _header(stream)
    except Exception as error:  # NumPy parses the header as Python code: SyntaxError, TokenError, MemoryError, ...
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ClassifierError(f"the array {name} is damaged: {reason}") from None
    if dtype.kind not in _KINDS or not dtype.isnative:
        reason = "object arrays cannot be loaded" if dtype.hasobject else f"its type {dtype} is not numeric"
        raise ClassifierError(f"the array {name} is damaged: {reason}")
    if first_fastest and not fortran and len(shape) > 1:
        raise ClassifierError(f"the array {name} is in Fortran order; expected C order")
    if len(shape) > _MOST_DIMENSIONS or any(type(side) is not int or side < 0 for side in shape):
        raise ClassifierError(f"the array {name} is damaged: its shape is {str(shape)[:60]}")
    if math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ClassifierError(f"the array {name} is damaged: its shape {shape} does not match its number of bytes")
    return dtype, shape, stream.tell()


def read_array(content: bytes, name: str) -> NDArray[Any]:
    """Return the array in the content of an ``.npy`` file; see :func:`check_array`."""
    dtype, shape, start = check_array(content, name)
    array: NDArray[Any] = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape).copy()
    return array


def _header(stream: io.BytesIO) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    version = np.lib.format.read_magic(stream)
    if version not in _READERS:
        raise ValueError(f"its format {version} is unknown")
    shape, first_fastest, dtype = _READERS[version](stream)
    return dtype, shape, first_fastest
