"""Graphs of the openvino engine: an OpenVINO IR of a fixed shape, without loops, whose constants lie in it."""

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
_MOST_XML = 16 << 20
"""Bytes; the largest of the table has 2 MB."""

_MOST_LAYERS = 20_000
_MOST_OPERATIONS = 5_000
"""Operations that compute; the largest network of the table has 1,300, and compiling a chain takes their square."""

_MOST_PORTS = 1_000
_MOST_NUMBERS_A_PIXEL = 4_096
"""Numbers of one tensor for each pixel of the images that are run at once; VGG's largest have 64."""

_LEAST_NUMBERS = 1 << 24
"""Numbers that any tensor may have, however small the images are."""

_OPSET = re.compile(r"opset([1-9]|1\d)")
_NUMBER = re.compile(r"\d{1,18}")
_BITS = {
    **{"boolean": 8, "i8": 8, "u8": 8, "f8e4m3": 8, "f8e5m2": 8, "i4": 4, "u4": 4, "u1": 1},
    **{"f16": 16, "bf16": 16, "i16": 16, "u16": 16, "f32": 32, "i32": 32, "u32": 32, "f64": 64, "i64": 64, "u64": 64},
}
_LOOPS = ("Loop", "TensorIterator", "If", "Assign", "ReadValue")
_OF_CONSTANTS = ("Convert", "Multiply", "Subtract")
"""What may be computed from constants alone: int8 weights are brought to float32 so. Anything else is a constant in
what featx writes, and could ask for any memory while the graph is read."""


def check_graph(graph: bytes, size: int | None = None, n_features: int | None = None) -> None:
    """Make sure that a graph is one as featx writes it: fixed shapes, no loop, nothing that lies elsewhere.

    Parameters
    ----------
    graph : bytes
        Length of the XML, the XML, the weights.
    size : int, optional
        Side of the images that it must take.
    n_features : int, optional
        Numbers that it must give for each.

    Raises
    ------
    EngineError
        It is another one; the message says what is wrong.
    """
    text = _text(graph)
    root = _parsed(text)
    layers = _layers(root)
    inputs = _inputs(root, layers)
    most = most_numbers(_check_ends(layers, size, n_features))
    for layer in layers.values():
        _check_layer(layer, len(graph) - _LENGTH - len(text), most)
    _check_order(layers, inputs)


def most_numbers(n_pixels: int) -> int:
    """Return how many numbers one tensor of a graph may have that takes this many pixels at once."""
    return max(_LEAST_NUMBERS, _MOST_NUMBERS_A_PIXEL * n_pixels)


def split_graph(graph: bytes) -> tuple[bytes, bytes]:
    """Return XML and weights of a graph.

    Raises
    ------
    EngineError
        It holds no XML, or one that two parsers could read differently.
    """
    text = _text(graph)
    return text, graph[_LENGTH + len(text) :]


def _text(graph: bytes) -> bytes:
    length = int.from_bytes(graph[:_LENGTH], "little")
    if len(graph) < _LENGTH or not 0 < length <= min(len(graph) - _LENGTH, _MOST_XML):
        raise EngineError("its length is wrong")
    text = graph[_LENGTH : _LENGTH + length]
    # No document type, no other encoding, nothing that one parser skips and another reads: OpenVINO writes none of it.
    plain = text.removeprefix(_DECLARATION)
    if not plain.lstrip().startswith(b"<net") or b"<!" in plain or b"<?" in plain or b"\0" in plain:
        raise EngineError("it is no OpenVINO IR")
    return text


def _parsed(text: bytes) -> Element:
    try:
        root = ElementTree.fromstring(text.decode())
    except (ElementTree.ParseError, ValueError) as error:
        raise EngineError(f"its XML cannot be read: {error}") from None
    if root.tag != "net":
        raise EngineError("it is no OpenVINO IR")
    return root


def _layers(root: Element) -> dict[str, Element]:
    found = root.findall("layers")
    if len(found) != 1 or len(root.findall("edges")) != 1 or {part.tag for part in root} - _PARTS:
        raise EngineError("its XML has other parts than layers and edges")
    layers: dict[str, Element] = {}
    for layer in found[0]:
        number = layer.get("id", "")
        if layer.tag != "layer" or number in layers or not _NUMBER.fullmatch(number):
            raise EngineError(f"its layer {number!r} is there twice, or has no number")
        layers[number] = layer
    n_operations = sum(layer.get("type") != "Const" for layer in layers.values())
    if len(layers) > _MOST_LAYERS or n_operations > _MOST_OPERATIONS:
        raise EngineError(f"it has {n_operations:,} operations; {_MOST_OPERATIONS:,} are the most")
    return layers


_PARTS = {"layers", "edges", "rt_info", "meta_data"}


