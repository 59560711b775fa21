"""The openvino engine: features equal those of Keras, do not depend on the batch, and no telemetry is sent."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from featx.backbones import build_network, find_backbone_source
from featx.engines import convert, quantize, resolve_engine
from featx.engines.openvino import OpenVINORunner, has_bfloat16
from featx.errors import EngineError, WeightsError
from featx.spec import FeatureSpec


def network(name: str, size: int = 96):
    source = find_backbone_source(name, "random", size=size)
    spec = FeatureSpec(source.backbone, source.weights, source.preprocess, size, "1-0", "openvino", "float32")
    return build_network(spec, None)


@pytest.fixture(scope="module")
def mobilenet(keras_start):
    return network("mobilenetv2")


@pytest.fixture(scope="module")
def graph(mobilenet):
    return convert(mobilenet)


@pytest.fixture(scope="module")
def engine(graph):
    return OpenVINORunner(graph, "float32")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (21, 96, 96, 3), np.uint8)


def all_of(engine, batches):
    return np.concatenate(list(engine.run(batches)))


def cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def check_bits(engine, pixels):
    reference = all_of(engine, [pixels])
    assert reference.shape == (21, engine.n_features)
    assert reference.dtype == np.float32
    for cuts in ([1] * 21, [5, 16], [20, 1], [3] * 7):
        parts = np.split(pixels, np.cumsum(cuts)[:-1])
        np.testing.assert_array_equal(all_of(engine, parts), reference)
    order = np.random.default_rng(1).permutation(21)
    np.testing.assert_array_equal(all_of(engine, [pixels[order]]), reference[order])


def test_bits_do_not_depend_on_batches_or_order(engine, pixels):
    check_bits(engine, pixels)
    assert list(engine.run([])) == []
    assert next(engine.run([pixels[:0]])).shape == (0, engine.n_features)


def test_no_execution_is_pending_after_a_run_is_closed(engine, pixels):
    """A callback during interpreter shutdown would abort the process."""
    running = engine.run([pixels] * 20)
    next(running)
    running.close()
    assert all(request.wait_for(0) for request in engine._queue)


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv2",
        "efficientnet-lite0",
        "resnet50",
        "resnet50v2",
        "vgg16",
        "efficientnet-b0",
        pytest.param("densenet121", marks=pytest.mark.integration),
        pytest.param("convnext-tiny", marks=pytest.mark.integration),
    ],
)
def test_features_are_those_of_keras(keras_start, pixels, name):
    keras = network(name)
    ours = all_of(OpenVINORunner(convert(keras), "float32"), [pixels])
    assert cosines(ours, keras.predict(pixels, verbose=0)).min() > 0.99999


def test_swish_adds_no_output_and_no_transpose(keras_start):
    from featx.engines.graph import unpack
    from featx.libraries import start_openvino

    model = unpack(start_openvino().Core(), convert(network("efficientnet-b0")))
    kinds = Counter(operation.get_type_name() for operation in model.get_ops())
    assert kinds["Swish"] == 49
    assert (kinds["Result"], kinds["Transpose"]) == (1, 1)  # the input has the channels last


def test_pixels_are_scaled_before_they_are_transposed(graph):
    """In the other order, OpenVINO transposes twice: 2 % of the time of MobileNetV2."""
    from featx.engines.graph import unpack
    from featx.libraries import start_openvino

    operations = unpack(start_openvino().Core(), graph).get_ordered_ops()
    first = next(operation for operation in operations if operation.get_type_name() == "Convolution")
    assert first.input(0).get_source_output().get_node().get_type_name() == "Transpose"


def test_small_batches_keep_many_cores_busy(graph, pixels, monkeypatch):
    monkeypatch.setattr("featx.engines.openvino.n_processors", lambda: 8)
    started, requested = OpenVINORunner(graph, "float32"), []

    def batches():
        for i in range(20):
            requested.append(i)
            yield pixels[i % len(pixels)][np.newaxis]

    features = started.run(batches())
    next(features)
    assert len(requested) == 10  # the oldest batch and one for each of nine executions
    assert sum(1 for _ in features) == 19


def test_a_failed_execution_is_an_engine_error(graph, pixels, monkeypatch):
    def fail(*words):
        raise RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp:223:\nout of luck\n")

    monkeypatch.setattr("featx.engines.openvino._TIMEOUT", 0.01)
    started = OpenVINORunner(graph, "float32")
    started._queue = SimpleNamespace(start_async=lambda *words: None, wait_all=fail)
    with pytest.raises(EngineError, match="OpenVINO could not execute the backbone: out of luck"):
        all_of(started, [pixels])
    started._queue = SimpleNamespace(start_async=fail, wait_all=lambda: None)
    with pytest.raises(EngineError, match="out of luck"):
        all_of(started, [pixels])


def test_a_full_disk_is_not_a_conversion_error(mobilenet, monkeypatch):
    """Otherwise the failed conversion would be recorded for the backbone."""

    def full(model):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("featx.engines.graph.pack", full)
    with pytest.raises(OSError, match="No space left"):
        convert(mobilenet)


@pytest.fixture(scope="module")
def quantized(graph, pixels):
    pytest.importorskip("nncf")
    return quantize(graph, pixels)


@pytest.mark.skipif(sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="needs Linux and two cores")
def test_threads_of_a_process_that_shares_the_machine_are_not_pinned(graph, tmp_path):
    """Otherwise the workers of a cluster, or containers with a quota, would all run on the first core."""
    (tmp_path / "graph").write_bytes(graph)
    code = f"""
        import contextlib, os, threading
        from pathlib import Path
        import numpy as np
        from featx.engines.openvino import OpenVINORunner
        from featx.runtime import use_processors
        use_processors(1)
        runner = OpenVINORunner(Path({str(tmp_path / "graph")!r}).read_bytes(), "float32")
        running = threading.Thread(target=lambda: list(runner.run([np.zeros((8, 96, 96, 3), np.uint8)] * 40)))
        running.start()
        n_cores = set()
        while running.is_alive():  # threads are pinned only while they compute
            for one in os.listdir("/proc/self/task"):
                with contextlib.suppress(ProcessLookupError):
                    n_cores.add(len(os.sched_getaffinity(int(one))))
        print(n_cores == {{len(os.sched_getaffinity(0))}})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"], done.stderr


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_bits_do_not_depend_on_the_number_of_cores(graph, pixels, monkeypatch, precision, request):
    if precision == "bfloat16" and not has_bfloat16():
        pytest.skip("this CPU does not support bfloat16")
    graph = request.getfixturevalue("quantized") if precision == "int8" else graph
    results = []
    for cores in (1, 2, 3):
        monkeypatch.setattr("featx.engines.openvino.n_processors", lambda n=cores: n)
        started = OpenVINORunner(graph, precision)
        assert len(started._queue) == cores + 1
        results.append(all_of(started, [pixels]))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_int8_bits_do_not_depend_on_batches_or_order(quantized, engine, pixels):
    rough = OpenVINORunner(quantized, "int8")
    check_bits(rough, pixels)
    assert not np.array_equal(all_of(engine, [pixels]), all_of(rough, [pixels]))


