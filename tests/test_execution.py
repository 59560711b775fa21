"""A network starts from its kept graph, and in the precision that it bears."""

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


def nowhere():
    raise AssertionError("the network was built again")


def test_a_second_start_builds_no_network(spec, runtime, keras_start):
    first = probe_features(start(spec, lambda: None, runtime), spec)
    np.testing.assert_array_equal(probe_features(start(spec, nowhere, runtime), spec), first)


def test_a_second_start_loads_no_tensorflow(spec, runtime, keras_start):
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
    assert agreement(spec, "bfloat16", nowhere, runtime) == first


@pytest.mark.parametrize(
    ("cosine", "asked", "chosen", "told"),
    [
        (0.9951, "auto", "bfloat16", ""),
        (0.9949, "auto", "float32", "agrees with float32 only to cosine 0.9949, needed 0.995; using float32"),
        (None, "auto", "float32", ""),
        (0.9951, "bfloat16", "bfloat16", ""),
        (0.2, "float32", "float32", ""),
    ],
)
def test_precision_that_the_network_bears(spec, runtime, notices, monkeypatch, cosine, asked, chosen, told):
    monkeypatch.setattr(choice, "agreement", lambda *recipe: cosine)
    assert choose_precision(spec, asked, nowhere, runtime) == chosen
    assert told in "".join(notices)
    assert bool(told) == bool(notices)


@pytest.mark.parametrize(
    ("cosine", "message"),
    [
        (0.9, "only to cosine 0.9000, needed 0.995; use `precision=float32`"),
        (None, "does not compute in bfloat16; use"),
    ],
)
def test_a_precision_asked_for_and_missing_is_an_error(spec, runtime, monkeypatch, cosine, message):
    monkeypatch.setattr(choice, "agreement", lambda *recipe: cosine)
    with pytest.raises(EngineError, match=message):
        choose_precision(spec, "bfloat16", nowhere, runtime)


def test_a_note_of_another_kind_of_processor_does_not_count(spec, runtime, monkeypatch, keras_start):
    """Virtual machines give several generations one name; a cache may be copied between them."""
    key = graph_key(spec)
    monkeypatch.setattr(choice, "processor_kind", lambda: "AMD EPYC avx2 avx512_bf16")
    remember_agreement(runtime.cache, key, "AMD EPYC avx2 avx512_bf16 bfloat16", 0.999)
    remember_agreement(runtime.cache, key, "AMD EPYC bfloat16", 0.999)
    assert choose_precision(spec, "auto", nowhere, runtime) == "bfloat16"
    monkeypatch.setattr(choice, "processor_kind", lambda: "AMD EPYC avx2")
    monkeypatch.setattr("featx.engines.openvino.has_bfloat16", lambda: False)
    assert choose_precision(spec, "auto", nowhere, runtime) == "float32"
    assert start(spec, lambda: None, runtime).precision == "float32"


def test_bfloat16_of_tensorflow_is_compared_too(spec, runtime, keras_start):
    tensorflow = replace(spec, engine="tensorflow")
    assert choose_precision(tensorflow, "auto", nowhere, runtime) == "float32"
    assert choose_precision(tensorflow, "bfloat16", lambda: None, runtime) == "bfloat16"
    (cosine,) = read_agreements(runtime.cache, graph_key(spec)).values()
    assert 0.995 <= cosine < 1
    assert choose_precision(tensorflow, "bfloat16", nowhere, runtime) == "bfloat16"  # not measured again
    remember_agreement(
        runtime.cache, graph_key(spec), TENSORFLOW.agreement_name(runtime.device, processor_kind(), "bfloat16"), 0.9
    )
    with pytest.raises(EngineError, match="agrees with float32 only to cosine 0.9000, needed 0.995"):
        choose_precision(tensorflow, "bfloat16", nowhere, runtime)


@pytest.fixture
def inconvertible(tmp_path, keras_start):
    """Return a Keras network with an operation that OpenVINO has not."""
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
        "OpenVINO cannot convert this network (No conversion rule found for operations: Erfinv); the tensorflow engine "
        "runs it"
    ) in notices
    notices.clear()
    again = extract(images, str(inconvertible), preprocess="none", runtime=runtime)
    assert again.extraction.n_computed == 0
    assert "the openvino engine cannot run this network; the tensorflow engine runs it" in notices  # remembered
    with pytest.raises(
        EngineError, match=r"cannot convert this network \(No conv.* Erfinv\); extract and fit with `engine=tensorflow`"
    ):
        extract(images, str(inconvertible), preprocess="none", engine="openvino", runtime=runtime)


def test_what_was_found_out_of_a_network_is_kept_as_long_as_its_features(spec, tmp_path):
    tensorflow = replace(spec, engine="tensorflow")
    assert graph_key(tensorflow) in needed_graphs(tmp_path, [tensorflow]).notes
    assert graph_key(tensorflow) not in needed_graphs(tmp_path, [tensorflow]).graphs


