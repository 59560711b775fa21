"""The backbones' own pixel scaling, as Keras operations, so that every engine runs the same graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from featx.backbones.pixels import pixel_scaling


def _caffe(x: Any) -> Any:
    return x[..., ::-1] - ops.array([103.939, 116.779, 123.68], "float32")


def _tf(x: Any) -> Any:
    return x / 127.5 - 1.0


def _torch(x: Any) -> Any:
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return (x / 255.0 - ops.array(mean, "float32")) / ops.array(deviation, "float32")


def _lite(x: Any) -> Any:
    return (x - 127.0) / 128.0


def _none(x: Any) -> Any:
    return x


_MODES: dict[str, Callable[[Any], Any]] = {
    "caffe": _caffe,
    "tf": _tf,
    "torch": _torch,
    "lite": _lite,
    "none": _none,
}


def preprocess_pixels(x: Any, preprocess: str) -> Any:
    """Scale float32 RGB pixels from 0 to 255, shape (n, side, side, 3), as a network expects them.

    ``caffe``: BGR minus the ImageNet mean; ``tf``: -1 to 1; ``torch``: ImageNet mean and deviation;
    ``lite``: (x - 127) / 128; ``none``: unchanged, the network scales its pixels itself; or a mean and a deviation of
    the user's own, see :mod:`featx.backbones.pixels`.
    """
    if preprocess in _MODES:
        return _MODES[preprocess](x)
    scaling = pixel_scaling(preprocess)
    return (x - ops.array(scaling.mean, "float32")) / ops.array(scaling.std, "float32")
