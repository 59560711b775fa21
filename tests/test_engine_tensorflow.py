"""The TensorFlow engine: the features of an image do not depend on its batch."""

from __future__ import annotations

import numpy as np
import pytest

from featx.backbones import build_network, find_backbone_source
from featx.engines.tensorflow import TENSORFLOW
from featx.errors import BackboneError, EngineError
from featx.execution.network import LocatedBackbone
from featx.runtime import Runtime
from featx.spec import FeatureSpec


@pytest.fixture(scope="module")
def engine(keras_start):
    source = find_backbone_source("mobilenetv2", "random", size=96)
    spec = FeatureSpec(source.backbone, source.weights, "tf", 96, "1-0", "tensorflow", "float32")
    return TENSORFLOW.start(LocatedBackbone(spec, lambda: None, Runtime()), "cpu", "float32")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (21, 96, 96, 3), np.uint8)


def test_bits_do_not_depend_on_batches_or_order(engine, pixels):
    reference = np.concatenate(list(engine.run([pixels])))
    assert reference.shape == (21, engine.n_features)
    assert reference.dtype == np.float32
    for cuts in ([1] * 21, [5, 16], [20, 1], [3, 3, 3, 3, 3, 3, 3]):
        parts = np.split(pixels, np.cumsum(cuts)[:-1])
        np.testing.assert_array_equal(np.concatenate(list(engine.run(parts))), reference)
    order = np.random.default_rng(1).permutation(21)
    np.testing.assert_array_equal(np.concatenate(list(engine.run([pixels[order]]))), reference[order])


def test_features_are_those_of_keras(engine, pixels):
    source = find_backbone_source("mobilenetv2", "random", size=96)
    spec = FeatureSpec(source.backbone, source.weights, "tf", 96, "1-0", "tensorflow", "float32")
    expected = build_network(spec, None).predict(pixels, verbose=0)
    np.testing.assert_allclose(np.concatenate(list(engine.run([pixels]))), expected, rtol=1e-3, atol=1e-5)


def test_the_producer_is_recorded(engine):
    assert set(engine.producer) == {"engine", "keras", "numpy", "processor"}
    assert engine.producer["engine"].startswith("tensorflow 2.")


def test_a_missing_device_is_an_error(keras_start):
    source = find_backbone_source("mobilenetv2", "random", size=96)
    spec = FeatureSpec(source.backbone, source.weights, "tf", 96, "1-0", "tensorflow", "float32")
    with pytest.raises(
        EngineError, match="`device=gpu:7`: TensorFlow, which .* does not find this device; available: cpu"
    ):
        TENSORFLOW.start(LocatedBackbone(spec, lambda: None, Runtime()), "gpu:7", "float32")


def test_bfloat16_is_close_to_float32(engine, pixels, keras_start, tmp_path):
    source = find_backbone_source("mobilenetv2", "random", size=96)
    spec = FeatureSpec(source.backbone, source.weights, "tf", 96, "1-0", "tensorflow", "bfloat16")
    rough = TENSORFLOW.start(LocatedBackbone(spec, lambda: None, Runtime()), "cpu", "bfloat16")
    assert rough.precision == "bfloat16"
    exact, near = next(engine.run([pixels])), next(rough.run([pixels]))
    assert near.dtype == np.float32
    assert not np.array_equal(exact, near)
    cosines = (exact * near).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(near, axis=1)
    assert cosines.min() > 0.99

    import keras

    assert keras.config.dtype_policy().name == "float32"  # restored
    keras.Sequential([keras.Input((96, 96, 3)), keras.layers.Flatten()]).save(tmp_path / "net.keras")
    local = find_backbone_source(str(tmp_path / "net.keras"), preprocess="none")
    spec = FeatureSpec(local.backbone, local.weights, "none", 96, "1-0", "tensorflow", "bfloat16")
    with pytest.raises(
        BackboneError, match="computes in the precision that it was saved with; use `precision=float32`"
    ):
        build_network(spec, local.file)