def test_bfloat16_is_close_to_float32_and_reproducible(graph, engine, pixels):
    if not has_bfloat16():
        with pytest.raises(EngineError, match="does not support bfloat16; use float32"):
            OpenVINORunner(graph, "bfloat16")
        return
    rough = OpenVINORunner(graph, "bfloat16")
    check_bits(rough, pixels)
    exact, near = all_of(engine, [pixels]), all_of(rough, [pixels])
    assert not np.array_equal(exact, near)
    assert cosines(exact, near).min() > 0.99


def test_the_producer_is_recorded(engine):
    assert set(engine.producer) == {"engine", "numpy", "processor"}
    assert engine.producer["engine"].startswith("openvino 20")
    assert (engine.name, engine.precision, engine.device) == ("openvino", "float32", "cpu")


def test_bytes_that_are_not_a_graph_are_an_error(graph):
    with pytest.raises(EngineError, match="the cached graph cannot be read"):
        OpenVINORunner(graph[: len(graph) // 2], "float32")


def test_no_telemetry_is_imported():
    """The telemetry package of OpenVINO is not imported, not even by a conversion."""
    script = (
        "from featx.libraries import start_openvino\n"
        "start_openvino()\n"
        "import sys, openvino.tools.ovc.convert_impl as convert\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]\n"
        "assert 'stub' in convert.tm.__name__\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (("auto", "float32"), "openvino"),
        (("openvino", "auto"), "openvino"),
        (("auto", "auto", "cpu"), "openvino"),
        (("auto", "bfloat16"), "openvino"),
        (("auto", "auto", "gpu:1"), "tensorflow"),
        (("tensorflow", "auto", "cpu"), "tensorflow"),
    ],
)
def test_engine_without_a_gpu(asked, chosen, monkeypatch):
    monkeypatch.setattr("featx.engines.Engine.expects_gpu", lambda engine: False)
    assert resolve_engine(*asked).name == chosen


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (("auto", "auto"), "tensorflow"),
        (("auto", "float32"), "tensorflow"),
        (("auto", "bfloat16"), "tensorflow"),
        (("auto", "int8"), "openvino"),
        (("auto", "float32", "cpu"), "openvino"),
        (("openvino", "auto"), "openvino"),
    ],
)
def test_engine_with_a_gpu(asked, chosen, monkeypatch):
    monkeypatch.setattr("featx.engines.Engine.expects_gpu", lambda engine: True)
    assert resolve_engine(*asked).name == chosen


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("onnx",), "`engine=onnx`: expected auto, openvino or tensorflow"),
        (
            ("auto", "float16"),
            "`precision=float16`: the openvino engine supports auto, float32, bfloat16",
        ),
        (("tensorflow", "int8"), "`precision=int8`: the tensorflow engine supports auto, float32 and bfloat16"),
        (("openvino", "auto", "gpu"), "runs on the CPU only; to use a GPU, extract and fit with `engine=tensorflow`"),
        (("auto", "auto", "tpu"), "`device=tpu`: expected auto, cpu, gpu or gpu:N"),
    ],
)
def test_unsupported_requests_are_errors(asked, message):
    with pytest.raises(EngineError, match=message):
        resolve_engine(*asked)


