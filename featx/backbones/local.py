"""Load a local .keras or .h5 file as a backbone."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import keras

from featx.backbones.keras2 import reading_keras2
from featx.errors import BackboneError
from featx.network_files import check_keras_file

SUFFIXES = (".keras", ".h5", ".hdf5")


def load_local(path: Path) -> keras.Model:
    """Load a Keras file without running code that it may contain.

    Raises
    ------
    BackboneError
        If the file is not a Keras model, contains code (a Lambda layer), keeps weights in another file, or does not
        map a square RGB image to one output.
    """
    try:
        check_keras_file(path)
    except BackboneError as error:
        raise BackboneError(f"{path} cannot be used as a backbone: it {error}") from None
    except OSError as error:
        raise BackboneError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        with warnings.catch_warnings(), reading_keras2():
            warnings.simplefilter("ignore")  # about optimizer and compilation, which featx does not use
            model = keras.saving.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises ValueError, TypeError, KeyError, OSError, ... for bad files
        raise BackboneError(f"{path} cannot be used as a backbone: {_reason(error)}") from None
    if any(isinstance(layer, keras.layers.Lambda) for layer in model._flatten_layers()):
        raise BackboneError(f"{path} holds a Lambda layer, which is code; featx does not run code from files")
    return _checked(model, path)


def _checked(model: keras.Model, path: Path) -> keras.Model:
    if isinstance(model, keras.Sequential) and getattr(model, "inputs", None):
        model = keras.Model(model.inputs[0], model.outputs[0])  # the same layers as a functional model
    if len(getattr(model, "inputs", None) or ()) != 1 or len(model.outputs) != 1:
        raise BackboneError(
            f"{path} has no input of known shape, or has several inputs or outputs; expected one input and one output"
        )
    shape: Any = model.inputs[0].shape
    if len(shape) != 4 or shape[-1] != 3:
        raise BackboneError(f"{path} has an input of shape {shape}; expected (None, height, width, 3), channels last")
    if None not in shape[1:3] and shape[1] != shape[2]:
        raise BackboneError(f"{path} accepts images of {shape[1]} x {shape[2]}; expected a square input")
    return model


def declared_size(model: keras.Model) -> int | None:
    """Return the side of the declared input in pixels, or None if the size is not fixed."""
    height, width = model.inputs[0].shape[1:3]
    return height if height == width else None


def _reason(error: Exception) -> str:
    """Return the reason why Keras cannot load a file, and a possible solution."""
    text = str(error).strip()
    unknown = _UNKNOWN.search(text)
    if unknown:
        return f"it holds {unknown[1].rpartition('>')[2]}, which Keras {keras.__version__} does not know; {_CONVERT}"
    if "Lambda" in text or "unsafe" in text.lower():
        return "it holds a Lambda layer or other code, and featx does not run code from files"
    if "No model config found" in text:
        return (
            'it holds only weights, without the architecture; save the whole model with model.save("net.keras"), or '
            "give the file as `weights` of a backbone of the table"
        )
    lines = text.rpartition("Exception encountered: ")[2].splitlines() or [type(error).__name__]
    return f"{lines[0]}; {_CONVERT}" if lines[0].startswith("Unrecognized keyword") else lines[0]


_UNKNOWN = re.compile(r"(?:Could not locate class|Unknown layer:) '([^']+)'")
_CONVERT = (
    "if Keras 2 saved it, export it to ONNX with Keras 2 or the package tf_keras "
    "(python -m tf2onnx.convert --keras FILE --output net.onnx), and use the ONNX file"
)
