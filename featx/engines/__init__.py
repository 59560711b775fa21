"""Engines that execute a backbone: a batch of uint8 images in, float32 features out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.engines.engine import BackboneLoader, Engine, Runner
from featx.engines.openvino import OPENVINO, OpenVINORunner
from featx.engines.processor import processor_kind, processor_name
from featx.engines.tensorflow import TENSORFLOW
from featx.errors import EngineError, as_usage
from featx.libraries import start_keras, start_openvino
from featx.spec import Precision

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (OPENVINO, TENSORFLOW)}
"""All engines by name; :func:`resolve_engine` describes the choice of ``auto``."""

__all__ = [
    "ENGINES",
    "BackboneLoader",
    "Engine",
    "Runner",
    "convert",
    "find_engine",
    "on_device",
    "processor_kind",
    "processor_name",
    "quantize",
    "resolve_engine",
    "run_graph",
]


def find_engine(name: str) -> Engine:
    """Return the engine with a name.

    Raises
    ------
    EngineError
        If there is no such engine.
    """
    engine = ENGINES.get(name)
    if engine is None:
        raise as_usage(EngineError(f"`engine={name}`: expected auto, {' or '.join(ENGINES)}"))
    return engine


def resolve_engine(engine: str = "auto", precision: str = "auto", device: str = "auto", onnx: bool = False) -> Engine:
    """Choose the engine for this machine, and check that it supports the device and the precision.

    Parameters
    ----------
    engine : str
        Name of an engine, or ``auto``. With ``auto``, an engine with GPU support is chosen if a GPU is requested, or if
        a GPU seems to be present and the engine supports the precision. Otherwise, the first engine is chosen, which
        runs on the CPU.
    precision, device : str
        As in :func:`featx.extract`.
    onnx : bool
        Whether the backbone is an ONNX file.

    Raises
    ------
    EngineError
        If the engine does not exist, or does not support the device, the precision or ONNX files.
    """
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", device):
        raise as_usage(EngineError(f"`device={device}`: expected auto, cpu, gpu or gpu:N"))
    chosen = _preferred(precision, device, onnx) if engine == "auto" else find_engine(engine)
    if onnx and not chosen.runs_onnx:
        able = ", ".join(other.name for other in ENGINES.values() if other.runs_onnx)
        raise EngineError(
            f"the {chosen.name} engine does not run ONNX files, but the {able} engine does; leave `engine` out"
        )
    if device.startswith("gpu") and "gpu" not in chosen.devices:
        able = " or ".join(f"`engine={other.name}`" for other in ENGINES.values() if "gpu" in other.devices)
        raise EngineError(f"the {chosen.name} engine runs on the CPU only; to use a GPU, extract and fit with {able}")
    allowed = ("auto", *chosen.precisions)
    if precision not in allowed:
        raise as_usage(
            EngineError(
                f"`precision={precision}`: the {chosen.name} engine supports {', '.join(allowed[:-1])} and "
                f"{allowed[-1]}"
            )
        )
    return chosen


def _preferred(precision: str, device: str, onnx: bool) -> Engine:
    able = [engine for engine in ENGINES.values() if engine.runs_onnx or not onnx]
    with_gpu = [engine for engine in able if "gpu" in engine.devices]
    if device.startswith("gpu"):
        return next(iter([*with_gpu, *able]))
    if device == "auto":
        for engine in with_gpu:
            if precision in ("auto", *engine.precisions) and engine.expects_gpu():
                return engine
    return able[0]


def convert(network: Any) -> bytes:
    """Convert a Keras or OpenVINO network to a graph, for engines that run graphs; see :mod:`featx.engines.graph`.

    Raises
    ------
    ConversionError
        If OpenVINO cannot convert the network.
    """
    from featx.engines.graph import convert_network, pack

    return pack(network) if isinstance(network, start_openvino().Model) else convert_network(network)


def quantize(graph: bytes, pixels: NDArray[np.uint8]) -> bytes:
    """Quantize a graph to int8; see :func:`featx.engines.quantization.quantize_graph`."""
    from featx.engines.quantization import quantize_graph

    return quantize_graph(graph, pixels)


def run_graph(graph: bytes, precision: Precision, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the features of images with a graph, shape (n, n_features)."""
    return next(iter(OpenVINORunner(graph, precision).run([pixels])))


@contextlib.contextmanager
def on_device(device: str) -> Iterator[None]:
    """Run the computations of Keras in this context on a device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.

    Raises
    ------
    EngineError
        If there is no such device.
    """
    start_keras()
    import tensorflow as tf

    from featx.engines.tensorflow_runner import find_device

    with tf.device(f"/{find_device(device)}"):
        yield
