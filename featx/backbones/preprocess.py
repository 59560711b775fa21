"""Pixel scaling of the backbones as Keras operations, so that every engine runs the same graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from featx.backbones.pixels import IMAGENET_MEAN, IMAGENET_STD, pixel_scaling


def preprocess_pixels(x: Any, preprocess: str) -> Any:
    """Scale float32 RGB pixels from 0 to 255, shape (n, side, side, 3), as a backbone expects them.

    ``caffe``: BGR minus the ImageNet mean; ``tf``: -1 to 1; ``torch``: mean and standard deviation of ImageNet;
    ``lite``: (x - 127) / 128; ``none``: unchanged, because the network itself scales
    the pixels. A mean and a standard deviation given by the user are also allowed; see
    :mod:`featx.backbones.pixels`.
    """
    if preprocess == "none":
        return x
    scaling = pixel_scaling(preprocess)
    height, width, channels = x.shape[1:]
    if scaling.bgr:
        x = x[..., ::-1]

    def spread(values: Sequence[float]) -> Any:
        """Return one number for each channel, repeated for all pixels of a row."""
        return ops.array(np.tile(np.array(values, np.float32), width))

    # Rows of pixels are scaled, because OpenVINO would otherwise transpose images to channels first, and back again.
    rows = ops.reshape(x, (-1, height, width * channels))
    if preprocess == "tf":  # this and the next mode use the order of operations of Keras, to get the same bits
        rows = rows / 127.5 - 1.0
    elif preprocess == "torch":
        rows = (rows / 255.0 - spread(IMAGENET_MEAN)) / spread(IMAGENET_STD)
    else:
        rows = (rows - spread(scaling.mean)) / spread(scaling.std)
    return ops.reshape(rows, (-1, height, width, channels))
