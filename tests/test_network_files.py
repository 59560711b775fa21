"""Network files with external data, loops or wrong shapes are refused, most of them before a library reads them."""

from __future__ import annotations

import json
import re
import zipfile

import h5py
import numpy as np
import pytest

from featx.engines import convert
from featx.engines.openvino import OpenVINORunner
from featx.errors import BackboneError, EngineError
from featx.libraries import start_openvino
from featx.network_files import check_graph, check_keras_file, check_onnx, split_graph

onnx = pytest.importorskip("onnx")
helper, TensorProto = onnx.helper, onnx.TensorProto


def network():
    """Return a network that computes the mean colour of 8 x 8 images, from 0 to 1."""
    ov = start_openvino()
    ops = ov.opset13
    pixels = ops.parameter([4, 8, 8, 3], np.uint8, name="pixels")
    return ov.Model(
        [ops.reduce_mean(ops.convert(pixels, "f32") / np.array(255, np.float32), [1, 2], False)], [pixels], "net"
    )


@pytest.fixture(scope="module")
def graph():
    return convert(network())


def changed(graph, pattern, text, count=1):
    xml, weights = split_graph(graph)
    edited, n = re.subn(pattern, text, xml.decode(), count=count)
    assert n
    return len(edited.encode()).to_bytes(8, "little") + edited.encode() + weights


def test_a_graph_written_by_featx_is_accepted(graph):
    check_graph(graph)
    check_graph(graph, 8, 3)
    pixels = np.full((1, 8, 8, 3), 51, np.uint8)
    np.testing.assert_allclose(next(iter(OpenVINORunner(graph, "float32").run([pixels]))), 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("pattern", "text", "message"),
    [
        (r"<net ", "<!DOCTYPE net [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><net ", "not an OpenVINO IR"),
        (r"<layers>", "<layers><!-- a comment -->", "not an OpenVINO IR"),
        (r"<layers>", "<layers><?xml-stylesheet?>", "not an OpenVINO IR"),
        (r'\?xml version="1.0"', '?xml version="1.0" encoding="utf-7"', "not an OpenVINO IR"),
        (r"</layers>", "</layer>", "its XML cannot be read"),
        (r"</layers>", "</layers><layers></layers>", "missing, repeated or unknown parts"),
        (r"<rt_info", "<extensions/><rt_info", "missing, repeated or unknown parts"),
        (r'id="1" ', 'id="0" ', "the layer id '0' is repeated"),
        (r'id="1" ', 'id="x" ', "the layer id 'x'"),
        (r'type="Convert"', 'type="Loop"', "the operation Loop, a loop, a branch or a variable"),
        (r'type="Convert"', 'type="TensorIterator"', "the operation TensorIterator"),
        (r'type="Convert"', 'type="If"', "the operation If"),
        (r"(<layer id=\"1\"[^>]*>)", r"\1<body><layers/></body>", "a loop, a branch or a variable"),
        (r'version="opset1"', 'version="extension"', "of 'extension', which is not a standard operation of OpenVINO"),
        (r'type="Convert"', 'type="ShapeOf"', "computes with shapes"),
        (r'offset="\d+"', 'offset="18446744073709551600"', "is not a size"),
        (r'offset="\d+"', 'offset="999999999"', "is outside its weights"),
        (r'offset="\d+"', 'offset="-8"', "is not a size"),
        (r' size="\d+"', ' size="1000000000000"', "is outside its weights"),
        (
            r'element_type="f32" shape="[^"]*" offset',
            'element_type="string" shape="" offset',
            "constant of the unknown type 'string'",
        ),
        (r'shape="4,8,8,3"', 'shape="4,9,9,3"', "images have 9 x 9 pixels; expected 8 x 8"),
        (r'shape="4,8,8,3"', 'shape="-1,8,8,3"', "all sizes are fixed"),
        (r'element_type="u8"', 'element_type="f32"', "expected uint8 RGB images of shape"),
        (r"<dim>8</dim>", "<dim>99999999</dim>", "at most .* are allowed"),
        (r"<dim>8</dim>", "<dim>-1</dim>", "all sizes are fixed"),
        (r'to-layer="1"', 'to-layer="77"', "connects a layer that does not exist"),
        (r'from-layer="0"', 'from-layer="3"', "in a cycle|on constants alone|depend on each other"),
        (r'type="Parameter"', 'type="Const"', "it has 0 inputs"),
    ],
)
def test_graphs_that_are_refused(graph, pattern, text, message):
    with pytest.raises(EngineError, match=message):
        check_graph(changed(graph, pattern, text), 8, 3)


