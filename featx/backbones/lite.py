"""EfficientNet-lite 0 to 2 as Keras graphs, with the ImageNet weights of a PyTorch file.

Architecture: Tan and Le, EfficientNet, 2019; the lite variants (Google, 2020) drop squeeze-and-excitation,
use ReLU6, and keep the width of stem and head and the depth of the first and last stage.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from featx.errors import WeightsError

# repeats, kernel, stride, expansion, filters
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_WIDTH_AND_DEPTH = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
_STEM, _HEAD = 32, 1280


def lite_graph(variant: str, size: int) -> keras.Model:
    """Build the network of a variant without its top; its weights are not set.

    Parameters
    ----------
    variant : {"lite0", "lite1", "lite2"}
    size : int
        Side of the input, in pixels.

    Returns
    -------
    keras.Model
        (n, size, size, 3) preprocessed pixels to (n, side, side, 1280) activations.
    """
    width, depth = _WIDTH_AND_DEPTH[variant]
    inputs = keras.Input((size, size, 3))
    x = _conv(inputs, _STEM, 3, 2, "stem")
    index = 0
    for stage, (repeats, kernel, stride, expansion, filters) in enumerate(_STAGES):
        inner = 0 < stage < len(_STAGES) - 1
        for repeat in range(math.ceil(repeats * depth) if inner else repeats):
            first = stride if repeat == 0 else 1
            x = _block(x, kernel, first, expansion, _round_filters(filters * width), f"block{index}")
            index += 1
    outputs = _conv(x, _HEAD, 1, 1, "head")
    return keras.Model(inputs, outputs, name=f"efficientnet-{variant}")


def load_lite_weights(model: keras.Model, tensors: dict[str, NDArray[Any]]) -> None:
    """Set every weight of a :func:`lite_graph` from the tensors of its PyTorch file.

    Raises
    ------
    WeightsError
        A tensor is missing or has another shape.
    """
    for layer in model.layers:
        if not layer.weights:
            continue
        try:
            values = _layer_values(layer, tensors)
            layer.set_weights(values)
        except (KeyError, ValueError) as error:
            raise WeightsError(f"the weights do not fit {model.name}: layer {layer.name}: {error}") from None


def _layer_values(layer: keras.Layer, tensors: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    name = _torch_name(layer.name)
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    kernel = tensors[f"{name}.weight"]
    # PyTorch: (out, in, height, width); Keras: (height, width, in, out), depthwise (height, width, channels, 1).
    order = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [np.transpose(kernel, order)]


_TORCH_PARTS = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "head_conv": "_conv_head",
    "head_bn": "_bn1",
    "expand_conv": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project_conv": "_project_conv",
    "project_bn": "_bn2",
}


def _torch_name(layer_name: str) -> str:
    if not layer_name.startswith("block"):
        return _TORCH_PARTS[layer_name]
    block, part = layer_name.split("_", 1)
    return f"_blocks.{block.removeprefix('block')}.{_TORCH_PARTS[part]}"


def _block(x: Any, kernel: int, stride: int, expansion: int, filters: int, name: str) -> Any:
    inputs = x
    if expansion != 1:
        x = _conv(x, inputs.shape[-1] * expansion, 1, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = _norm(x, f"{name}_depthwise")
    x = _conv(x, filters, 1, 1, f"{name}_project", activation=False)
    if stride == 1 and inputs.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([inputs, x])
    return x


def _conv(x: Any, filters: int, kernel: int, stride: int, name: str, activation: bool = True) -> Any:
    x = layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=f"{name}_conv")(x)
    return _norm(x, name, activation)


def _norm(x: Any, name: str, activation: bool = True) -> Any:
    x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activation else x


def _round_filters(filters: float) -> int:
    """Round to a multiple of 8, never by more than a tenth down (the EfficientNet paper's rule)."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded
