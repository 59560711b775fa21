"""Import the libraries that run networks, late and quietly: Keras on TensorFlow, and OpenVINO."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featx.errors import EngineError

OPENVINO_BATCH = 4
"""Images per execution of an OpenVINO graph. Fixed and padded, so that an image's bits do not depend on its
neighbours; and small: several executions run side by side, one on each processor."""


def keras_home() -> Path:
    """Return Keras's own folder by its own rule, but for users without a home.

    Keras takes settings from ``/tmp`` for them, where anybody can write, or from the working folder; here they have a
    folder that cannot be.
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
        Keras already runs on another backend in this process, or in another number format.
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
            f"Keras runs on {keras.config.backend()} in this process; featx needs the tensorflow backend: "
            "set KERAS_BACKEND=tensorflow before Keras is first imported"
        )
    if keras.config.floatx() != "float32" or keras.config.image_data_format() != "channels_last":
        raise EngineError(
            f"Keras is set to {keras.config.floatx()}, {keras.config.image_data_format()} in this process; "
            "featx needs float32, channels_last (see keras.json in Keras's folder)"
        )


@contextlib.contextmanager
def _no_matplotlib_settings() -> Iterator[None]:
    """Let Keras do without matplotlib where that would take settings from the working folder, or hang on a pipe."""
    if "matplotlib" in sys.modules or not os.path.lexists("matplotlibrc"):
        yield
        return
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["matplotlib"]


def start_openvino() -> Any:
    """Import OpenVINO (0.3 s) with its telemetry off, and return it."""
    # Its own stand-in for telemetry takes over where that package cannot be imported; nobody else's copy is touched.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def openvino_reason(error: Exception) -> str:
    """Return the line of one of OpenVINO's errors that says what is wrong; the others say where it was noticed."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    told = [line.partition(" Please check")[0] for line in lines if not line.startswith(_NOTICED)]
    if not told:
        return lines[-1] if lines else type(error).__name__
    operation, with_message, _ = told[0].partition(" with a message:")
    return f"{operation}: {told[1]}" if with_message and len(told) > 1 else operation


_NOTICED = (
    *("Exception from", "Check '", "FrontEnd API failed", "Model wasn't fully converted", "Summary:"),
    *("Loading input model", "Converting input model", "While validating"),
)


@contextlib.contextmanager
def quiet_native_stderr() -> Iterator[None]:
    """Put aside what native code writes to file descriptor 2: some does so whatever the log level of its library."""
    try:
        saved = os.dup(2)
    except OSError:  # no such descriptor, as in a windowed program: nothing to keep quiet
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
