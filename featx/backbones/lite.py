"""The architecture of EfficientNet-lite 0 to 2, independent of the library that builds its layers.

Tan and Le, EfficientNet, 2019. The lite variants (Google, 2020) have no squeeze-and-excitation, use ReLU6, and do not
scale the width of stem and head or the depth of the first and last stage.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

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


EPSILON = 1e-3
"""Epsilon of every batch normalisation."""


class Layers(Protocol):
    """Layers of one library; every convolution has SAME padding and is followed by batch normalisation."""

    def conv(self, x: Any, filters: int, kernel: int, stride: int, name: str, relu6: bool = True) -> Any:
        """Apply a convolution."""

    def depthwise(self, x: Any, kernel: int, stride: int, name: str) -> Any:
        """Apply a depthwise convolution and ReLU6."""

    def add(self, a: Any, b: Any, name: str) -> Any:
        """Add two maps."""

    def channels(self, x: Any) -> int:
        """Return the number of channels of a map."""


def lay_out(layers: Layers, inputs: Any, variant: str) -> Any:
    """Build the backbone of a variant.

    Parameters
    ----------
    layers : Layers
    inputs : tensor
        Preprocessed pixels.
    variant : {"lite0", "lite1", "lite2"}

    Returns
    -------
    tensor
        Activations with 1,280 channels.
    """
    width, depth = _WIDTH_AND_DEPTH[variant]
    x = layers.conv(inputs, _STEM, 3, 2, "stem")
    index = 0
    for stage, (repeats, kernel, stride, expansion, filters) in enumerate(_STAGES):
        inner = 0 < stage < len(_STAGES) - 1
        for repeat in range(math.ceil(repeats * depth) if inner else repeats):
            first = stride if repeat == 0 else 1
            x = _block(layers, x, kernel, first, expansion, _round_filters(filters * width), f"block{index}")
            index += 1
    return layers.conv(x, _HEAD, 1, 1, "head")


def torch_name(layer_name: str) -> str:
    """Return the name that a layer, such as ``block3_expand_bn``, has in the PyTorch file."""
    if not layer_name.startswith("block"):
        return _TORCH_PARTS[layer_name]
    block, part = layer_name.split("_", 1)
    return f"_blocks.{block.removeprefix('block')}.{_TORCH_PARTS[part]}"


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


def _block(layers: Layers, x: Any, kernel: int, stride: int, expansion: int, filters: int, name: str) -> Any:
    inputs = x
    if expansion != 1:
        x = layers.conv(x, layers.channels(inputs) * expansion, 1, 1, f"{name}_expand")
    x = layers.depthwise(x, kernel, stride, f"{name}_depthwise")
    x = layers.conv(x, filters, 1, 1, f"{name}_project", relu6=False)
    if stride == 1 and layers.channels(inputs) == filters:
        x = layers.add(inputs, x, f"{name}_add")
    return x


def _round_filters(filters: float) -> int:
    """Round to a multiple of 8, but never down by more than 10 % (rule of the EfficientNet paper)."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded
