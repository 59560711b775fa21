"""How a backbone is executed: a batch of uint8 images in, float32 features out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.engines.engine import Engine, Network, Runner
from featx.engines.openvino import OPENVINO, OpenVINORunner
from featx.engines.processor import processor_kind, processor_name
from featx.engines.tensorflow import TENSORFLOW
from featx.errors import EngineError, as_usage
from featx.libraries import start_keras, start_openvino
from featx.spec import Precision

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (OPENVINO, TENSORFLOW)}
"""Every engine by its name; ``auto`` takes the first that has the device and the precision."""

__all__ = [
    "ENGINES",
    "Engine",
    "Network",
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
    """Return the record of an engine.

    Raises
    ------
    EngineError
        There is no such engine.
    """
    engine = ENGINES.get(name)
    if engine is None:
        raise as_usage(EngineError(f"no engine is named {name!r}; allowed are auto, {', '.join(ENGINES)}"))
    return engine


def resolve_engine(engine: str = "auto", precision: str = "auto", device: str = "auto", onnx: bool = False) -> Engine:
    """Choose the engine for this machine, and check that it has the device and the precision.

    Parameters
    ----------
    engine : str
        A name, or ``auto``: an engine with a GPU where one is asked for, or where there seems to be one and the
        engine has the precision; else the first that runs on the CPU.
    precision, device : str
        As in :func:`featx.extract`.
    onnx : bool
        Whether the backbone is an ONNX network.

    Raises
    ------
    EngineError
        What is asked for is not there.
    """
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", device):
        raise as_usage(EngineError(f"no device is named {device!r}; allowed are auto, cpu, gpu and gpu:N"))
    chosen = _preferred(precision, device, onnx) if engine == "auto" else find_engine(engine)
    if onnx and not chosen.runs_onnx:
        able = ", ".join(one.name for one in ENGINES.values() if one.runs_onnx)
        raise EngineError(f"the {chosen.name} engine does not run ONNX networks; {able} does: leave `engine` out")
    if device.startswith("gpu") and "gpu" not in chosen.devices:
        able = " or ".join(f"`engine={one.name}`" for one in ENGINES.values() if "gpu" in one.devices)
        raise EngineError(f"the {chosen.name} engine runs on the CPU; for a GPU, extract and fit with {able}")
    allowed = ("auto", *chosen.precisions)
    if precision not in allowed:
        raise as_usage(
            EngineError(f"the {chosen.name} engine has no precision {precision!r}; allowed are {', '.join(allowed)}")
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
    """Turn a Keras or OpenVINO network into a graph, for engines that run one; see :mod:`featx.engines.graph`.

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


def run_graph(graph: bytes, precision: Precision, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the features of some images by a graph, shape (n, n_features)."""
    return next(iter(OpenVINORunner(graph, precision).run([pixels])))


@contextlib.contextmanager
def on_device(device: str) -> Iterator[None]:
    """Let what Keras computes meanwhile run on a device: ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.

    Raises
    ------
    EngineError
        There is no such device.
    """
    start_keras()
    import tensorflow as tf

    from featx.engines.tensorflow_runner import find_device

    with tf.device(f"/{find_device(device)}"):
        yield
