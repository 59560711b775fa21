"""A network in three parts: frozen layers, trained blocks, and a top of dense layers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from featx.backbones.pixels import pixel_scaling
from featx.backbones.preprocess import preprocess_pixels
from featx.training.graph import Graph


class Trainable:
    """A backbone with trainable upper blocks and a top.

    Parameters
    ----------
    core : keras.Model
        Backbone that maps scaled pixels, shape (n, size, size, 3), to activations; see
        :func:`featx.backbones.build_core`.
    below : str
        Last frozen layer; the input layer if the whole network is trained.
    preprocess : str
        Pixel scaling of the backbone.
    pooling : {"avg", "max", "flatten"}
        Reduction of activation maps to a vector.
    weights, biases : sequence of ndarray
        Weights of the dense layers, shape (n_in, n_out), and biases, shape (n_out,). There is a ReLU between
        consecutive layers; the last layer has one column for each class.
    dropout : float
        Dropout rate after each hidden dense layer, or before the last layer if there is no hidden layer.
    seed : int
        Random seed of the dropout.

    Attributes
    ----------
    frozen, blocks, top : keras.Model
        ``frozen`` maps uint8 pixels to the output of the last frozen layer. ``blocks`` maps this output to the
        activations before pooling. ``top`` maps the activations before pooling to logits.
    """

    def __init__(
        self,
        core: keras.Model,
        below: str,
        preprocess: str,
        pooling: str,
        weights: Sequence[NDArray[Any]],
        biases: Sequence[NDArray[Any]],
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._core = core
        self._graph = Graph(core)
        cut = keras.Input(self._graph.shape_at(below))
        self.blocks = keras.Model(cut, self._graph.part_above(below, cut))
        self.frozen = _from_pixels(core, self._graph.output_of(below), preprocess)
        self.frozen.trainable = False
        _thaw(self.blocks)
        taken = {layer.name for layer in core.layers}
        prefix = next(
            f"top{n or ''}" for n in itertools.count() if not any(x.startswith(f"top{n or ''}_") for x in taken)
        )
        self._top = _Top(prefix, pooling, weights, dropout, seed)
        inputs = keras.Input(core.output_shape[1:])
        self.top = keras.Model(inputs, self._top.logits(inputs))
        self._top.set_weights(weights, biases)
        self._below = below

    def learning_rate_groups(self, layer_decay: float) -> list[tuple[float, list[Any]]]:
        """Return a fraction of the learning rate and the trainable variables for each block, beginning with the top."""
        groups = [(1.0, list(self.top.trainable_variables))]
        for depth, variables in enumerate(self._graph.variables_above(self._below), 1):
            groups.append((layer_decay**depth, variables))
        return groups

    @property
    def variables(self) -> list[Any]:
        """All variables that training changes: weights, statistics of batches, and states of random generators."""
        return [*self.blocks.variables, *self.top.variables]

    def save(self, path: Path) -> None:
        """Write the network without its last dense layer; it maps scaled pixels to features.

        The output is a Keras file, or a folder with the same content if the name does not end in ``.keras``.
        """
        _thaw(self._core)  # so that later training of this file starts without frozen layers
        features = self._top.features(self._core.outputs[0])
        network = keras.Model(self._core.inputs[0], features, name=self._core.name)
        network.save(path, zipped=path.suffix == ".keras")

    def save_classifier(self, path: Path, preprocess: str, temperature: float) -> None:
        """Write the whole classifier as a Keras file; it maps RGB pixels from 0 to 255 to probabilities.

        All layers, including the pixel scaling, are standard Keras layers, so that Keras alone can load and run it.

        Parameters
        ----------
        path : path
        preprocess : str
            Pixel scaling of the backbone.
        temperature : float
            Divisor of the logits.
        """
        pixels = keras.Input(self._core.input_shape[1:], name=self._top.named("pixels"))
        scaled = _scaled(pixels, preprocess, self._top.named("scaling"))
        features = self._top.features(self._graph.part_above(self._graph.input_name, scaled))
        kernel, bias = self.last_layer()
        classes = layers.Dense(len(bias), "softmax", name=self._top.named("probabilities"))
        network = keras.Model(pixels, classes(features), name=f"{self._core.name}_classifier")
        classes.set_weights([kernel / temperature, bias / temperature])
        network.save(path)

    def last_layer(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the kernel, shape (n_features, n_classes), and the bias, shape (n_classes,), of the last layer."""
        kernel, bias = (np.asarray(part, np.float64) for part in self._top.last.get_weights())
        return kernel, bias


def _from_pixels(core: keras.Model, output: Any, preprocess: str) -> keras.Model:
    below = keras.Model(core.inputs[0], output)
    pixels = keras.Input(core.input_shape[1:], dtype="uint8")
    return keras.Model(pixels, below(preprocess_pixels(ops.cast(pixels, "float32"), preprocess)))


def _scaled(pixels: Any, preprocess: str, name: str) -> Any:
    """Scale pixels with one layer; see :func:`featx.backbones.preprocess.preprocess_pixels`."""
    scaling = pixel_scaling(preprocess)
    mean, std = np.array(scaling.mean), np.array(scaling.std)
    if not scaling.bgr:
        return layers.Rescaling((1 / std).tolist(), (-mean / std).tolist(), name=name)(pixels)
    layer = layers.Conv2D(3, 1, name=name, trainable=False)  # also reorders RGB to BGR
    scaled = layer(pixels)
    layer.set_weights([np.diag(1 / std)[::-1].reshape(1, 1, 3, 3), -mean / std])
    return scaled


def _thaw(network: keras.Model) -> None:
    # Setting network.trainable = True has no effect on the layers if it is already True.
    for layer in network._flatten_layers():
        layer.trainable = True


class _Top:
    def __init__(
        self,
        prefix: str,
        pooling: str,
        weights: Sequence[NDArray[Any]],
        dropout: float,
        seed: int,
    ) -> None:
        self._prefix = prefix
        self._pooling = pooling
        self._hidden = [
            layers.Dense(weight.shape[1], "relu", name=f"{prefix}_dense{i}") for i, weight in enumerate(weights[:-1])
        ]
        self._dropouts = [
            layers.Dropout(dropout, seed=seed + i, name=f"{prefix}_dropout{i}")
            for i in range(max(len(self._hidden), 1))
        ]
        self.last = layers.Dense(weights[-1].shape[1], name=f"{prefix}_classes")

    def named(self, name: str) -> str:
        """Return a name that no layer of the backbone has."""
        return f"{self._prefix}_{name}"

    def features(self, x: Any) -> Any:
        x = _pooled(x, self._pooling, self._prefix)
        for i, dense in enumerate(self._hidden):
            x = dense(x)
            if i < len(self._hidden) - 1:
                x = self._dropouts[i](x)
        return x

    def logits(self, x: Any) -> Any:
        return self.last(self._dropouts[-1](self.features(x)))

    def set_weights(self, weights: Sequence[NDArray[Any]], biases: Sequence[NDArray[Any]]) -> None:
        for dense, weight, bias in zip([*self._hidden, self.last], weights, biases, strict=True):
            dense.set_weights([weight, bias])


def _pooled(x: Any, pooling: str, prefix: str) -> Any:
    if len(x.shape) == 2:
        return x
    if pooling == "flatten":
        return layers.Flatten(name=f"{prefix}_flatten")(x)
    kind = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
    return kind(name=f"{prefix}_{pooling}")(x)
