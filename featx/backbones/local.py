"""A local .keras or .h5 model as a backbone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras

from featx.errors import BackboneError

SUFFIXES = (".keras", ".h5", ".hdf5")


def load_local(path: Path) -> keras.Model:
    """Load a Keras model file without running any code that it may carry.

    Raises
    ------
    BackboneError
        No Keras model, one with code in it (a Lambda layer), or one that does not map a square RGB picture to
        one output.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the optimizer and compilation, which are not used
            model = keras.saving.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, KeyError, OSError, ... for bad files
        raise BackboneError(f"{path} cannot be used as a backbone: {_first_line(error)}") from None
    if any(isinstance(layer, keras.layers.Lambda) for layer in model._flatten_layers()):
        raise BackboneError(f"{path} holds a Lambda layer, which is code; featx does not run code from files")
    _check_input(model, path)
    return model


def _check_input(model: keras.Model, path: Path) -> None:
    shape: Any = model.input_shape
    single = isinstance(shape, tuple) and isinstance(model.output_shape, tuple)
    if not single or len(shape) != 4 or shape[-1] not in (3, None):
        raise BackboneError(
            f"{path} takes {shape}; featx needs one input of (height, width, 3), channels last, and one output"
        )
    if None not in shape[1:3] and shape[1] != shape[2]:
        raise BackboneError(f"{path} takes pictures of {shape[1]} x {shape[2]}; featx feeds square ones")


def declared_size(model: keras.Model) -> int | None:
    """Return the side of the input that the model declares, in pixels, or None."""
    height, width = model.input_shape[1:3]
    return height if height == width else None


def default_output(model: keras.Model) -> Any:
    """Return the tensor to take features from: what enters a final softmax or sigmoid layer, else the output."""
    layer = _last_layer(model)
    if isinstance(layer, keras.layers.Softmax) or _activation(layer) in ("softmax", "sigmoid"):
        if isinstance(layer, keras.layers.Dense):
            return layer.input
        before = _producer(model, layer)
        if isinstance(before, keras.layers.Dense):
            return before.input
    return model.output


def _last_layer(model: keras.Model) -> keras.Layer:
    return _by_output(model, model.output) or model.layers[-1]


def _producer(model: keras.Model, layer: keras.Layer) -> keras.Layer | None:
    return _by_output(model, layer.input)


def _by_output(model: keras.Model, tensor: Any) -> keras.Layer | None:
    return next((layer for layer in model.layers if layer.output is tensor), None)


def _activation(layer: keras.Layer) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "")


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    if "Lambda" in text or "unsafe" in text.lower():
        return "it holds a Lambda layer or other code, and featx does not run code from files"
    return text.splitlines()[0] if text else type(error).__name__
