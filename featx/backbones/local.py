"""A local .keras or .h5 model as a backbone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras

from featx.errors import BackboneError
from featx.network_files import check_keras_file

SUFFIXES = (".keras", ".h5", ".hdf5")


def load_local(path: Path) -> keras.Model:
    """Load a Keras model file without running any code that it may carry.

    Raises
    ------
    BackboneError
        No Keras model, one with code in it (a Lambda layer) or with weights elsewhere, or one that does not map a
        square RGB picture to one output.
    """
    try:
        check_keras_file(path)
    except BackboneError as error:
        raise BackboneError(f"{path} cannot be used as a backbone: it {error}") from None
    except OSError as error:
        raise BackboneError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the optimizer and compilation, which are not used
            model = keras.saving.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, KeyError, OSError, ... for bad files
        raise BackboneError(f"{path} cannot be used as a backbone: {_first_line(error)}") from None
    if any(isinstance(layer, keras.layers.Lambda) for layer in model._flatten_layers()):
        raise BackboneError(f"{path} holds a Lambda layer, which is code; featx does not run code from files")
    return _checked(model, path)


def _checked(model: keras.Model, path: Path) -> keras.Model:
    if isinstance(model, keras.Sequential) and getattr(model, "inputs", None):
        model = keras.Model(model.inputs[0], model.outputs[0])  # the same layers, as a graph
    if len(getattr(model, "inputs", None) or ()) != 1 or len(model.outputs) != 1:
        raise BackboneError(f"{path} does not say what it takes, or has several; needed are one input and one output")
    shape: Any = model.inputs[0].shape
    if len(shape) != 4 or shape[-1] != 3:
        raise BackboneError(f"{path} takes {shape}; featx needs one input of (height, width, 3), channels last")
    if None not in shape[1:3] and shape[1] != shape[2]:
        raise BackboneError(f"{path} takes pictures of {shape[1]} x {shape[2]}; featx feeds square ones")
    return model


def declared_size(model: keras.Model) -> int | None:
    """Return the side of the input that the model declares, in pixels, or None."""
    height, width = model.inputs[0].shape[1:3]
    return height if height == width else None


def default_output(model: keras.Model) -> Any:
    """Return the tensor to take features from: what enters a final softmax or sigmoid layer, else the output."""
    layer, inputs = _made_by(model.outputs[0])
    if isinstance(layer, keras.layers.Softmax) or _activation(layer) in ("softmax", "sigmoid"):
        if not isinstance(layer, keras.layers.Dense):
            layer, inputs = _made_by(inputs[0])
        if isinstance(layer, keras.layers.Dense):
            return inputs[0]
    return model.outputs[0]


def _made_by(tensor: Any) -> tuple[Any, Any]:
    history = tensor._keras_history  # what Keras itself walks; a layer's own .input fails where it is used twice
    return history.operation, history.operation._inbound_nodes[history.node_index].input_tensors


def _activation(layer: Any) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "")


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    if "Lambda" in text or "unsafe" in text.lower():
        return "it holds a Lambda layer or other code, and featx does not run code from files"
    return text.splitlines()[0] if text else type(error).__name__
