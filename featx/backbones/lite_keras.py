"""EfficientNet-lite as a Keras model, with the ImageNet weights of a PyTorch file."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from featx.backbones.lite import EPSILON, lay_out, torch_name
from featx.errors import WeightsError


def lite_graph(variant: str, size: int) -> keras.Model:
    """Build the backbone of a variant, with initial weights.

    Parameters
    ----------
    variant : {"lite0", "lite1", "lite2"}
    size : int
        Side of the input, in pixels.

    Returns
    -------
    keras.Model
        Maps preprocessed pixels (n, size, size, 3) to activations (n, side, side, 1280).
    """
    inputs = keras.Input((size, size, 3))
    return keras.Model(inputs, lay_out(_KerasLayers(), inputs, variant), name=f"efficientnet-{variant}")


def load_lite_weights(model: keras.Model, tensors: dict[str, NDArray[Any]]) -> None:
    """Set every weight of a :func:`lite_graph` from the tensors of a PyTorch file.

    Raises
    ------
    WeightsError
        If a tensor is missing or has the wrong shape.
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
    name = torch_name(layer.name)
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    kernel = tensors[f"{name}.weight"]
    # PyTorch: (out, in, height, width); Keras: (height, width, in, out), depthwise (height, width, channels, 1).
    order = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [np.transpose(kernel, order)]


class _KerasLayers:
    def conv(self, x: Any, filters: int, kernel: int, stride: int, name: str, relu6: bool = True) -> Any:
        x = layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=f"{name}_conv")(x)
        return self._norm(x, name, relu6)

    def depthwise(self, x: Any, kernel: int, stride: int, name: str) -> Any:
        x = layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}_conv")(x)
        return self._norm(x, name, True)

    def add(self, a: Any, b: Any, name: str) -> Any:
        return layers.Add(name=name)([a, b])

    def channels(self, x: Any) -> int:
        return int(x.shape[-1])

    def _norm(self, x: Any, name: str, relu6: bool) -> Any:
        x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
        return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu6 else x
