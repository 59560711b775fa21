"""Local Keras files as backbones."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from featx.backbones import build_network, find_backbone_source
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
    source = find_backbone_source(
        str(path), preprocess="none", **{k: options.pop(k) for k in ("size",) if k in options}
    )
    spec = FeatureSpec("file", source.weights, "none", source.size, "1-0", "tensorflow", "float32", **options)
    return np.asarray(build_network(spec, path)(pixels, training=False))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), np.uint8)


def layer_output(model, name, pixels):
    import keras

    return np.asarray(keras.Model(model.inputs[0], model.get_layer(name).output)(pixels.astype(np.float32)))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("top", ["softmax", "sigmoid", "separate"])
def test_default_layer_is_the_input_of_the_classifier(tmp_path, pixels, top, suffix, recwarn):
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
    with pytest.raises(BackboneError, match="has no input of known shape, or has several inputs"):
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
    with pytest.raises(BackboneError, match="is a vector, which is not pooled; leave pooling at avg"):
        features(tmp_path / "net.keras", pixels, pooling="max")


def test_the_size_comes_from_the_file_or_the_user(tmp_path, pixels):
    small(24).save(tmp_path / "fixed.keras")
    small(None).save(tmp_path / "any.keras")
    assert find_backbone_source(str(tmp_path / "fixed.keras"), preprocess="tf").size == 24
    with pytest.raises(BackboneError, match="accepts images of any size; choose a size with `size=N`"):
        find_backbone_source(str(tmp_path / "any.keras"), preprocess="tf")
    assert features(tmp_path / "any.keras", pixels, size=24).shape == (2, 5)
    with pytest.raises(BackboneError, match="accepts images of 24 x 24, not 32 x 32"):
        features(tmp_path / "fixed.keras", pixels, size=32)


def test_a_local_backbone_is_identified_by_its_digest_not_its_path(tmp_path):
    small().save(tmp_path / "one.keras")
    (tmp_path / "two.keras").write_bytes((tmp_path / "one.keras").read_bytes())
    one, two = (find_backbone_source(str(tmp_path / name), preprocess="tf") for name in ("one.keras", "two.keras"))
    assert (one.backbone, one.weights) == (two.backbone, two.weights)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, suffix, recwarn):
    import keras

    inputs = keras.Input((24, 24, 3))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs))
    path = tmp_path / f"net.{suffix}"
    model.save(path)
    with pytest.raises(BackboneError, match="contains a Lambda layer.* featx does not run code from files"):
        find_backbone_source(str(path), preprocess="none")


def test_files_without_an_image_input_are_refused(tmp_path):
    import keras

    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(BackboneError, match="text.keras cannot be used as a backbone"):
        find_backbone_source(str(tmp_path / "text.keras"), preprocess="none")
    inputs = keras.Input((10,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "table.keras")
    with pytest.raises(BackboneError, match=r"has an input of shape \(None, 10\); expected \(None, height, width, 3\)"):
        find_backbone_source(str(tmp_path / "table.keras"), preprocess="none")
    inputs = keras.Input((24, 32, 3))
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save(tmp_path / "wide.keras")
    with pytest.raises(BackboneError, match="accepts images of 24 x 32; expected a square input"):
        find_backbone_source(str(tmp_path / "wide.keras"), preprocess="none")
    inputs = keras.Input((24, 24, 3))
    keras.Model(inputs, [inputs, inputs]).save(tmp_path / "two.keras")
    with pytest.raises(BackboneError, match="or has several inputs or outputs; expected one input"):
        find_backbone_source(str(tmp_path / "two.keras"), preprocess="none")


def test_a_keras_architecture_beside_a_backbone_file_is_ignored(tmp_path, pixels):
    """Keras users save net.json, the architecture, beside net.h5."""
    model = small()
    model.save(tmp_path / "net.h5")
    (tmp_path / "net.json").write_text(model.to_json())
    source = find_backbone_source(str(tmp_path / "net.h5"), preprocess="none")
    assert (source.size, source.preprocess) == (24, "none")


def nested(head, size=24):
    """Return a model with nested models, as Teachable Machine and many tutorials build it."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input((size, size, 3))
    base = keras.Model(inputs, layers.Conv2D(4, 3, activation="relu", name="conv")(inputs), name="base")
    return keras.Sequential([keras.Input((size, size, 3)), base, layers.GlobalAveragePooling2D(name="pool"), head])