def test_content_that_is_not_a_graph_is_refused(graph):
    n = int.from_bytes(graph[:8], "little")
    for content in (b"", b"short", bytes(100), (2**63).to_bytes(8, "little") + graph[8:], graph[: n // 2]):
        with pytest.raises(EngineError, match="the length of its XML is wrong"):
            check_graph(content)
    for content in (b"hello", b"\x08\x07\x12\x00", b"<nothing/>", b"\xff\xfe<\0n\0e\0t\0"):
        with pytest.raises(EngineError, match="not an OpenVINO IR"):
            check_graph(len(content).to_bytes(8, "little") + content)
    with pytest.raises(EngineError, match=r"its output has shape \[4, 3\]; expected \(4, 5\)"):
        check_graph(graph, 8, 5)


def test_nothing_large_is_computed_from_constants():
    """OpenVINO computes some of these results when it reads a file, with any amount of memory."""
    ov = start_openvino()
    ops = ov.opset13
    pixels = ops.parameter([4, 8, 8, 3], np.uint8, name="pixels")
    mean = ops.reduce_mean(ops.convert(pixels, "f32"), [1, 2], False)
    tall, wide = ops.constant(np.ones((300, 1), np.float32)), ops.constant(np.ones((1, 300), np.float32))
    for large in (ops.broadcast(ops.constant(np.float32(1)), [300, 300]), ops.multiply(tall, wide)):
        graph = convert(ov.Model([ops.add(mean, ops.reduce_mean(large, [0, 1], True))], [pixels], "net"))
        with pytest.raises(EngineError, match=r"it computes \w+ on constants alone"):
            check_graph(graph)
    scaled = ops.multiply(
        ops.convert(ops.constant(np.ones((8, 3), np.int8)), "f32"), ops.constant(np.ones(1, np.float32))
    )
    check_graph(convert(ov.Model([ops.matmul(mean, scaled, False, True)], [pixels], "net")), 8, 8)  # int8 weights


def test_inferred_shapes_are_checked(graph):
    """The shapes in a file may differ from those that OpenVINO infers: here 4 rows of 3 numbers become longer."""
    ov = start_openvino()
    ops = ov.opset13
    pixels = ops.parameter([4, 8, 8, 3], np.uint8, name="pixels")
    mean = ops.reduce_mean(ops.convert(pixels, "f32"), [1, 2], False)
    repeats = np.array([1, 777], np.int64)
    small = convert(ov.Model([ops.reduce_mean(ops.tile(mean, repeats), [1], True)], [pixels], "net"))
    large = small.replace(repeats.tobytes(), np.array([1, 90_000_000], np.int64).tobytes())
    assert large != small
    check_graph(large)
    with pytest.raises(EngineError, match=r"the cached graph cannot be run: it has a tensor of 1,080,000,000 numbers"):
        OpenVINORunner(large, "float32")


def tensor(name="w", external=True, data=True):
    made = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
    if external:
        made.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "w.bin"), ("offset", "0"), ("length", "16")):
            made.external_data.add(key=key, value=value)
    elif data:
        made.raw_data = bytes(16)
    return made


def onnx_model(initializers=(), nodes=(), functions=(), sparse=()):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 8, 8])
    nodes = [*nodes, helper.make_node("Relu", ["x"], ["y"])]
    made = helper.make_model(helper.make_graph(nodes, "g", [x], [y], list(initializers)), functions=list(functions))
    made.graph.sparse_initializer.extend(sparse)
    return made


