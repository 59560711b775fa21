"""Check graphs of the openvino engine: an OpenVINO IR with fixed shapes and without loops or external data."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from featx.errors import EngineError

_LENGTH = 8
_DECLARATION = b'<?xml version="1.0"?>'
_MAX_XML = 16 << 20
"""Maximum size of the XML, in bytes; the largest backbone of the table needs 2 MB."""

_MAX_LAYERS = 20_000
_MAX_OPERATIONS = 5_000
"""Maximum number of operations other than constants; the largest backbone of the table has 1,300. The time to compile a
chain of operations increases with the square of their number."""

_MAX_PORTS = 1_000
_MAX_NUMBERS_PER_PIXEL = 4_096
"""Maximum number of values of a tensor for each pixel of the images in a batch; the largest tensors of VGG have 64."""

_MIN_LIMIT = 1 << 24
"""Number of values that a tensor may always have, even for small images."""

_OPSET = re.compile(r"opset([1-9]|1\d)")
_NUMBER = re.compile(r"\d{1,18}")
_BITS = {
    **{"boolean": 8, "i8": 8, "u8": 8, "f8e4m3": 8, "f8e5m2": 8, "i4": 4, "u4": 4, "u1": 1},
    **{"f16": 16, "bf16": 16, "i16": 16, "u16": 16, "f32": 32, "i32": 32, "u32": 32, "f64": 64, "i64": 64, "u64": 64},
}
_LOOPS = ("Loop", "TensorIterator", "If", "Assign", "ReadValue")
_FOLDABLE = ("Convert", "Multiply", "Subtract")
"""Operations whose inputs may all be constants, because these operations convert int8 weights to float32. Graphs
written by featx contain the results of other operations on constants, not the operations themselves. In a file from
elsewhere, such an operation could need any amount of memory when the file is read."""


def check_graph(graph: bytes, size: int | None = None, n_features: int | None = None) -> None:
    """Check that a graph has the form that featx writes: fixed shapes, no loops, no external data.

    Parameters
    ----------
    graph : bytes
        Length of the XML, the XML, and the weights.
    size : int, optional
        Expected side of the input, in pixels.
    n_features : int, optional
        Expected number of features per image.

    Raises
    ------
    EngineError
        If the graph has another form. The message states the defect.
    """
    text = _text(graph)
    root = _parse(text)
    layers = _layers(root)
    inputs = _inputs(root, layers)
    limit = most_numbers(_check_ends(layers, size, n_features))
    for layer in layers.values():
        _check_layer(layer, len(graph) - _LENGTH - len(text), limit)
    _check_order(layers, inputs)


def most_numbers(n_pixels: int) -> int:
    """Return the maximum number of values of a tensor, given the number of pixels in a batch."""
    return max(_MIN_LIMIT, _MAX_NUMBERS_PER_PIXEL * n_pixels)


def split_graph(graph: bytes) -> tuple[bytes, bytes]:
    """Return the XML and the weights of a graph.

    Raises
    ------
    EngineError
        If the graph contains no XML, or XML that parsers could read differently.
    """
    text = _text(graph)
    return text, graph[_LENGTH + len(text) :]


def _text(graph: bytes) -> bytes:
    length = int.from_bytes(graph[:_LENGTH], "little")
    if len(graph) < _LENGTH or not 0 < length <= min(len(graph) - _LENGTH, _MAX_XML):
        raise EngineError("the length of its XML is wrong")
    text = graph[_LENGTH : _LENGTH + length]
    # OpenVINO writes no document type, no encoding and no comment. Parsers may differ in how they read these.
    plain = text.removeprefix(_DECLARATION)
    if not plain.lstrip().startswith(b"<net") or b"<!" in plain or b"<?" in plain or b"\0" in plain:
        raise EngineError("it is not an OpenVINO IR")
    return text


def _parse(text: bytes) -> Element:
    try:
        root = ElementTree.fromstring(text.decode())
    except (ElementTree.ParseError, ValueError) as error:
        raise EngineError(f"its XML cannot be read: {error}") from None
    if root.tag != "net":
        raise EngineError("it is not an OpenVINO IR")
    return root


def _layers(root: Element) -> dict[str, Element]:
    parts = root.findall("layers")
    if len(parts) != 1 or len(root.findall("edges")) != 1 or {part.tag for part in root} - _PARTS:
        raise EngineError("its XML has missing, repeated or unknown parts; expected layers and edges, once each")
    layers: dict[str, Element] = {}
    for layer in parts[0]:
        number = layer.get("id", "")
        if layer.tag != "layer" or number in layers or not _NUMBER.fullmatch(number):
            raise EngineError(f"the layer id {number!r} is repeated, is not a number, or is not of a layer")
        layers[number] = layer
    n_operations = sum(layer.get("type") != "Const" for layer in layers.values())
    if len(layers) > _MAX_LAYERS or n_operations > _MAX_OPERATIONS:
        raise EngineError(
            f"it has {len(layers):,} layers, {n_operations:,} of them operations; "
            f"at most {_MAX_LAYERS:,} layers and {_MAX_OPERATIONS:,} operations are allowed"
        )
    return layers


_PARTS = {"layers", "edges", "rt_info", "meta_data"}


def _inputs(root: Element, layers: dict[str, Element]) -> dict[str, list[str]]:
    """Return the ids of the layers whose outputs are the inputs of each layer."""
    inputs: dict[str, list[str]] = defaultdict(list)
    taken = set()
    for edge in root.findall("edges")[0]:
        source, target = edge.get("from-layer", ""), edge.get("to-layer", "")
        if edge.tag != "edge" or source not in layers or target not in layers:
            raise EngineError("one of its edges connects a layer that does not exist")
        port = (target, edge.get("to-port"))
        if port in taken:
            raise EngineError("two of its edges lead to the same input")
        taken.add(port)
        inputs[target].append(source)
    return inputs


def _check_ends(layers: dict[str, Element], size: int | None, n_features: int | None) -> int:
    """Check input and output, and return the number of pixels in a batch."""
    parameters = [layer for layer in layers.values() if layer.get("type") == "Parameter"]
    results = [layer for layer in layers.values() if layer.get("type") == "Result"]
    if len(parameters) != 1 or len(results) != 1:
        raise EngineError(f"it has {len(parameters)} inputs and {len(results)} outputs; expected one of each")
    data = _data(parameters[0])
    shape = _shape(data)
    fits = data.get("element_type") == "u8" and len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2]
    if not fits or not 0 < shape[0] <= 64 or not 0 < shape[1] <= 4096:
        raise EngineError(
            f"its input is {data.get('element_type')} of shape {shape}; expected uint8 RGB images of shape "
            "(n, size, size, 3) with n up to 64 and size up to 4,096"
        )
    if size is not None and shape[1] != size:
        raise EngineError(f"its input images have {shape[1]} x {shape[2]} pixels; expected {size} x {size}")
    output = _dims(results[0].find("input/port"))
    if len(output) != 2 or output[0] != shape[0] or (n_features is not None and output[1] != n_features):
        raise EngineError(f"its output has shape {output}; expected ({shape[0]}, {n_features or 'n'})")
    return shape[0] * shape[1] * shape[2]


def _check_layer(layer: Element, n_weights: int, limit: int) -> None:
    kind, version = layer.get("type", ""), layer.get("version", "")
    if kind in _LOOPS or layer.find(".//layers") is not None:
        raise EngineError(
            f"it holds the operation {kind}, a loop, a branch or a variable, which featx does not run from a file"
        )
    if not _OPSET.fullmatch(version):
        raise EngineError(
            f"it holds the operation {kind} of {version!r}, which is not a standard operation of OpenVINO"
        )
    ports = [port for name in ("input", "output") for part in layer.findall(name) for port in part]
    if len(ports) > _MAX_PORTS:
        raise EngineError(
            f"its operation {kind} has {len(ports):,} inputs and outputs; at most {_MAX_PORTS:,} are allowed"
        )
    for port in ports:
        n = math.prod(_dims(port))
        if n > limit:
            raise EngineError(f"its operation {kind} has a tensor of {n:,} numbers; at most {limit:,} are allowed")
    if kind == "Const":
        _check_constant(_data(layer), n_weights)


def _check_constant(data: Element, n_weights: int) -> None:
    offset, size = (_whole_number(data.get(name, "")) for name in ("offset", "size"))
    bits = _BITS.get(data.get("element_type", ""))
    if bits is None:
        raise EngineError(f"it holds a constant of the unknown type {data.get('element_type')!r}")
    if size != -(-math.prod(_shape(data)) * bits // 8) or offset + size > n_weights:
        raise EngineError("one of its constants has the wrong size or is outside its weights")


def _check_order(layers: dict[str, Element], inputs: dict[str, list[str]]) -> None:
    """Check that no operation depends on itself, and that operations on constants alone are allowed ones."""
    missing = {number: len(inputs[number]) for number in layers}
    users = defaultdict(list)
    for number in layers:
        for source in inputs[number]:
            users[source].append(number)
    ready = [number for number, n in missing.items() if not n]
    n_done = 0
    constants: dict[str, list[int]] = {}
    while ready:
        number = ready.pop()
        n_done += 1
        kind = layers[number].get("type", "")
        if kind == "ShapeOf":
            raise EngineError("it computes with shapes; in a graph of featx all shapes are fixed")
        if kind == "Const":
            constants[number] = _shape(_data(layers[number]))
        elif kind != "Parameter" and all(source in constants for source in inputs[number]):
            constants[number] = _computed_shape(kind, [constants[source] for source in inputs[number]])
        for user in users[number]:
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    if n_done != len(layers):
        raise EngineError("its operations depend on each other in a cycle")


def _computed_shape(kind: str, shapes: Sequence[list[int]]) -> list[int]:
    """Compute the shape of the result of an operation on constants; the shape that the file states may be wrong."""
    n = max((len(shape) for shape in shapes), default=0)
    sides = zip(*([1] * (n - len(shape)) + shape for shape in shapes), strict=True)
    shape = [max(column) for column in sides]
    if kind not in _FOLDABLE or not shapes or math.prod(shape) > max(map(math.prod, shapes)):
        raise EngineError(
            f"it computes {kind or 'an operation'} on constants alone; featx stores the result as a constant"
        )
    return shape


def _data(layer: Element) -> Element:
    elements = layer.findall("data")
    if len(elements) != 1:
        raise EngineError(f"its operation {layer.get('type')} has no data element, or several")
    return elements[0]


def _shape(data: Element) -> list[int]:
    text = data.get("shape", "").replace(" ", "")
    return [_whole_number(side) for side in text.split(",")] if text else []


def _dims(port: Element | None) -> Sequence[int]:
    return [] if port is None else [_whole_number(side.text or "") for side in port if side.tag == "dim"]


def _whole_number(text: str) -> int:
    if not _NUMBER.fullmatch(text.strip()):
        raise EngineError(f"{text[:20]!r} is not a size; in a graph of featx all sizes are fixed")
    return int(text)