def output_of(tensor_model, pixels):
    return np.asarray(tensor_model(pixels.astype(np.float32)))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_default_layer_if_the_classifier_is_a_nested_model(tmp_path, pixels, suffix, recwarn):
    import keras
    from keras import layers

    head = keras.Sequential([layers.Dense(5, "relu"), layers.Dense(3, "softmax")], name="head")
    model = nested(head)
    path = tmp_path / f"net.{suffix}"
    model.save(path)
    embedded = keras.Sequential([*model.layers[:2], head.layers[0]])
    np.testing.assert_allclose(features(path, pixels), output_of(embedded, pixels), rtol=1e-5)
    names = [f"head/{layer.name}" for layer in head.layers]
    np.testing.assert_allclose(features(path, pixels, layer=names[1]), output_of(model, pixels), rtol=1e-4)
    conv = features(path, pixels, layer="conv", pooling="avg")
    np.testing.assert_array_equal(features(path, pixels, layer="base/conv", pooling="avg"), conv)
    np.testing.assert_array_equal(features(path, pixels, layer="base", pooling="avg"), conv)
    assert conv.shape == (2, 4)
    with pytest.raises(BackboneError, match=r"no layer 'head/dens'; its \d+ layers include head/dense"):
        features(path, pixels, layer="head/dens")


def test_layers_with_the_same_name_are_distinguished_by_their_model(tmp_path, pixels):
    import keras
    from keras import layers

    parts = [keras.Sequential([layers.Dense(4, name="dense")], name=name) for name in ("one", "two")]
    model = nested(keras.Sequential([*parts, layers.Dense(1, "sigmoid", name="dense")], name="head"))
    model.save(tmp_path / "net.keras")
    before = keras.Sequential([*model.layers[:2], *parts])
    np.testing.assert_allclose(features(tmp_path / "net.keras", pixels), output_of(before, pixels), rtol=1e-5)
    assert features(tmp_path / "net.keras", pixels, layer="head/two/dense").shape == (2, 4)
    several = "3 layers named 'dense': choose head/one/dense, head/two/dense, head/dense"
    with pytest.raises(BackboneError, match=several):
        features(tmp_path / "net.keras", pixels, layer="dense")


