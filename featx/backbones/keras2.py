"""Convert configurations of Keras 2 to equivalent configurations that Keras 3 accepts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from keras.src.legacy.saving import legacy_h5_format
from keras.src.saving import saving_lib

_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
"""Arguments that separable convolutions inherit from other convolutions but do not use."""

_LEGACY: dict[str, dict[str, Any]] = {
    "DepthwiseConv2D": {"groups": 1},
    "DepthwiseConv1D": {"groups": 1},
    "Conv2DTranspose": {"groups": 1},
    "Conv1DTranspose": {"groups": 1},
    "Conv3DTranspose": {"groups": 1},
    "SeparableConv2D": {"groups": 1},
    "SeparableConv1D": {"groups": 1},
}
"""Arguments that Keras 3 does not accept, with the value that has no effect."""

_KERAS2_MODULES = ("keras.src.engine", "keras.engine", "tf_keras")
_FUNCTIONAL = {"module": "keras.src.models.functional", "registered_name": "Functional"}


@contextlib.contextmanager
def reading_keras2() -> Iterator[None]:
    """Let Keras read configurations of Keras 2 within the context; see :func:`modernized`."""
    from_h5, from_zip = legacy_h5_format.saving_utils.model_from_config, saving_lib.deserialize_keras_object

    def from_config(config: Any, *args: Any, **options: Any) -> Any:
        return from_h5(modernized(config), *args, **options)

    def deserialize(config: Any, *args: Any, **options: Any) -> Any:
        return from_zip(modernized(config), *args, **options)

    legacy_h5_format.saving_utils.model_from_config = from_config
    saving_lib.deserialize_keras_object = deserialize
    try:
        yield
    finally:
        legacy_h5_format.saving_utils.model_from_config = from_h5
        saving_lib.deserialize_keras_object = from_zip


def modernized(config: Any) -> Any:
    """Return a configuration in the form of Keras 3; a configuration in this form is returned unchanged.

    The conversion makes these changes:

    - Legacy arguments with their default value, and arguments that never had an effect, are removed.
    - The axis of a batch normalisation becomes a number.
    - The input shape of a first layer loses its batch dimension.
    - A functional model gets the class name of Keras 3.
    - A single input or output of a functional model is no longer a list.
    - A slash in the name of a layer becomes an underscore.
    """
    names = {name: name.replace("/", "_") for name in _layer_names(config) if "/" in name}
    return _modernized(config, names)


def _layer_names(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _layer_names(part)
    elif isinstance(value, dict):
        if (
            "class_name" in value
            and isinstance(value.get("config"), dict)
            and isinstance(value["config"].get("name"), str)
        ):
            yield value["config"]["name"]
        for part in value.values():
            yield from _layer_names(part)


def _modernized(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, list):
        return [_modernized(part, names) for part in value]
    if not isinstance(value, dict):
        return value
    made = {key: _modernized(part, names) for key, part in value.items()}
    if isinstance(made.get("class_name"), str) and isinstance(made.get("config"), dict):
        made["config"] = _layer_config(made["class_name"], made["config"])
        module = made.get("module")
        if made["class_name"] in ("Functional", "Model") and str(module or "keras.engine").startswith(_KERAS2_MODULES):
            made["config"] = _functional_config(made["config"])
            if module is not None:
                made |= _FUNCTIONAL
    return made


def _layer_config(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    legacy = _LEGACY.get(kind, {})
    unused = _KERNEL if kind.startswith("Separable") else ()
    made = {k: v for k, v in config.items() if k not in unused and not (k in legacy and v == legacy[k])}
    axis, shape = made.get("axis"), made.get("batch_input_shape")
    if kind == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        made["axis"] = axis[0]
    if kind != "InputLayer" and isinstance(shape, list):
        del made["batch_input_shape"]
        made["input_shape"] = shape[1:]
    return made


def _functional_config(config: dict[str, Any]) -> dict[str, Any]:
    """Replace a list of a single input or output by the tensor itself; in Keras 2, both are equivalent."""
    ends = {key: config[key] for key in ("input_layers", "output_layers") if isinstance(config.get(key), list)}
    return config | {key: end[0] for key, end in ends.items() if len(end) == 1 and isinstance(end[0], list)}
