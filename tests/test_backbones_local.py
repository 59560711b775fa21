"""Local Keras models as backbones."""

from __future__ import annotations

import numpy as np
import pytest

from featx.backbones import build_network, find_source
from featx.errors import BackboneError
from featx.spec import FeatureSpec

pytestmark = pytest.mark.usefixtures("keras_start")


def small(size=24, top="softmax", **options):
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 3))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(5, "relu", name="embedding")(x)
    if top == "separate":
        x = layers.Activation("softmax")(layers.Dense(3)(x))
    elif top is not None:
        x = layers.Dense(3, top)(x)
    return keras.Model(inputs, x, **options)


def features(path, pixels, **options):
    source = find_source(str(path), preprocess="none", **{k: options.pop(k) for k in ("size",) if k in options})
    spec = FeatureSpec("file", source.weights, "none", source.size, "1-0", "tensorflow", "float32", **options)
    return np.asarray(build_network(spec, path)(pixels, training=False))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), np.uint8)


def layer_output(model, name, pixels):
    import keras

    return np.asarray(keras.Model(model.input, model.get_layer(name).output)(pixels.astype(np.float32)))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("top", ["softmax", "sigmoid", "separate"])
def test_default_layer_is_what_enters_the_final_classifier(tmp_path, pixels, top, suffix, recwarn):
    model = small(top=top)
    path = tmp_path / f"net.{suffix}"
    model.save(path)
    recwarn.clear()
    np.testing.assert_allclose(features(path, pixels), layer_output(model, "embedding", pixels), rtol=1e-5)


def test_default_layer_of_a_sequential_model(tmp_path, pixels):
    import keras

    model = small()
    keras.Sequential([keras.Input((24, 24, 3)), *model.layers[1:]]).save(tmp_path / "net.keras")
    np.testing.assert_allclose(
        features(tmp_path / "net.keras", pixels), layer_output(model, "embedding", pixels), rtol=1e-5
    )
    with pytest.warns(UserWarning, match="has not yet been built"):
        keras.Sequential([keras.layers.Dense(3)]).save(tmp_path / "unbuilt.keras")
    with pytest.raises(BackboneError, match="does not say what it takes"):
        features(tmp_path / "unbuilt.keras", pixels)


@pytest.mark.parametrize("top", [None, "linear", "relu"])
def test_default_layer_without_a_classifier_is_the_output(tmp_path, pixels, top):
    model = small(top=top)
    model.save(tmp_path / "net.keras")
    np.testing.assert_allclose(
        features(tmp_path / "net.keras", pixels), np.asarray(model(pixels.astype(np.float32))), rtol=1e-5
    )


def test_a_layer_by_name(tmp_path, pixels):
    model = small()
    model.save(tmp_path / "net.keras")
    found = features(tmp_path / "net.keras", pixels, layer="conv", pooling="avg")
    np.testing.assert_allclose(found, layer_output(model, "pool", pixels), rtol=1e-4, atol=1e-4)
    with pytest.raises(BackboneError, match="gives a vector, there is nothing to pool; leave --pooling out"):
        features(tmp_path / "net.keras", pixels, pooling="max")


def test_size_is_asked_of_the_file_or_of_the_user(tmp_path, pixels):
    small(24).save(tmp_path / "fixed.keras")
    small(None).save(tmp_path / "any.keras")
    assert find_source(str(tmp_path / "fixed.keras"), preprocess="tf").size == 24
    with pytest.raises(BackboneError, match="takes pictures of any size; say which with --size N"):
        find_source(str(tmp_path / "any.keras"), preprocess="tf")
    assert features(tmp_path / "any.keras", pixels, size=24).shape == (2, 5)
    with pytest.raises(BackboneError, match="takes pictures of 24 x 24, not --size 32"):
        features(tmp_path / "fixed.keras", pixels, size=32)


def test_a_local_network_counts_by_its_digest_not_by_its_path(tmp_path):
    small().save(tmp_path / "one.keras")
    (tmp_path / "two.keras").write_bytes((tmp_path / "one.keras").read_bytes())
    one, two = (find_source(str(tmp_path / name), preprocess="tf") for name in ("one.keras", "two.keras"))
    assert (one.backbone, one.weights) == (two.backbone, two.weights)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, suffix, recwarn):
    import keras

    inputs = keras.Input((24, 24, 3))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs))
    path = tmp_path / f"net.{suffix}"
    model.save(path)
    with pytest.raises(BackboneError, match="holds a Lambda layer.* featx does not run code from files"):
        find_source(str(path), preprocess="none")


def test_what_is_no_picture_network(tmp_path):
    import keras

    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(BackboneError, match="text.keras cannot be used as a backbone"):
        find_source(str(tmp_path / "text.keras"), preprocess="none")
    inputs = keras.Input((10,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "table.keras")
    with pytest.raises(BackboneError, match=r"takes \(None, 10\); featx needs one input of \(height, width, 3\)"):
        find_source(str(tmp_path / "table.keras"), preprocess="none")
    inputs = keras.Input((24, 32, 3))
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save(tmp_path / "wide.keras")
    with pytest.raises(BackboneError, match="takes pictures of 24 x 32; featx feeds square ones"):
        find_source(str(tmp_path / "wide.keras"), preprocess="none")
    inputs = keras.Input((24, 24, 3))
    keras.Model(inputs, [inputs, inputs]).save(tmp_path / "two.keras")
    with pytest.raises(BackboneError, match="and one output"):
        find_source(str(tmp_path / "two.keras"), preprocess="none")


def test_an_architecture_beside_a_network_is_no_description_of_it(tmp_path, pixels):
    """Keras users save net.json, the architecture, beside net.h5."""
    model = small()
    model.save(tmp_path / "net.h5")
    (tmp_path / "net.json").write_text(model.to_json())
    source = find_source(str(tmp_path / "net.h5"), preprocess="none")
    assert (source.size, source.preprocess) == (24, "none")
