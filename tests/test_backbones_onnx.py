"""Local ONNX files as backbones; the files are made with the onnx package."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from featx.backbones import build_network, find_backbone_source
from featx.engines import convert
from featx.engines.openvino import OpenVINORunner
from featx.errors import BackboneError, EngineError, SpecError, WeightsError
from featx.extraction import extract
from featx.runtime import Runtime
from featx.spec import FeatureSpec

SIZE = 8
MATRIX = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


@pytest.fixture
def pixels():
    return np.random.default_rng(1).integers(0, 256, (6, SIZE, SIZE, 3), np.uint8)


def save(path, shape=(1, 3, SIZE, SIZE), axes=(2, 3)):
    """Save a network: a 1x1 convolution to 5 channels (map), a ReLU (relu) and an average (out)."""
    nhwc = shape[1] != 3 and shape[3] == 3
    nodes = [helper.make_node("Transpose", ["pixels"], ["first"], perm=[0, 3, 1, 2])] if nhwc else []
    nodes += [
        helper.make_node("Conv", ["first" if nhwc else "pixels", "w"], ["map"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["map"], ["relu"]),
        helper.make_node("ReduceMean", ["relu"], ["out"], axes=list(axes), keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(MATRIX[:, :, None, None], "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def save_nodes(path, nodes, outputs=("out",), shape=("n", 3, SIZE, SIZE), **constants):
    """Save a network of the given nodes (arguments of make_node) and constants."""
    made = [helper.make_node(kind, inputs, [to], **how) for kind, inputs, to, how in nodes]
    graph = helper.make_graph(
        made,
        "net",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


CONV = ("Conv", ["pixels", "w"], "map", {"kernel_shape": [1, 1]})
W = MATRIX[:, :, None, None]


def features(path, pixels, preprocess="none", layout=None, size=None, **how):
    source = find_backbone_source(str(path), preprocess=preprocess, layout=layout, size=size)
    spec = FeatureSpec(
        "file", source.weights, source.preprocess, source.size, "2-0", "openvino", "float32", layout=layout, **how
    )
    engine = OpenVINORunner(convert(build_network(spec, path)), "float32")
    return np.concatenate(list(engine.run([pixels])))


def expected(scaled):
    """Return the output of the network for scaled pixels of shape (n, side, side, 3)."""
    return np.maximum(scaled @ MATRIX.T, 0).mean(axis=(1, 2))


@pytest.mark.parametrize(
    ("preprocess", "scale"),
    [
        ("none", lambda x: x),
        ("tf", lambda x: x / 127.5 - 1),
        ("lite", lambda x: (x - 127) / 128),
        ("torch", lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ("caffe", lambda x: x[..., ::-1] - [103.939, 116.779, 123.68]),
        ("mean=0.1,0.2,0.3; std=1,0.5,0.25", lambda x: (x / 255 - [0.1, 0.2, 0.3]) / [1, 0.5, 0.25]),
    ],
)
def test_pixels_are_scaled_as_requested(tmp_path, pixels, preprocess, scale):
    path = save(tmp_path / "net.onnx")
    want = expected(scale(pixels.astype(np.float64)))
    np.testing.assert_allclose(features(path, pixels, preprocess), want, rtol=1e-3, atol=1e-3)


def test_channels_last_is_detected_from_the_shape(tmp_path, pixels):
    path = save(tmp_path / "net.onnx", (1, SIZE, SIZE, 3))
    np.testing.assert_allclose(features(path, pixels), expected(pixels.astype(np.float64)), rtol=1e-4)


def test_layers_and_pooling(tmp_path, pixels):
    path = save(tmp_path / "net.onnx")
    maps = pixels.astype(np.float64) @ MATRIX.T
    np.testing.assert_allclose(features(path, pixels, layer="map"), maps.mean(axis=(1, 2)), rtol=1e-3, atol=1e-3)
    largest = features(path, pixels, layer="map", pooling="max")
    np.testing.assert_allclose(largest, maps.max(axis=(1, 2)), rtol=1e-4, atol=1e-3)
    flat = features(path, pixels, layer="map", pooling="flatten")
    np.testing.assert_allclose(flat, maps.transpose(0, 3, 1, 2).reshape(6, -1), rtol=1e-4, atol=1e-3)
    with pytest.raises(BackboneError, match=r"net\.onnx has no layer 'mop'; its \d+ layers include map"):
        features(path, pixels, layer="mop")
    with pytest.raises(BackboneError, match="is a vector, which is not pooled"):
        features(path, pixels, pooling="max")


def test_the_output_may_be_a_map_or_tokens(tmp_path, pixels):
    means = (pixels.astype(np.float64) @ MATRIX.T).mean(axis=(1, 2))
    close = {"rtol": 1e-3, "atol": 1e-3}
    path = save_nodes(tmp_path / "map.onnx", [CONV], ("map",), w=W)
    np.testing.assert_allclose(features(path, pixels), means, **close)
    np.testing.assert_allclose(features(path, pixels, layer="map"), means, **close)
    path = save_nodes(tmp_path / "gap.onnx", [CONV, ("GlobalAveragePool", ["map"], "out", {})], w=W)
    np.testing.assert_allclose(features(path, pixels), means, **close)
    tokens = [CONV, ("Reshape", ["map", "form"], "row", {}), ("Transpose", ["row"], "out", {"perm": [0, 2, 1]})]
    path = save_nodes(tmp_path / "tokens.onnx", tokens, w=W, form=np.array([0, 5, -1]))
    np.testing.assert_allclose(features(path, pixels), means, **close)


def test_one_of_several_outputs_must_be_chosen(tmp_path, pixels):
    """The order of the outputs, a map and a vector, does not matter."""
    nodes = [CONV, ("ReduceMean", ["map"], "out", {"axes": [2, 3], "keepdims": 0})]
    means = (pixels.astype(np.float64) @ MATRIX.T).mean(axis=(1, 2))
    for outputs in (("map", "out"), ("out", "map")):
        path = save_nodes(tmp_path / "two.onnx", nodes, outputs, w=W)
        with pytest.raises(BackboneError, match=rf"two\.onnx has 2 outputs; .*: `layer={outputs[0]}` or {outputs[1]}"):
            features(path, pixels)
        for layer in outputs:
            np.testing.assert_allclose(features(path, pixels, layer=layer), means, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("nhwc_input", [True, False])
def test_maps_are_pooled_over_height_and_width_in_every_layout(tmp_path, pixels, nhwc_input):
    """A network may transpose maps, so that the layout of its input does not give the layout of a layer."""
    first = ("Transpose", ["pixels"], "first", {"perm": [0, 3, 1, 2]})
    conv = ("Conv", ["first" if nhwc_input else "pixels", "w"], "map", {"kernel_shape": [1, 1]})
    last = ("Transpose", ["map"], "turned", {"perm": [0, 2, 3, 1]})
    nodes = [first] * nhwc_input + [conv, last, ("ReduceMean", ["turned"], "out", {"axes": [1, 2], "keepdims": 0})]
    shape = ("n", SIZE, SIZE, 3) if nhwc_input else ("n", 3, SIZE, SIZE)
    path = save_nodes(tmp_path / "net.onnx", nodes, shape=shape, w=W)
    means = (pixels.astype(np.float64) @ MATRIX.T).mean(axis=(1, 2))
    for layer in ("map", "turned", None):
        np.testing.assert_allclose(features(path, pixels, layer=layer), means, rtol=1e-3, atol=1e-3)


def test_a_map_that_does_not_show_its_channel_axis_is_an_error(tmp_path, pixels):
    cube = np.random.default_rng(0).normal(size=(SIZE, 3, 1, 1)).astype(np.float32)
    path = save_nodes(tmp_path / "net.onnx", [CONV], ("map",), w=cube)
    with pytest.raises(
        BackboneError, match="the shape 8 x 8 x 8, which does not show the channel axis; use pooling flatten"
    ):
        features(path, pixels)
    assert features(path, pixels, pooling="flatten").shape == (6, SIZE**3)


def test_a_network_exported_for_one_image_is_refused(tmp_path, pixels):
    """Such a network puts four images in one row, which gives wrong features or an error."""
    flat = ("Reshape", ["map", "form"], "out", {})
    path = save_nodes(tmp_path / "one.onnx", [CONV, flat], w=W, form=np.array([1, -1]))
    with pytest.raises(
        BackboneError, match=r"one\.onnx returns shape \[1,1280\] for 4 images .* any number of images \(dynamic batch"
    ):
        features(path, pixels)
    path = save_nodes(tmp_path / "fixed.onnx", [CONV, flat], w=W, form=np.array([1, 5 * SIZE**2]))
    with pytest.raises(BackboneError, match="cannot be used as a backbone: .* export it for any number"):
        features(path, pixels)
    all_as_one = ("ReduceMean", ["map"], "out", {"axes": [0, 2, 3], "keepdims": 0})
    path = save_nodes(tmp_path / "mean.onnx", [CONV, all_as_one], w=W)
    with pytest.raises(
        BackboneError, match=r"mean\.onnx returns shape \[5\] for 4 images instead of one row per image"
    ):
        features(path, pixels)


def test_sizes(tmp_path, pixels):
    free = save(tmp_path / "free.onnx", ("n", 3, "h", "w"))
    with pytest.raises(BackboneError, match=r"free\.onnx accepts images of any size; choose a size with `size=N`"):
        features(free, pixels)
    np.testing.assert_allclose(features(free, pixels, size=SIZE), expected(pixels.astype(float)), rtol=1e-4)
    with pytest.raises(BackboneError, match="accepts images of 8 x 8, not 16 x 16"):
        features(save(tmp_path / "net.onnx"), pixels, size=16)
    with pytest.raises(BackboneError, match="accepts images of 9 x 8; expected a square input"):
        features(save(tmp_path / "wide.onnx", (1, 3, 8, 9)), pixels)


def test_a_json_file_beside_the_backbone_file_gives_the_parameters(tmp_path, pixels):
    path = save(tmp_path / "free.onnx", ("n", 3, "h", "w"))
    sidecar = {"size": SIZE, "mean": [0.1, 0.2, 0.3], "std": [1, 0.5, 0.25], "layout": "nchw"}
    (tmp_path / "free.json").write_text(json.dumps(sidecar))
    source = find_backbone_source(str(path))
    assert (source.size, source.layout) == (SIZE, "nchw")
    assert source.preprocess == "mean=0.1,0.2,0.3;std=1.0,0.5,0.25"
    assert find_backbone_source(str(path), preprocess="tf", size=16).preprocess == "tf"
    (tmp_path / "free.json").write_text('{"mean": 3, "colour": "red"}')
    with pytest.raises(
        BackboneError, match="has unknown keys or wrong values: mean, colour; allowed keys: size, mean, std"
    ):
        find_backbone_source(str(path))
    (tmp_path / "free.json").write_text("[")
    with pytest.raises(BackboneError, match="beside the backbone file, is not a JSON object"):
        find_backbone_source(str(path))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({}, "does not state how its pixels are scaled; add `preprocess` with"),
        (
            {"preprocess": "mean=1,2"},
            "`preprocess=mean=1,2`: expected caffe, tf, torch, lite, none or mean=R,G,B",
        ),
        ({"preprocess": "mean=0,0,0;std=1,0,1"}, "with std above 0"),
    ],
)
def test_invalid_scaling_is_an_error(tmp_path, how, message):
    with pytest.raises((BackboneError, SpecError), match=message):
        find_backbone_source(str(save(tmp_path / "net.onnx")), **how)


def test_unusable_files_are_refused(tmp_path, pixels):
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(BackboneError, match=r"text\.onnx cannot be used as a backbone"):
        features(tmp_path / "text.onnx", pixels)
    path = save(tmp_path / "net.onnx")
    onnx.save(onnx.load(path), tmp_path / "split.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(
        BackboneError, match=r"split\.onnx .*: it keeps its weights in another file; save it as one file"
    ):
        features(tmp_path / "split.onnx", pixels)
    with pytest.raises(BackboneError, match="does not show which dimension is colour; add `layout=nchw` or nhwc"):
        features(save(tmp_path / "odd.onnx", ("n", "c", "h", "w")), pixels)
    odd = save(tmp_path / "odd.onnx", ("n", "c", SIZE, SIZE))
    assert find_backbone_source(str(odd), preprocess="none", layout="nchw").size == SIZE
    source = find_backbone_source(str(path), preprocess="none")
    spec = FeatureSpec("file", source.weights, "none", SIZE, "2-0", "openvino", "float32")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(WeightsError, match=r"net\.onnx has changed: its SHA-256 differs from the one"):
        build_network(spec, path)


def test_from_images_to_features(tmp_path, images):
    path = save(tmp_path / "net.onnx")
    runtime = Runtime(tmp_path / "cache")
    table = extract(images, str(path), preprocess="tf", precision="float32", runtime=runtime)
    assert table.X.shape == (24, 5)
    assert table.extraction.backbone == "net.onnx (local backbone)"
    again = extract(images, str(path), preprocess="tf", precision="float32", runtime=runtime)
    assert again.extraction.n_computed == 0
    with pytest.raises(EngineError, match="does not run ONNX files, but the openvino engine does; leave `engine` out"):
        extract(images, str(path), preprocess="tf", engine="tensorflow", runtime=runtime)


def test_the_reason_is_extracted_from_errors_of_openvino(tmp_path):
    """Exports of Azure Custom Vision end in a ZipMap; the position of the reason in the text of OpenVINO varies."""
    zipped = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    )
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["pixels"], ["flat"]),
            helper.make_node("ZipMap", ["flat"], ["loss"], domain="ai.onnx.ml", classlabels_strings=["a", "b"]),
        ],
        "net",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ("n", 3, SIZE, SIZE))],
        [helper.make_value_info("loss", zipped)],
    )
    sets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 2)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=8), tmp_path / "zip.onnx")
    with pytest.raises(
        BackboneError,
        match=r"zip.onnx cannot be used as a backbone: No conversion rule found for operations: ai.onnx.ml.ZipMap",
    ):
        features(tmp_path / "zip.onnx", None)
    wide = save_nodes(tmp_path / "wide.onnx", [CONV], ["map"], w=np.ones((5, 4, 1, 1), np.float32))
    with pytest.raises(BackboneError, match=r"backbone: Conv-13: Data batch channel count \(3\) does not match filter"):
        features(wide, None)
    odd = save_nodes(tmp_path / "odd.onnx", [("Odd", ["pixels"], "out", {})])
    with pytest.raises(BackboneError, match=r"backbone: No conversion rule found for operations: Odd-13"):
        features(odd, None)


@pytest.mark.parametrize("n", [1, 5])
def test_an_output_of_probabilities_gives_a_warning(tmp_path, images, n):
    last = ("Softmax", ["out"], "p", {"axis": 1}) if n > 1 else ("Sigmoid", ["out"], "p", {})
    mean = ("ReduceMean", ["map"], "out", {"axes": [2, 3], "keepdims": 0})
    path = save_nodes(tmp_path / "net.onnx", [CONV, mean, last], ["p"], w=W[:n])
    notices: list[str] = []
    runtime = Runtime(tmp_path / "cache", notice=notices.append)
    extract(images, str(path), preprocess="tf", runtime=runtime)
    what = "the probabilities of 5 classes (they sum to 1)" if n > 1 else "the probability of one class"
    warned = f"warning: the output of this network looks like {what}; features of an earlier layer are usually better"
    assert [notice for notice in notices if notice.startswith(warned)]
    notices.clear()
    extract(images, str(path), preprocess="tf", layer="out", runtime=runtime)
    assert not [notice for notice in notices if "warning" in notice]
