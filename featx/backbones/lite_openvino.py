"""EfficientNet-lite as an OpenVINO graph, so that the default backbone starts without TensorFlow (saves 10 s)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.lite import EPSILON, lay_out, torch_name
from featx.backbones.pixels import pixel_scaling
from featx.errors import BackboneError, WeightsError, as_usage
from featx.libraries import OPENVINO_BATCH, start_openvino
from featx.spec import FeatureSpec


def build_lite(spec: FeatureSpec, variant: str, tensors: dict[str, NDArray[Any]]) -> Any:
    """Build the backbone of a feature spec.

    Parameters
    ----------
    spec : FeatureSpec
        Feature spec without ``layer``.
    variant : {"lite0", "lite1", "lite2"}
    tensors : dict of str to ndarray
        Tensors of the PyTorch file by name.

    Returns
    -------
    openvino.Model
        Maps uint8 pixels (4, size, size, 3) to float32 features (4, n_features).

    Raises
    ------
    WeightsError
        If a tensor is missing or has the wrong shape.
    """
    ov = start_openvino()
    ops = ov.opset13
    scaling = pixel_scaling(spec.preprocess)
    inputs = ops.parameter([OPENVINO_BATCH, spec.size, spec.size, 3], np.uint8, name="pixels")
    pixels = (ops.convert(inputs, "f32") - np.array(scaling.mean, np.float32)) / np.array(scaling.std, np.float32)
    try:
        maps = lay_out(_OpenVINOLayers(ops, tensors), ops.transpose(pixels, [0, 3, 1, 2]), variant)
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(f"the weights do not fit efficientnet-{variant}: {error}") from None
    return ov.Model([_pooled(ops, maps, spec.pooling)], [inputs], f"efficientnet-{variant}")


def _pooled(ops: Any, maps: Any, pooling: str) -> Any:
    if pooling == "flatten":  # channels last, as in Keras
        return ops.reshape(ops.transpose(maps, [0, 2, 3, 1]), [OPENVINO_BATCH, -1], special_zero=False)
    if pooling not in ("avg", "max"):
        raise as_usage(BackboneError(f"unknown pooling {pooling!r}; expected avg, max or flatten"))
    return (ops.reduce_mean if pooling == "avg" else ops.reduce_max)(maps, [2, 3], False)


class _OpenVINOLayers:
    """OpenVINO layers with weights; the batch normalisation is folded into the weights in float64."""

    def __init__(self, ops: Any, tensors: dict[str, NDArray[Any]]) -> None:
        self._ops, self._tensors = ops, tensors

    def conv(self, x: Any, filters: int, kernel: int, stride: int, name: str, relu6: bool = True) -> Any:
        weights, bias = self._folded(name, (filters, self.channels(x), kernel, kernel))
        x = self._ops.convolution(x, weights, [stride] * 2, [0, 0], [0, 0], [1, 1], "same_upper") + bias
        return self._ops.clamp(x, 0.0, 6.0) if relu6 else x

    def depthwise(self, x: Any, kernel: int, stride: int, name: str) -> Any:
        weights, bias = self._folded(name, (self.channels(x), 1, kernel, kernel))
        grouped = weights[:, np.newaxis]
        x = self._ops.group_convolution(x, grouped, [stride] * 2, [0, 0], [0, 0], [1, 1], "same_upper") + bias
        return self._ops.clamp(x, 0.0, 6.0)

    def add(self, a: Any, b: Any, name: str) -> Any:
        return self._ops.add(a, b)

    def channels(self, x: Any) -> int:
        return int(x.output(0).shape[1])

    def _folded(self, name: str, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        kernel = self._tensors[f"{torch_name(f'{name}_conv')}.weight"].astype(np.float64)
        if kernel.shape != shape:
            raise ValueError(f"layer {name} has kernels of shape {kernel.shape}; expected {shape}")
        norm = torch_name(f"{name}_bn")
        gamma, beta, mean, variance = (
            self._tensors[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + EPSILON)
        bias = (beta - mean * scale).reshape(1, -1, 1, 1)
        return (kernel * scale.reshape(-1, 1, 1, 1)).astype(np.float32), bias.astype(np.float32)