def ends():
    """Yield networks that end in a classifier, and the name of the layer whose output is used as features."""
    import keras
    from keras import layers, ops

    def network(*end, maps="conv"):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((24, 24, 3))
        x = layers.Conv2D(4, 3, name="conv")(inputs)
        x = x if maps == "conv" else layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
        for layer in end:
            x = layer(x)
        return keras.Model(inputs, x)

    classes = layers.Conv2D(3, 1)
    yield (
        "mobilenet",
        "pool",
        network(layers.Dropout(0.1), classes, layers.Reshape((3,)), layers.Activation("softmax"), maps="pool"),
    )
    yield (
        "squeezenet",
        "conv",
        network(
            layers.Dropout(0.1),
            layers.Conv2D(3, 1, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Softmax(),
        ),
    )
    yield (
        "convolution with a softmax",
        "conv",
        network(
            layers.GlobalAveragePooling2D(keepdims=True), layers.Conv2D(3, 1, activation="softmax"), layers.Flatten()
        ),
    )
    yield (
        "reshaped afterwards",
        "pool",
        network(
            layers.Flatten(), layers.Dense(3, "softmax"), layers.Reshape((3, 1)), layers.Reshape((3,)), maps="pool"
        ),
    )
    yield "an operation", "pool", network(layers.Flatten(), layers.Dense(3), ops.softmax, maps="pool")
    yield (
        "logits normalised",
        "pool",
        network(
            layers.Flatten(), layers.Dense(3), layers.BatchNormalization(), layers.Activation("sigmoid"), maps="pool"
        ),
    )


@pytest.mark.parametrize("number", range(6))
def test_default_layer_is_the_input_of_the_classification_layer(tmp_path, pixels, number):
    name, layer, model = list(ends())[number]
    model.save(tmp_path / "net.keras")
    found = features(tmp_path / "net.keras", pixels)
    np.testing.assert_allclose(found, layer_output(model, layer, pixels).mean(axis=(1, 2)), rtol=1e-4, err_msg=name)


def test_without_a_classification_layer_the_default_is_the_input_of_the_softmax(tmp_path, pixels):
    import keras
    from keras import layers

    inputs = keras.Input((24, 24, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs))
    sums = layers.Add(name="sums")([layers.Dense(3)(x), layers.Dense(3)(x)])
    model = keras.Model(inputs, layers.Softmax()(sums))
    model.save(tmp_path / "net.keras")
    np.testing.assert_allclose(features(tmp_path / "net.keras", pixels), layer_output(model, "sums", pixels), rtol=1e-4)


def test_a_layer_that_is_used_twice_has_several_outputs(tmp_path, pixels):
    import keras
    from keras import layers

    inputs = keras.Input((24, 24, 3))
    twice = layers.Conv2D(3, 3, padding="same", name="twice")
    keras.Model(inputs, layers.GlobalAveragePooling2D()(twice(twice(inputs)))).save(tmp_path / "net.keras")
    with pytest.raises(BackboneError, match="layer 'twice' of .* has several outputs; choose another layer"):
        features(tmp_path / "net.keras", pixels, layer="twice")


def rewrite_config(path, change):
    """Apply a function to the configuration in a .h5 file."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)


def as_keras2(config):
    """Change a configuration to the form of Keras 2.3 to 2.15."""
    for layer in config["config"]["layers"]:
        kind, own = layer["class_name"], layer["config"]
        if kind in ("DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"):
            own["groups"] = 1
        if kind == "SeparableConv2D":
            own |= {
                "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
                "kernel_regularizer": None,
                "kernel_constraint": None,
            }
        if kind == "BatchNormalization":
            own["axis"] = [3]


@pytest.mark.parametrize("kind", ["functional", "sequential"])
def test_a_file_of_keras_2_is_read(tmp_path, pixels, kind, recwarn):
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inside = [
        layers.DepthwiseConv2D(3),
        layers.BatchNormalization(),
        layers.SeparableConv2D(4, 3),
        layers.Conv2DTranspose(4, 3),
        layers.GlobalAveragePooling2D(name="pool"),
        layers.Dense(2, "softmax"),
    ]
    model = keras.Sequential([keras.Input((24, 24, 3)), *inside])
    if kind == "functional":
        model = keras.Model(model.inputs, model.outputs)
    model.save(tmp_path / "keras_model.h5")
    rewrite_config(tmp_path / "keras_model.h5", as_keras2)
    np.testing.assert_allclose(
        features(tmp_path / "keras_model.h5", pixels), layer_output(model, "pool", pixels), rtol=1e-4, atol=1e-3
    )


def test_a_legacy_argument_with_an_effect_is_kept(tmp_path, recwarn):
    import keras
    from keras import layers

    inputs = keras.Input((24, 24, 3))
    keras.Model(inputs, layers.DepthwiseConv2D(3)(inputs)).save(tmp_path / "net.h5")

    def group(config):
        config["config"]["layers"][1]["config"]["groups"] = 3

    rewrite_config(tmp_path / "net.h5", group)
    message = r"Unrecognized keyword arguments passed to DepthwiseConv2D: \{'groups': 3\}; if Keras 2 saved it, .* ONNX"
    with pytest.raises(BackboneError, match=message):
        find_backbone_source(str(tmp_path / "net.h5"), preprocess="none")


def test_configurations_of_keras_2_become_those_of_keras_3():
    """A nested model, as in Teachable Machine, in the form that tf_keras 2.21 writes."""
    from featx.backbones.keras2 import modernized

    inner = {
        "module": "tf_keras.src.engine.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": {
            "name": "base",
            "layers": [
                {"class_name": "InputLayer", "config": {"name": "input_1", "batch_input_shape": [None, 8, 8, 3]}},
                {
                    "class_name": "BatchNormalization",
                    "config": {"name": "Conv/BatchNorm", "axis": [3]},
                    "inbound_nodes": [[["input_1", 0, 0, {}]]],
                },
            ],
            "input_layers": [["input_1", 0, 0]],
            "output_layers": [["Conv/BatchNorm", 0, 0]],
        },
    }
    dense = {"class_name": "Dense", "config": {"name": "dense", "batch_input_shape": [None, 1280]}}
    made = modernized({"class_name": "Sequential", "config": {"name": "s", "layers": [inner, dense]}})
    base, head = made["config"]["layers"]
    assert (base["module"], base["registered_name"]) == ("keras.src.models.functional", "Functional")
    assert base["config"]["output_layers"] == ["Conv_BatchNorm", 0, 0]
    assert base["config"]["layers"][0] == inner["config"]["layers"][0]
    assert base["config"]["layers"][1]["config"] == {"name": "Conv_BatchNorm", "axis": 3}
    assert head["config"] == {"name": "dense", "input_shape": [1280]}
    assert modernized(made) == made


def test_errors_for_other_keras_files_state_what_is_missing(tmp_path, recwarn):
    import keras

    model = small()
    model.save_weights(tmp_path / "best.weights.h5")
    with pytest.raises(BackboneError, match="holds only weights, without the architecture; save the whole model"):
        find_backbone_source(str(tmp_path / "best.weights.h5"), preprocess="none")
    model.export(tmp_path / "saved", verbose=False)
    with pytest.raises(BackboneError, match="saved is a SavedModel folder; save the model as one file"):
        find_backbone_source(str(tmp_path / "saved"), preprocess="none")
    for name in ("folder.keras", "net.mlpackage", "checkpoints"):
        (tmp_path / name).mkdir()
        with pytest.raises(BackboneError, match=f"{name} is a folder; expected a .keras, .h5 or .onnx file"):
            find_backbone_source(str(tmp_path / name), preprocess="none")
    (tmp_path / "net.pt").write_bytes(b"PK")
    with pytest.raises(BackboneError, match="must be a .keras, .h5 or .onnx file; export it to ONNX with torch"):
        find_backbone_source(str(tmp_path / "net.pt"), preprocess="none")
    model.save(tmp_path / "hub.h5")

    def as_hub(config):
        config["config"]["layers"][1]["class_name"] = "KerasLayer"

    rewrite_config(tmp_path / "hub.h5", as_hub)
    with pytest.raises(
        BackboneError, match=f"holds KerasLayer, which Keras {keras.__version__} does not know; if Keras 2"
    ):
        find_backbone_source(str(tmp_path / "hub.h5"), preprocess="none")
