"""A small convolutional network with random weights, with which transfer learning is compared."""

from __future__ import annotations

import keras
from keras import layers

FILTERS = (16, 64, 128)


def small_cnn(size: int) -> keras.Model:
    """Return three blocks of convolution and pooling that map pixels, shape (n, size, size, 3), to 128 channels.

    Many tutorials use this network with a dense layer of 512 units and dropout on top.
    """
    inputs = keras.Input((size, size, 3))
    x = inputs
    for number, filters in enumerate(FILTERS, 1):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{number}_conv")(x)
        x = layers.MaxPooling2D(name=f"block{number}_pool")(x)
    return keras.Model(inputs, x, name="scratch-cnn")
