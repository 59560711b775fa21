"""Build the backbone of a feature spec with Keras: uint8 pixels in, float32 features out."""

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
from featx.backbones.layers import flatten_model
from featx.backbones.lite_keras import lite_graph, load_lite_weights
from featx.backbones.local import declared_size, load_local
from featx.backbones.preprocess import preprocess_pixels
from featx.backbones.pth import read_pth_file
from featx.backbones.source import FILE_BACKBONE, seed_of_weights
from featx.backbones.table import PackagedWeights, engine_of, find_backbone
from featx.errors import BackboneError, WeightsError
from featx.spec import FeatureSpec


def build_network(spec: FeatureSpec, file: Path | None) -> keras.Model:
    """Build the backbone of a feature spec with Keras; see :func:`featx.backbones.build_network`."""
    core = build_core(spec, file)
    core.trainable = False
    inputs = keras.Input((spec.size, spec.size, 3), dtype="uint8")
    pixels = preprocess_pixels(ops.cast(inputs, "float32"), spec.preprocess)
    return keras.Model(inputs, ops.cast(_pool(core(pixels, training=False), spec), "float32"))


def build_core(spec: FeatureSpec, file: Path | None) -> keras.Model:
    """Build the trainable layers of a feature spec, from preprocessed pixels to the output before pooling."""
    with _policy(spec), _fresh_names():
        model = _local(spec, file) if spec.backbone == FILE_BACKBONE else _from_table(spec, file)
        if spec.backbone == FILE_BACKBONE or spec.layer is not None:
            flat = flatten_model(model, spec.backbone if file is None or spec.backbone != FILE_BACKBONE else file.name)
            model = flat.model
            output = flat.default_output() if spec.layer is None else flat.output_of(spec.layer)
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
    """Reset the counters in automatic layer names, so that names do not depend on models that were built before."""
    counters = "object_name_uids"
    before = global_state.get_global_attribute(counters)
    global_state.set_global_attribute(counters, None)
    try:
        yield
    finally:
        global_state.set_global_attribute(counters, before)


@contextlib.contextmanager
def _policy(spec: FeatureSpec) -> Iterator[None]:
    """Let layers built in this context compute in the precision of the feature spec; weights stay in float32."""
    if not engine_of(spec).casts_layers or spec.precision == "float32":
        yield
        return
    if spec.backbone == FILE_BACKBONE:
        raise BackboneError(
            "a local backbone computes in the precision that it was saved with; use `precision=float32`"
        )
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _local(spec: FeatureSpec, file: Path | None) -> keras.Model:
    if file is None:
        raise BackboneError("these features were computed with a local backbone; give its file")
    model = load_local(file)
    if declared_size(model) not in (None, spec.size):
        raise BackboneError(
            f"{file} accepts images of {declared_size(model)} x {declared_size(model)}, not {spec.size} x {spec.size}"
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
            f"{file}: {row.name} needs weights saved by Keras (.h5); only efficientnet-lite accepts .pth"
        )
    elif file.suffix == ".pth":
        load_lite_weights(model, read_pth_file(file))
    else:
        if not packaged and file == row.weights.path(spec.size):
            check_published_digest(file, download)
        load_every_weight(model, file)
    return model


def _set_random(model: keras.Model, seed: int) -> None:
    """Draw kernels from a normal distribution with He's variance; keep the initial biases and normalisations."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if len(weight.shape) > 1:
            depthwise = len(weight.shape) == 4 and weight.shape[-1] == 1  # each kernel has one input channel
            fan_in = int(np.prod(weight.shape[:2] if depthwise else weight.shape[:-1]))
            weight.assign(rng.normal(0, np.sqrt(2 / fan_in), weight.shape).astype(np.float32))


def _pool(x: Any, spec: FeatureSpec) -> Any:
    inner = list(range(1, len(x.shape) - 1))
    if not inner:
        if spec.pooling == "max":
            raise BackboneError("the output of this layer is a vector, which is not pooled; leave pooling at avg")
        return x
    if spec.pooling == "flatten":
        return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))
    return ops.mean(x, axis=inner) if spec.pooling == "avg" else ops.max(x, axis=inner)
