"""The backbones' own pixel scaling, as Keras operations, so that every engine runs the same graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from featx.backbones.pixels import pixel_scaling

_Spread = Callable[[Sequence[float]], Any]
"""Turns one number for each channel into one for each value of a row of pixels."""


def _caffe(rows: Any, spread: _Spread) -> Any:
    return rows - spread((103.939, 116.779, 123.68))


def _tf(rows: Any, spread: _Spread) -> Any:
    return rows / 127.5 - 1.0


def _torch(rows: Any, spread: _Spread) -> Any:
    return (rows / 255.0 - spread((0.485, 0.456, 0.406))) / spread((0.229, 0.224, 0.225))


def _lite(rows: Any, spread: _Spread) -> Any:
    return (rows - 127.0) / 128.0


_MODES: dict[str, Callable[[Any, _Spread], Any]] = {"caffe": _caffe, "tf": _tf, "torch": _torch, "lite": _lite}


def preprocess_pixels(x: Any, preprocess: str) -> Any:
    """Scale float32 RGB pixels from 0 to 255, shape (n, side, side, 3), as a network expects them.

    ``caffe``: BGR minus the ImageNet mean; ``tf``: -1 to 1; ``torch``: ImageNet mean and deviation;
    ``lite``: (x - 127) / 128; ``none``: unchanged, the network scales its pixels itself; or a mean and a deviation of
    the user's own, see :mod:`featx.backbones.pixels`.
    """
    if preprocess == "none":
        return x
    height, width, channels = x.shape[1:]
    if preprocess == "caffe":
        x = x[..., ::-1]

    def spread(values: Sequence[float]) -> Any:
        return ops.array(np.tile(np.array(values, np.float32), width))

    # As rows: OpenVINO otherwise moves the channels first, before the scaling, and back for the network's own layers.
    rows = ops.reshape(x, (-1, height, width * channels))
    return ops.reshape(_scaled(rows, preprocess, spread), (-1, height, width, channels))


def _scaled(rows: Any, preprocess: str, spread: _Spread) -> Any:
    if preprocess in _MODES:
        return _MODES[preprocess](rows, spread)
    scaling = pixel_scaling(preprocess)
    return (rows - spread(scaling.mean)) / spread(scaling.std)
