"""Check that an ONNX file contains all its weights, by reading its fields instead of searching for a byte pattern.

The check follows the wire format of protobuf (protobuf.dev/programming-guides/encoding) through all messages of
onnx.proto that can contain a tensor. The result does not depend on the nesting, order, division or repetition of the
messages.
"""

from __future__ import annotations

from collections.abc import Iterator

from featx.errors import BackboneError

_MAX_FIELD = 2**29 - 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# For each message of onnx.proto that can contain a tensor: the messages in its fields, by field number.
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def check_onnx(content: bytes) -> None:
    """Check that an ONNX file contains all its weights.

    Parameters
    ----------
    content : bytes
        The whole file.

    Raises
    ------
    BackboneError
        If weights are in another file, or the content is not an ONNX file.
    """
    view = memoryview(content)
    has_graph = False
    parts: list[tuple[str, int, int]] = [("model", 0, len(view))]
    while parts:
        message, start, end = parts.pop()
        for number, wire, at, after in _fields(view, start, end):
            if message == "tensor" and _is_outside(view, number, wire, at):
                raise BackboneError(
                    "keeps its weights in another file; save it as one file: onnx.save(onnx.load(FILE), NEW)"
                )
            inner = _MESSAGES[message].get(number)
            if inner is not None and wire == _BYTES:
                has_graph |= message == "model" and inner == "graph"
                parts.append((inner, at, after))
    if not has_graph:
        raise BackboneError("is not an ONNX file: it holds no graph")


def _is_outside(view: memoryview, number: int, wire: int, at: int) -> bool:
    if number == _EXTERNAL_DATA:
        return True
    return number == _DATA_LOCATION and not (wire == _VARINT and _varint(view, at, len(view))[0] == 0)


def _fields(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, start and end (exclusive) of the value of each field of a message."""
    at = start
    while at < end:
        tag, at = _varint(view, at, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number <= _MAX_FIELD:
            raise _damaged()
        if wire == _VARINT:
            after = _varint(view, at, end)[1]
        elif wire == _BYTES:
            length, at = _varint(view, at, end)
            after = at + length
        elif wire in (_FIXED64, _FIXED32):
            after = at + (8 if wire == _FIXED64 else 4)
        else:  # groups, which onnx.proto does not use
            raise _damaged()
        if after > end:
            raise _damaged()
        yield number, wire, at, after
        at = after


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _damaged()


def _damaged() -> BackboneError:
    return BackboneError("is not an ONNX file, or it is damaged")
