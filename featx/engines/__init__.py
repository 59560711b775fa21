"""How a backbone is executed: a batch of uint8 pictures in, float32 features out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.engines.processor import processor_kind, processor_name
from featx.errors import EngineError, as_usage
from featx.libraries import start_keras, start_openvino

ENGINES = ("openvino", "tensorflow")
"""Engines that can be asked for by name."""

_PRECISIONS = {"openvino": ("auto", "float32", "bfloat16", "int8"), "tensorflow": ("auto", "float32", "bfloat16")}
"""Number formats that each engine can be asked for."""

__all__ = [
    "ENGINES",
    "Engine",
    "convert",
    "has_bfloat16",
    "on_device",
    "processor_kind",
    "processor_name",
    "quantize",
    "resolve_engine",
    "sees_gpu",
    "start_openvino_engine",
    "start_tensorflow_engine",
]


class Engine(Protocol):
    """A network that runs.

    Attributes
    ----------
    name, precision : str
        As in the feature recipe.
    device : str
        What it runs on: ``cpu`` or ``gpu:N``.
    feature_dim : int
        Numbers per picture.
    producer : dict
        Libraries and processor, to tell whose bits these are.
    """

    name: str
    precision: str
    device: str
    feature_dim: int
    producer: dict[str, str]

    def run(self, batches: Iterable[NDArray[np.uint8]]) -> Generator[NDArray[np.float32], None, None]:
        """Compute features, batch by batch, in order.

        Parameters
        ----------
        batches : iterable of ndarray of shape (n, size, size, 3), uint8
            RGB; n may differ from batch to batch. An engine may read ahead.

        Yields
        ------
        ndarray of shape (n, feature_dim), float32
            A picture's features do not depend on its batch or its place in it.
        """
        ...


def resolve_engine(engine: str = "auto", precision: str = "auto", device: str = "auto") -> str:
    """Choose the engine for this machine, and check that it has the precision.

    Returns
    -------
    str
        ``auto`` becomes tensorflow where a GPU is asked for, or where there seems to be one and the precision is one
        that it has.

    Raises
    ------
    EngineError
        Asked for something that is not there.
    """
    if engine not in ("auto", *ENGINES):
        raise as_usage(EngineError(f"no engine is named {engine!r}; allowed are auto, {', '.join(ENGINES)}"))
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", device):
        raise as_usage(EngineError(f"no device is named {device!r}; allowed are auto, cpu, gpu and gpu:N"))
    on_gpu = device.startswith("gpu")
    if engine == "auto":
        possible = device == "auto" and precision in _PRECISIONS["tensorflow"]
        engine = "tensorflow" if on_gpu or (possible and _has_nvidia_gpu()) else "openvino"
    if engine == "openvino" and on_gpu:
        raise EngineError(
            "the openvino engine runs on the processor; for a GPU, extract and fit with --engine tensorflow"
        )
    allowed = _PRECISIONS[engine]
    if precision not in allowed:
        raise as_usage(
            EngineError(f"the {engine} engine has no precision {precision!r}; allowed are {', '.join(allowed)}")
        )
    return engine


def _has_nvidia_gpu() -> bool:
    """Tell whether there is a driver and TensorFlow's libraries for it, without importing anything."""
    if not Path("/proc/driver/nvidia/version").exists() or find_spec("nvidia") is None:
        return False
    return find_spec("nvidia.cudnn") is not None


def sees_gpu() -> bool:
    """Tell whether TensorFlow sees a GPU. Imports it."""
    start_keras()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def has_bfloat16() -> bool:
    """Tell whether this processor computes in bfloat16 itself. Imports OpenVINO."""
    capabilities = start_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in capabilities


def convert(network: Any) -> bytes:
    """Turn a Keras or OpenVINO network into a graph for the openvino engine; see :mod:`featx.engines.graph`.

    Raises
    ------
    ConversionError
        OpenVINO cannot convert it.
    """
    from featx.engines.graph import convert_network, pack

    return pack(network) if isinstance(network, start_openvino().Model) else convert_network(network)


def quantize(graph: bytes, pixels: NDArray[np.uint8]) -> bytes:
    """Quantize a graph to int8; see :func:`featx.engines.quantization.quantize_graph`."""
    from featx.engines.quantization import quantize_graph

    return quantize_graph(graph, pixels)


def start_openvino_engine(graph: bytes, precision: str) -> Engine:
    """Make a graph run on the processor.

    Parameters
    ----------
    graph : bytes
        What :func:`convert`, or for int8 :func:`quantize`, returned.
    precision : {"float32", "bfloat16", "int8"}

    Raises
    ------
    EngineError
        This processor does not compute in that precision.
    """
    from featx.engines.openvino import OpenVINOEngine

    return OpenVINOEngine(graph, precision)


def start_tensorflow_engine(network: Any, device: str = "auto", precision: str = "float32") -> Engine:
    """Make a Keras network run in TensorFlow.

    Parameters
    ----------
    network : keras.Model
        uint8 pixels to float32 features.
    device : str
        ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
    precision : {"float32", "bfloat16"}
        What the network was built to compute in.

    Raises
    ------
    EngineError
        There is no such device.
    """
    from featx.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(network, device, precision)


@contextlib.contextmanager
def on_device(device: str) -> Iterator[None]:
    """Let what TensorFlow is asked for meanwhile run on a device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.

    Raises
    ------
    EngineError
        There is no such device.
    """
    start_keras()
    import tensorflow as tf

    from featx.engines.tensorflow import find_device

    with tf.device(f"/{find_device(device)}"):
        yield
