"""A backbone starts from its cached graph, in a precision that preserves accuracy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_graph

from featx.agreement import cosines
from featx.backbones import find_backbone_source
from featx.caching.specs import needed_graphs
from featx.engines import processor_kind
from featx.engines.tensorflow import TENSORFLOW
from featx.errors import DamagedStoreError, EngineError
from featx.execution import (
    choice,
    graph_key,
    probe_features,
    reproducible_spec,
    start,
)
from featx.execution.calibration import quantized_graph_name
from featx.execution.choice import agreement, choose_engine, choose_precision
from featx.extraction import extract
from featx.images import decode_version
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import FeatureStore, read_agreements, read_graph, remember_agreement, write_graph
from featx.store.graphs import check_graph_file


@pytest.fixture
def notices():
    return []


@pytest.fixture
def runtime(tmp_path, notices):
    return Runtime(tmp_path / "cache", notice=notices.append)


@pytest.fixture
def spec():
    source = find_backbone_source("mobilenetv2", "random", size=32)
    return FeatureSpec(source.backbone, source.weights, source.preprocess, 32, decode_version(), "openvino", "float32")


def never():
    raise AssertionError("the network was built again")


def test_a_second_start_does_not_build_the_network(spec, runtime, keras_start):
    first = probe_features(start(spec, lambda: None, runtime), spec)
    np.testing.assert_array_equal(probe_features(start(spec, never, runtime), spec), first)


def test_a_second_start_does_not_import_tensorflow(spec, runtime, keras_start):
    start(spec, lambda: None, runtime)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from featx.execution import probe_features, start\n"
        "from featx.runtime import Runtime\n"
        "from featx.spec import FeatureSpec\n"
        f"spec = FeatureSpec.from_json({spec.to_json()!r})\n"
        f"print(probe_features(start(spec, None, Runtime(Path({str(runtime.cache)!r}))), spec).shape)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(10, 1280)\n"


def test_a_damaged_graph_is_made_again(spec, runtime, keras_start):
    first = probe_features(start(spec, lambda: None, runtime), spec)
    (graph,) = (runtime.cache / "graphs").glob("*.graph")
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    np.testing.assert_array_equal(probe_features(start(spec, lambda: None, runtime), spec), first)


def test_every_field_of_the_graph_changes_its_key(spec):
    keys = {
        graph_key(changed)
        for changed in (
            spec,
            replace(spec, backbone="mobilenet"),
            replace(spec, weights="random-1-keras-0"),
            replace(spec, preprocess="none"),
            replace(spec, size=64),
            replace(spec, layer="out_relu"),
            replace(spec, pooling="max"),
        )
    }
    assert len(keys) == 7
    for same in (replace(spec, resize="pad"), replace(spec, precision="bfloat16"), replace(spec, decode="9-9")):
        assert graph_key(same) == graph_key(spec)


def test_agreement_is_measured_once(spec, runtime, keras_start):
    first = agreement(spec, "bfloat16", lambda: None, runtime)
    assert first is None or 0.9 < first <= 1
    assert agreement(spec, "bfloat16", never, runtime) == first


@pytest.mark.parametrize(
    ("cosine", "requested", "chosen", "message"),
    [
        (0.9951, "auto", "bfloat16", ""),
        (0.9949, "auto", "float32", "only 0.9949 with float32 features (at least 0.995 is required); using float32"),
        (None, "auto", "float32", ""),
        (0.9951, "bfloat16", "bfloat16", ""),
        (0.2, "float32", "float32", ""),
    ],
)
def test_auto_precision_preserves_accuracy(spec, runtime, notices, monkeypatch, cosine, requested, chosen, message):
    monkeypatch.setattr(choice, "agreement", lambda *arguments: cosine)
    assert choose_precision(spec, requested, never, runtime) == chosen
    assert message in "".join(notices)
    assert bool(message) == bool(notices)


@pytest.mark.parametrize(
    ("cosine", "message"),
    [
        (0.9, r"only 0.9000 with float32 features \(at least 0.995 is required\); use `precision=float32`"),
        (None, "does not support bfloat16; use"),
    ],
)
def test_a_requested_precision_that_is_missing_is_an_error(spec, runtime, monkeypatch, cosine, message):
    monkeypatch.setattr(choice, "agreement", lambda *arguments: cosine)
    with pytest.raises(EngineError, match=message):
        choose_precision(spec, "bfloat16", never, runtime)


def test_an_agreement_measured_on_another_kind_of_cpu_is_ignored(spec, runtime, monkeypatch, keras_start):
    """Virtual machines use one name for several generations; a cache may be copied between them."""
    key = graph_key(spec)
    monkeypatch.setattr(choice, "processor_kind", lambda: "AMD EPYC avx2 avx512_bf16")
    remember_agreement(runtime.cache, key, "AMD EPYC avx2 avx512_bf16 bfloat16", 0.999)
    remember_agreement(runtime.cache, key, "AMD EPYC bfloat16", 0.999)
    assert choose_precision(spec, "auto", never, runtime) == "bfloat16"
    monkeypatch.setattr(choice, "processor_kind", lambda: "AMD EPYC avx2")
    monkeypatch.setattr("featx.engines.openvino.has_bfloat16", lambda: False)
    assert choose_precision(spec, "auto", never, runtime) == "float32"
    assert start(spec, lambda: None, runtime).precision == "float32"


def test_bfloat16_of_tensorflow_is_compared_too(spec, runtime, keras_start):
    tensorflow = replace(spec, engine="tensorflow")
    assert choose_precision(tensorflow, "auto", never, runtime) == "float32"
    assert choose_precision(tensorflow, "bfloat16", lambda: None, runtime) == "bfloat16"
    (cosine,) = read_agreements(runtime.cache, graph_key(spec)).values()
    assert 0.995 <= cosine < 1
    assert choose_precision(tensorflow, "bfloat16", never, runtime) == "bfloat16"  # not measured again
    remember_agreement(
        runtime.cache, graph_key(spec), TENSORFLOW.agreement_name(runtime.device, processor_kind(), "bfloat16"), 0.9
    )
    with pytest.raises(EngineError, match=r"only 0.9000 with float32 features \(at least 0.995 is required\)"):
        choose_precision(tensorflow, "bfloat16", never, runtime)


@pytest.fixture
def inconvertible(tmp_path, keras_start):
    """Return a Keras file with an operation that OpenVINO does not support."""
    import keras

    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    keras.Model(inputs, keras.ops.erfinv(x / 256)).save(tmp_path / "net.keras")
    return tmp_path / "net.keras"


def test_a_network_that_openvino_cannot_convert_runs_in_tensorflow(inconvertible, images, runtime, notices):
    table = extract(images, str(inconvertible), preprocess="none", runtime=runtime)
    assert (table.spec.engine, table.spec.precision) == ("tensorflow", "float32")
    assert len(table) == 24
    assert (
        "OpenVINO cannot convert this backbone (No conversion rule found for operations: Erfinv); using the tensorflow "
        "engine"
    ) in notices
    notices.clear()
    again = extract(images, str(inconvertible), preprocess="none", runtime=runtime)
    assert again.extraction.n_computed == 0
    assert "the openvino engine cannot run this backbone; using the tensorflow engine" in notices  # recorded
    with pytest.raises(
        EngineError,
        match=r"cannot convert this backbone \(No conv.* Erfinv\); extract and fit with `engine=tensorflow`",
    ):
        extract(images, str(inconvertible), preprocess="none", engine="openvino", runtime=runtime)


def test_agreements_of_a_backbone_are_kept_as_long_as_its_features(spec, tmp_path):
    tensorflow = replace(spec, engine="tensorflow")
    assert graph_key(tensorflow) in needed_graphs(tmp_path, [tensorflow]).notes
    assert graph_key(tensorflow) not in needed_graphs(tmp_path, [tensorflow]).graphs


@pytest.mark.parametrize(("sees", "engine"), [(True, "tensorflow"), (False, "openvino")])
def test_a_gpu_that_tensorflow_does_not_find_is_not_used(
    spec, runtime, notices, monkeypatch, keras_start, sees, engine
):
    monkeypatch.setattr("featx.engines.tensorflow.TensorFlow.sees_gpu", lambda engine: sees)
    assert choose_engine(replace(spec, engine="tensorflow"), lambda: None, runtime) == engine
    assert notices == (
        [] if sees else ["this machine has a GPU, but the tensorflow engine does not find it; using the CPU"]
    )
    on_gpu = replace(runtime, device="gpu")  # a requested device is never replaced; a missing one fails at start
    assert choose_engine(replace(spec, engine="tensorflow"), never, on_gpu) == "tensorflow"


def test_an_existing_store_determines_the_engine(spec, runtime, monkeypatch):
    """A run with cached features imports no library."""
    monkeypatch.setattr("featx.engines.tensorflow.TensorFlow.sees_gpu", never)
    for engine in ("tensorflow", "openvino"):
        cached = replace(spec, engine=engine)
        path = FeatureStore(runtime.cache, cached).path
        path.mkdir(parents=True, exist_ok=True)
        (path / "journal").touch()
        assert choose_engine(cached, never, runtime) == engine


def test_a_damaged_cached_graph_is_not_used(tmp_path):
    assert read_graph(tmp_path, "k") is None
    write_graph(tmp_path, "k", make_graph())
    assert read_graph(tmp_path, "k") == make_graph()
    (tmp_path / "graphs" / "k.graph").write_bytes(b"featx graph 1\n\0\0 something else")
    assert read_graph(tmp_path, "k") is None
    write_graph(tmp_path, "k", b"no network")  # with a valid digest
    assert read_graph(tmp_path, "k") is None
    with pytest.raises(
        DamagedStoreError, match=r"k\.graph is not a graph that featx wrote: the length of its XML is wrong"
    ):
        check_graph_file(tmp_path / "graphs" / "k.graph")


def test_agreements_are_kept_by_name(tmp_path):
    remember_agreement(tmp_path, "k", "one bfloat16", 0.5)
    remember_agreement(tmp_path, "k", "two bfloat16", None)
    assert read_agreements(tmp_path, "k") == {"one bfloat16": 0.5, "two bfloat16": None}


def test_a_cpu_without_bfloat16_computes_in_float32(spec, runtime, notices, monkeypatch):
    in_bfloat16 = replace(spec, precision="bfloat16")
    monkeypatch.setattr("featx.engines.openvino.has_bfloat16", lambda: True)
    assert reproducible_spec(in_bfloat16, runtime) == in_bfloat16
    assert reproducible_spec(spec, runtime) == spec
    assert notices == []
    monkeypatch.setattr("featx.engines.openvino.has_bfloat16", lambda: False)
    assert reproducible_spec(in_bfloat16, runtime) == spec
    assert "does not support bfloat16, the precision of the model; using float32" in notices[0]
    assert reproducible_spec(replace(in_bfloat16, engine="tensorflow"), runtime).precision == "bfloat16"


def images_of(folder, n=12):
    from conftest import make_classes

    from featx.dataset import scan

    make_classes(folder, {"blue": (30, 60, 200), "red": (200, 50, 40)}, n // 2)
    return scan(folder)


def test_int8_is_made_once_for_each_data_set(spec, runtime, tmp_path, notices, keras_start, capfd):
    pytest.importorskip("nncf")
    dataset = images_of(tmp_path / "set")
    name = quantized_graph_name(spec, dataset.id, dataset.images, lambda: None, runtime)
    assert "calibrating once on 12 images of the data set" in notices[0]
    assert capfd.readouterr().out == ""  # the output of NNCF is hidden
    assert quantized_graph_name(spec, dataset.id, dataset.images, never, runtime) == name
    quantized = replace(spec, precision="int8", graph=name)
    engine = start(quantized, never, runtime)
    assert engine.precision == "int8"
    exact, rough = probe_features(start(spec, never, runtime), spec), probe_features(engine, spec)
    assert not np.array_equal(exact, rough)
    assert cosines(exact, rough).mean() > 0.9


def test_a_missing_quantized_graph_is_not_replaced(spec, runtime):
    with pytest.raises(EngineError, match="the quantized graph 0123456789abcdef .* `recalibrate=True`"):
        start(replace(spec, precision="int8", graph="0123456789abcdef"), never, runtime)


def test_calibration_needs_valid_images(spec, runtime, keras_start):
    pytest.importorskip("nncf")
    with pytest.raises(EngineError, match="int8 quantization needs at least 4 valid images; the data set has 0"):
        quantized_graph_name(spec, "id", [], lambda: None, runtime)