@pytest.mark.parametrize(("sees", "engine"), [(True, "tensorflow"), (False, "openvino")])
def test_a_gpu_that_tensorflow_does_not_see_is_none(spec, runtime, notices, monkeypatch, keras_start, sees, engine):
    monkeypatch.setattr("featx.engines.tensorflow.TensorFlow.sees_gpu", lambda engine: sees)
    assert choose_engine(replace(spec, engine="tensorflow"), lambda: None, runtime) == engine
    assert notices == ([] if sees else ["there is a GPU, but the tensorflow engine sees none; using the CPU"])
    asked_for = replace(runtime, device="gpu")  # then it is an error when it starts, not another device
    assert choose_engine(replace(spec, engine="tensorflow"), nowhere, asked_for) == "tensorflow"


def test_a_store_of_the_recipe_answers_which_engine(spec, runtime, monkeypatch):
    """A warm run asks no library."""
    monkeypatch.setattr("featx.engines.tensorflow.TensorFlow.sees_gpu", nowhere)
    for engine in ("tensorflow", "openvino"):
        recipe = replace(spec, engine=engine)
        path = FeatureStore(runtime.cache, recipe).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert choose_engine(recipe, nowhere, runtime) == engine


def test_graphs_are_kept_whole_or_not_at_all(tmp_path):
    assert read_graph(tmp_path, "k") is None
    write_graph(tmp_path, "k", make_graph())
    assert read_graph(tmp_path, "k") == make_graph()
    (tmp_path / "graphs" / "k.graph").write_bytes(b"featx graph 1\n\0\0 something else")
    assert read_graph(tmp_path, "k") is None
    write_graph(tmp_path, "k", b"no network")  # with its digest
    assert read_graph(tmp_path, "k") is None
    with pytest.raises(DamagedStoreError, match=r"k\.graph is not a graph of featx: its length is wrong"):
        check_graph_file(tmp_path / "graphs" / "k.graph")


def test_agreements_are_kept_by_name(tmp_path):
    remember_agreement(tmp_path, "k", "one bfloat16", 0.5)
    remember_agreement(tmp_path, "k", "two bfloat16", None)
    assert read_agreements(tmp_path, "k") == {"one bfloat16": 0.5, "two bfloat16": None}


def test_a_processor_without_bfloat16_computes_a_given_recipe_in_float32(spec, runtime, notices, monkeypatch):
    rough = replace(spec, precision="bfloat16")
    monkeypatch.setattr("featx.engines.openvino.has_bfloat16", lambda: True)
    assert reproducible_spec(rough, runtime) == rough
    assert reproducible_spec(spec, runtime) == spec
    assert notices == []
    monkeypatch.setattr("featx.engines.openvino.has_bfloat16", lambda: False)
    assert reproducible_spec(rough, runtime) == spec
    assert "does not compute in bfloat16, as the model did; using float32" in notices[0]
    assert reproducible_spec(replace(rough, engine="tensorflow"), runtime).precision == "bfloat16"


def images_of(folder, n=12):
    from conftest import make_classes

    from featx.dataset import scan

    make_classes(folder, {"blue": (30, 60, 200), "red": (200, 50, 40)}, n // 2)
    return scan(folder)


def test_int8_is_made_once_for_each_data_set(spec, runtime, tmp_path, notices, keras_start, capfd):
    pytest.importorskip("nncf")
    dataset = images_of(tmp_path / "set")
    name = quantized_graph_name(spec, dataset.id, dataset.images, lambda: None, runtime)
    assert "setting ranges on 12 of these images, once" in notices[0]
    assert capfd.readouterr().out == ""  # nothing but featx speaks
    assert quantized_graph_name(spec, dataset.id, dataset.images, nowhere, runtime) == name
    quantized = replace(spec, precision="int8", graph=name)
    engine = start(quantized, nowhere, runtime)
    assert engine.precision == "int8"
    exact, rough = probe_features(start(spec, nowhere, runtime), spec), probe_features(engine, spec)
    assert not np.array_equal(exact, rough)
    assert cosines(exact, rough).mean() > 0.9


def test_a_quantized_graph_that_is_gone_is_not_replaced_by_another(spec, runtime):
    with pytest.raises(EngineError, match="the quantized graph 0123456789abcdef .* `recalibrate=True`"):
        start(replace(spec, precision="int8", graph="0123456789abcdef"), nowhere, runtime)


def test_a_data_set_without_usable_images_cannot_set_ranges(spec, runtime, keras_start):
    pytest.importorskip("nncf")
    with pytest.raises(EngineError, match="int8 needs 4 usable images to set its ranges; there are 0"):
        quantized_graph_name(spec, "id", [], lambda: None, runtime)
