"""Build the whole network of a recipe: uint8 pixels in, float32 features out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.src.backend.common import global_state

from featx.backbones.applications import check_published_digest, imagenet_architecture, load_every_weight
from featx.backbones.layers import open_up
from featx.backbones.lite_keras import lite_graph, load_lite_weights
from featx.backbones.local import declared_size, load_local
from featx.backbones.preprocess import preprocess_pixels
from featx.backbones.pth import read_pth_file
from featx.backbones.source import FILE_BACKBONE, seed_of_weights
from featx.backbones.table import PackagedWeights, engine_of, find_backbone
from featx.errors import BackboneError, WeightsError
from featx.spec import FeatureSpec


def build_network(spec: FeatureSpec, file: Path | None) -> keras.Model:
    """Build the network of a recipe with Keras; see :func:`featx.backbones.build_network`."""
    core = build_core(spec, file)
    core.trainable = False
    inputs = keras.Input((spec.size, spec.size, 3), dtype="uint8")
    pixels = preprocess_pixels(ops.cast(inputs, "float32"), spec.preprocess)
    return keras.Model(inputs, ops.cast(_pool(core(pixels, training=False), spec), "float32"))


def build_core(spec: FeatureSpec, file: Path | None) -> keras.Model:
    """Build the layers of a recipe alone, from preprocessed pixels to what is pooled; they can be trained."""
    with _policy(spec), _fresh_names():
        model = _local(spec, file) if spec.backbone == FILE_BACKBONE else _from_table(spec, file)
        if spec.backbone == FILE_BACKBONE or spec.layer is not None:
            opened = open_up(model, spec.backbone if file is None or spec.backbone != FILE_BACKBONE else file.name)
            model = opened.model
            output = opened.default_output() if spec.layer is None else opened.output_of(spec.layer)
        else:
            output = model.outputs[0]
    core = keras.Model(model.inputs[0], output)
    if None not in core.input_shape[1:3]:
        return core
    sized = keras.models.clone_model(core, input_tensors=keras.Input((spec.size, spec.size, 3)))
    sized.set_weights(core.get_weights())
    return sized


@contextlib.contextmanager
def _fresh_names() -> Iterator[None]:
    """Let layers that Keras names itself have the same names each time: the number that it appends counts a process."""
    counters = "object_name_uids"
    before = global_state.get_global_attribute(counters)
    global_state.set_global_attribute(counters, None)
    try:
        yield
    finally:
        global_state.set_global_attribute(counters, before)


@contextlib.contextmanager
def _policy(spec: FeatureSpec) -> Iterator[None]:
    """Let layers made meanwhile compute in the recipe's precision; weights stay in float32."""
    if not engine_of(spec).casts_layers or spec.precision == "float32":
        yield
        return
    if spec.backbone == FILE_BACKBONE:
        raise BackboneError("a local network computes in the precision that it was saved in; use `precision=float32`")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _local(spec: FeatureSpec, file: Path | None) -> keras.Model:
    if file is None:
        raise BackboneError("these features come from a local network; give its file")
    model = load_local(file)
    if declared_size(model) not in (None, spec.size):
        raise BackboneError(
            f"{file} takes images of {declared_size(model)} x {declared_size(model)}, not of {spec.size}"
        )
    return model


def _from_table(spec: FeatureSpec, file: Path | None) -> keras.Model:
    row = find_backbone(spec.backbone)
    packaged = isinstance(row.weights, PackagedWeights)
    if packaged:
        model = lite_graph(row.constructor, spec.size)
    else:
        model, download = imagenet_architecture(row.constructor, spec.size)
    if file is None:
        _set_random(model, seed_of_weights(spec.weights))
    elif file.suffix == ".pth" and not packaged:
        raise WeightsError(
            f"{file}: {row.name} takes weights as Keras saves them (.h5); only efficientnet-lite takes .pth"
        )
    elif file.suffix == ".pth":
        load_lite_weights(model, read_pth_file(file))
    else:
        if not packaged and file == row.weights.path(spec.size):
            check_published_digest(file, download)
        load_every_weight(model, file)
    return model


def _set_random(model: keras.Model, seed: int) -> None:
    """Draw every kernel from a seeded normal distribution of He's variance; biases and norms keep their start."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if len(weight.shape) > 1:
            depthwise = len(weight.shape) == 4 and weight.shape[-1] == 1  # each kernel sees one channel, not all
            fan_in = int(np.prod(weight.shape[:2] if depthwise else weight.shape[:-1]))
            weight.assign(rng.normal(0, np.sqrt(2 / fan_in), weight.shape).astype(np.float32))


def _pool(x: Any, spec: FeatureSpec) -> Any:
    inner = list(range(1, len(x.shape) - 1))
    if not inner:
        if spec.pooling == "max":
            raise BackboneError("this layer gives a vector, there is nothing to pool; leave the pooling at avg")
        return x
    if spec.pooling == "flatten":
        return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))
    return ops.mean(x, axis=inner) if spec.pooling == "avg" else ops.max(x, axis=inner)