@pytest.mark.parametrize("pooling", ["avg", "max", "flatten"])
@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_lite_without_keras_equals_lite_with_keras(keras_start, pixels, name, pooling):
    """Compare the directly built graph with the Keras model, using the real weights."""
    source = find_backbone_source(name, size=96)
    spec = FeatureSpec(source.backbone, source.weights, source.preprocess, 96, "1-0", "openvino", "float32")
    spec = replace(spec, pooling=pooling)
    direct = all_of(OpenVINORunner(convert(build_network(spec, source.file)), "float32"), [pixels[:5]])
    keras = build_network(replace(spec, engine="tensorflow"), source.file).predict(pixels[:5], verbose=0)
    assert direct.shape == keras.shape
    assert cosines(direct, keras).min() > 0.99999
    np.testing.assert_allclose(direct, keras, rtol=1e-2, atol=1e-3 * np.abs(keras).max())


def test_lite_weights_that_do_not_fit():
    from featx.backbones.lite_openvino import build_lite
    from featx.backbones.pth import read_pth

    source = find_backbone_source("efficientnet-lite0")
    spec = FeatureSpec(source.backbone, source.weights, source.preprocess, 224, "1-0", "openvino", "float32")
    tensors = read_pth(source.file.read_bytes())
    with pytest.raises(WeightsError, match="the weights do not fit efficientnet-lite1"):
        build_lite(spec, "lite1", tensors)
    with pytest.raises(
        WeightsError, match="the weights do not fit efficientnet-lite2: layer stem has kernels of|expected"
    ):
        build_lite(spec, "lite2", tensors)
    del tensors["_conv_head.weight"]
    with pytest.raises(WeightsError, match=r"the weights do not fit efficientnet-lite0: '_conv_head\.weight'"):
        build_lite(spec, "lite0", tensors)


def test_weights_in_the_working_folder_are_not_used(tmp_path, monkeypatch):
    from featx.engines.graph import pack, unpack
    from featx.libraries import start_openvino

    ov = start_openvino()
    opset = importlib.import_module("openvino.opset13")
    pixels = opset.parameter([1, 4], np.float32)
    weights = np.arange(400, dtype=np.float32).reshape(100, 4)
    graph = pack(ov.Model([opset.matmul(pixels, opset.constant(weights), False, True)], [pixels], "m"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".bin").write_bytes(np.zeros(400, np.float32).tobytes())
    compiled = ov.Core().compile_model(unpack(ov.Core(), graph), "CPU")
    output = compiled(np.ones((1, 4), np.float32))[0]
    np.testing.assert_allclose(output[0], weights.sum(axis=1), rtol=0.01)


def test_no_space_for_temporary_files(tmp_path, monkeypatch):
    from featx.engines import graph as module

    class Full:
        def save_model(self, *_, **__):
            raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(module, "start_openvino", Full)
    with pytest.raises(EngineError, match=r"cannot be written to the folder for temporary files \(basic_ios.*TMPDIR"):
        module.pack(None)
