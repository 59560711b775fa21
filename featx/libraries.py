"""Import Keras (on TensorFlow) and OpenVINO on first use and without their messages."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featx.errors import EngineError

OPENVINO_BATCH = 4
"""Number of images per execution of an OpenVINO graph. The batch size is fixed, with padding, so that the features of
an image do not depend on the other images of the batch. The batch size is small, because several executions run in
parallel, one per CPU core."""


def keras_home() -> Path:
    """Return the folder that Keras uses, except for users without a home folder.

    For these users, Keras reads settings from ``/tmp``, where anybody can write, or from the working folder. To prevent
    this, the result is a path that cannot exist.
    """
    given = os.environ.get("KERAS_HOME")
    if given:
        return Path(given).absolute()
    home = os.path.expanduser("~")
    return Path(home if os.path.isabs(home) else os.devnull) / ".keras"


def start_keras() -> None:
    """Import Keras and TensorFlow (5 to 9 s); later calls return at once.

    Raises
    ------
    EngineError
        If Keras already runs in this process on another backend or in another number format.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ["KERAS_HOME"] = str(keras_home())
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _no_matplotlib_settings():
            with quiet_native_stderr():
                import tensorflow  # noqa: F401
            import keras
    import keras

    if keras.config.backend() != "tensorflow":
        raise EngineError(
            f"the Keras backend of this process is {keras.config.backend()}; expected tensorflow. "
            "Set KERAS_BACKEND=tensorflow before Keras is first imported"
        )
    if keras.config.floatx() != "float32" or keras.config.image_data_format() != "channels_last":
        raise EngineError(
            f"Keras is set to {keras.config.floatx()}, {keras.config.image_data_format()} in this process; "
            "expected float32, channels_last (change keras.json in Keras's folder)"
        )


@contextlib.contextmanager
def _no_matplotlib_settings() -> Iterator[None]:
    """Hide matplotlib from Keras if it would read settings from the working folder, or block on a pipe there."""
    if "matplotlib" in sys.modules or not os.path.lexists("matplotlibrc"):
        yield
        return
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["matplotlib"]


def start_openvino() -> Any:
    """Import OpenVINO (0.3 s) without telemetry, and return the module."""
    # OpenVINO uses its own stub if the telemetry package cannot be imported; a package already imported is kept.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def openvino_reason(error: Exception) -> str:
    """Return the line of an OpenVINO error that states the cause; other lines state where the error was detected."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    causes = [line.partition(" Please check")[0] for line in lines if not line.startswith(_CONTEXT)]
    if not causes:
        return lines[-1] if lines else type(error).__name__
    operation, with_message, _ = causes[0].partition(" with a message:")
    return f"{operation}: {causes[1]}" if with_message and len(causes) > 1 else operation


_CONTEXT = (
    *("Exception from", "Check '", "FrontEnd API failed", "Model wasn't fully converted", "Summary:"),
    *("Loading input model", "Converting input model", "While validating"),
)


@contextlib.contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Discard the output of native code to file descriptor 2, where some libraries write at any log level."""
    try:
        saved = os.dup(2)
    except OSError:  # the descriptor is not open, for example in a program without a terminal
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)