def branch(external=True):
    inner = helper.make_graph([], "inner", [], [], [tensor(external=external)])
    return helper.make_node("If", ["c"], ["b"], then_branch=inner, else_branch=inner)


def sparse_tensor(external):
    return onnx.SparseTensorProto(values=tensor(external=external), indices=tensor(external=False), dims=[9])


PLACES = {
    "initializer": lambda external: onnx_model([tensor(external=external)]),
    "constant": lambda external: onnx_model(
        nodes=[helper.make_node("Constant", [], ["c"], value=tensor("", external))]
    ),
    "branch": lambda external: onnx_model(nodes=[branch(external)]),
    "branch of a branch": lambda external: onnx_model(
        nodes=[helper.make_node("If", [], [], then_branch=helper.make_graph([branch(external)], "b", [], []))]
    ),
    "list of tensors": lambda external: onnx_model(
        nodes=[helper.make_node("X", [], [], ts=[tensor(external=external)] * 2)]
    ),
    "sparse initializer": lambda external: onnx_model(sparse=[sparse_tensor(external)]),
    "sparse constant": lambda external: onnx_model(
        nodes=[helper.make_node("Constant", [], ["c"], sparse_value=sparse_tensor(external))]
    ),
    "function": lambda external: onnx_model(
        functions=[helper.make_function("d", "f", [], ["b"], [branch(external)], [helper.make_opsetid("", 13)])]
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_external_weights_of_an_onnx_file_are_refused_in_every_place(place):
    check_onnx(PLACES[place](False).SerializeToString())
    with pytest.raises(BackboneError, match="keeps its weights in another file; save it as one file"):
        check_onnx(PLACES[place](True).SerializeToString())


def field(number, content):
    head = number << 3 | 2
    length, spelled = len(content), b""
    while length > 127:
        spelled += bytes([length & 127 | 128])
        length >>= 7
    return (bytes([head]) if head < 128 else bytes([head & 127 | 128, head >> 7])) + spelled + bytes([length]) + content


LOCATION = b"\x0a\x08location", b"\x12\x05w.bin"


@pytest.mark.parametrize(
    "inside",
    [
        field(13, LOCATION[0] + LOCATION[1]),
        field(13, LOCATION[1] + LOCATION[0]),  # in any order
        field(13, b""),
        b"\x70\x01",  # only data_location
        b"\x70\x81\x80\x00",  # the same with a longer varint
        b"\x70\x00\x70\x01",  # given twice: refused if one of the values is external, in either order
        b"\x70\x01\x70\x00",
        b"\x72\x01\x01",  # as a packed list
        b"\xf2\x80\x80\x00" + b"\x01\x01",  # with a longer tag
    ],
)
def test_every_encoding_is_recognised(inside):
    graph = field(5, field(8, b"w") + inside)
    for content in (field(7, graph), field(7, b"") + field(7, graph), field(7, graph) + field(7, b"")):
        with pytest.raises(BackboneError, match="keeps its weights in another file"):
            check_onnx(b"\x08\x08" + content)
    with pytest.raises(BackboneError, match="keeps its weights in another file"):
        check_onnx(field(7, b"") + field(20, field(2, graph)))


def test_text_that_looks_like_external_weights_is_accepted():
    """The bytes of an entry for external weights may also occur in a text or in weights."""
    made = onnx_model([tensor(external=False)])
    made.doc_string = "\n\x08location\x12\x05w.bin"
    made.graph.initializer[0].raw_data = LOCATION[0] + LOCATION[1]
    check_onnx(made.SerializeToString())


def test_deep_and_damaged_onnx_files():
    inner = field(5, field(8, b"w") + b"\x70\x01")
    for _ in range(3000):
        inner = field(1, field(5, field(6, inner)))
    with pytest.raises(BackboneError, match="keeps its weights in another file"):
        check_onnx(field(7, inner))
    for content in (b"hello", b"\x3a\xff\x01", b"\x3a" + b"\xff" * 11, b"\x00\x00", b"\x3b", b"\x3d\x00", bytes(40)):
        with pytest.raises(BackboneError, match="is not an ONNX file, or it is damaged"):
            check_onnx(content)
    for content in (b"", b"\x08\x08"):
        with pytest.raises(BackboneError, match="it holds no graph"):
            check_onnx(content)


@pytest.fixture
def weights_file(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones(8, np.float32)
        file["again"] = file["layers"]  # a second name of the same group, and below it a cycle
        file["layers/up"] = file["/"]
    return tmp_path / "w.h5"


def test_a_complete_weight_file_is_accepted(weights_file):
    check_keras_file(weights_file)


def external_link(file):
    file["layers/other"] = h5py.ExternalLink("other.h5", "/x")


def soft_link(file):
    file["layers/other"] = h5py.SoftLink("/layers/dense")


def external_data(file):
    file.create_dataset("layers/other", (4,), np.float32, external=[("other.bin", 0, 16)])


def virtual_data(file):
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("layers/other", layout)


def huge_data(file):
    file.create_dataset("layers/other", (10**12,), np.float32, chunks=(1024,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (external_link, "contains 'other', a link to another place"),
        (soft_link, "contains 'other', a link to another place"),
        (external_data, "keeps the data of 'other' in another file"),
        (virtual_data, "keeps the data of 'other' in another file"),
        (huge_data, "contains HDF5 datasets whose total size is more than 100 times the size of the file"),
    ],
)
def test_hdf5_with_external_data_is_refused(weights_file, tmp_path, change, message):
    with h5py.File(weights_file, "a") as file:
        change(file)
    with pytest.raises(BackboneError, match=message):
        check_keras_file(weights_file)
    with zipfile.ZipFile(tmp_path / "n.keras", "w") as archive:
        archive.write(weights_file, "model.weights.h5")
    with pytest.raises(BackboneError, match=message):
        check_keras_file(tmp_path / "n.keras")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"class_name": "Lambda"}, "contains a Lambda layer, which contains code; featx does not run code"),
        ({"config": {"layers": [{"module": "keras.layers", "class_name": "TFSMLayer"}]}}, "contains a TFSMLayer layer"),
        ({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}, "which may open other files"),
        ({"class_name": "TextVectorization"}, "which may open other files"),
        ({"class_name": "Package>Lambda"}, "contains a Lambda layer"),
        ({"class_name": "system", "module": "os"}, r"needs os\.system, which is not part of Keras"),
        ({"a": [{"class_name": "X", "module": "kerasish"}]}, r"needs kerasish\.X"),
        ("[" * 100_000, "a configuration that is not JSON"),
    ],
)
def test_layers_that_are_refused(tmp_path, config, message):
    text = config if isinstance(config, str) else json.dumps(config)
    with zipfile.ZipFile(tmp_path / "n.keras", "w") as archive:
        archive.writestr("config.json", text)
    with h5py.File(tmp_path / "n.h5", "w") as file:
        file.attrs["model_config"] = text[:60_000]
    for name in ("n.keras", "n.h5"):
        with pytest.raises(BackboneError, match=message):
            check_keras_file(tmp_path / name)


def test_archives_that_are_refused(tmp_path):
    path = tmp_path / "n.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(100_000_000))
    with pytest.raises(BackboneError, match="would have more than 100 times its size when decompressed"):
        check_keras_file(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("config.json", "{}")
    with pytest.raises(BackboneError, match="contains two entries of the same name"):
        check_keras_file(path)
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(BackboneError, match="is not a Keras file, or it is damaged"):
        check_keras_file(path)
    path.write_bytes(b"no file of Keras")
    with pytest.raises(BackboneError, match="is not an HDF5 file, or it is damaged"):
        check_keras_file(path)