def _inputs(root: Element, layers: dict[str, Element]) -> dict[str, list[str]]:
    """Return the layers that each layer takes its input from."""
    inputs: dict[str, list[str]] = defaultdict(list)
    taken = set()
    for edge in root.findall("edges")[0]:
        source, target = edge.get("from-layer", ""), edge.get("to-layer", "")
        if edge.tag != "edge" or source not in layers or target not in layers:
            raise EngineError("one of its edges leads nowhere")
        place = (target, edge.get("to-port"))
        if place in taken:
            raise EngineError("two of its edges lead to one input")
        taken.add(place)
        inputs[target].append(source)
    return inputs


def _check_ends(layers: dict[str, Element], size: int | None, n_features: int | None) -> int:
    """Check input and output, and return the pixels of the images that are run at once."""
    takes = [layer for layer in layers.values() if layer.get("type") == "Parameter"]
    gives = [layer for layer in layers.values() if layer.get("type") == "Result"]
    if len(takes) != 1 or len(gives) != 1:
        raise EngineError(f"it has {len(takes)} inputs and {len(gives)} outputs; needed is one of each")
    data = _data(takes[0])
    shape = _shape(data)
    fits = data.get("element_type") == "u8" and len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2]
    if not fits or not 0 < shape[0] <= 64 or not 0 < shape[1] <= 4096:
        raise EngineError(f"it takes {data.get('element_type')} of shape {shape}; needed are uint8 RGB images")
    if size is not None and shape[1] != size:
        raise EngineError(f"it takes images of {shape[1]} x {shape[2]} pixels, not {size} x {size}")
    given = _dims(gives[0].find("input/port"))
    if len(given) != 2 or given[0] != shape[0] or (n_features is not None and given[1] != n_features):
        raise EngineError(f"it gives numbers of shape {given}, not ({shape[0]}, {n_features or 'n'})")
    return shape[0] * shape[1] * shape[2]


def _check_layer(layer: Element, n_weights: int, most: int) -> None:
    kind, version = layer.get("type", ""), layer.get("version", "")
    if kind in _LOOPS or layer.find(".//layers") is not None:
        raise EngineError(f"it holds the operation {kind}, a loop or a branch, which featx does not run from a file")
    if not _OPSET.fullmatch(version):
        raise EngineError(f"it holds the operation {kind} of {version!r}, which is none of OpenVINO's own")
    ports = [port for name in ("input", "output") for part in layer.findall(name) for port in part]
    if len(ports) > _MOST_PORTS:
        raise EngineError(f"its operation {kind} has {len(ports):,} inputs and outputs")
    for port in ports:
        n = math.prod(_dims(port))
        if n > most:
            raise EngineError(f"its operation {kind} works on {n:,} numbers at once; {most:,} are the most")
    if kind == "Const":
        _check_constant(_data(layer), n_weights)


def _check_constant(data: Element, n_weights: int) -> None:
    offset, size = (_whole(data.get(name, "")) for name in ("offset", "size"))
    bits = _BITS.get(data.get("element_type", ""))
    if bits is None:
        raise EngineError(f"it holds a constant of type {data.get('element_type')!r}")
    if size != -(-math.prod(_shape(data)) * bits // 8) or offset + size > n_weights:
        raise EngineError("one of its constants lies outside its weights")


def _check_order(layers: dict[str, Element], inputs: dict[str, list[str]]) -> None:
    """Make sure that nothing depends on itself, and that hardly anything is computed from constants alone."""
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
            raise EngineError("it computes with shapes, which are fixed in a graph of featx")
        if kind == "Const":
            constants[number] = _shape(_data(layers[number]))
        elif kind != "Parameter" and all(source in constants for source in inputs[number]):
            constants[number] = _computed_shape(kind, [constants[source] for source in inputs[number]])
        for user in users[number]:
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    if n_done != len(layers):
        raise EngineError("its operations depend on each other in a circle")


def _computed_shape(kind: str, shapes: Sequence[list[int]]) -> list[int]:
    """Return the shape of what is computed from constants; the ports of the file may say anything."""
    n = max((len(shape) for shape in shapes), default=0)
    sides = zip(*([1] * (n - len(shape)) + shape for shape in shapes), strict=True)
    shape = [max(column) for column in sides]
    if kind not in _OF_CONSTANTS or not shapes or math.prod(shape) > max(map(math.prod, shapes)):
        raise EngineError(f"it computes {kind or 'something'} of constants alone, which featx writes as constants")
    return shape


def _data(layer: Element) -> Element:
    found = layer.findall("data")
    if len(found) != 1:
        raise EngineError(f"its operation {layer.get('type')} has no data")
    return found[0]


def _shape(data: Element) -> list[int]:
    text = data.get("shape", "").replace(" ", "")
    return [_whole(side) for side in text.split(",")] if text else []


def _dims(port: Element | None) -> Sequence[int]:
    return [] if port is None else [_whole(side.text or "") for side in port if side.tag == "dim"]


def _whole(text: str) -> int:
    if not _NUMBER.fullmatch(text.strip()):
        raise EngineError(f"{text[:20]!r} is no size: in a graph of featx every size is fixed")
    return int(text)
