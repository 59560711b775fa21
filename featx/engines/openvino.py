"""The OpenVINO engine: a graph with a small fixed batch size, executed in parallel on all CPU cores."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Generator, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.engines.engine import BackboneLoader, Engine, Runner
from featx.engines.graph import unpack
from featx.engines.processor import processor_kind, processor_name
from featx.errors import EngineError
from featx.libraries import OPENVINO_BATCH, openvino_reason, start_openvino
from featx.runtime import n_processors, require_threads, shares_processors
from featx.spec import EngineName, Precision

_HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
_FURTHER_THREADS = 8
"""Number of threads that OpenVINO may start in addition to one for each core; measured are 2."""

_TIMEOUT = 60.0
"""Time in seconds after which a missing batch is treated as an error."""


class OpenVINO(Engine):
    """Executes graphs on the CPU."""

    def start(self, loader: BackboneLoader, device: str, precision: Precision) -> Runner:
        """Compile a graph; see :meth:`featx.engines.Engine.start`."""
        return OpenVINORunner(loader.graph(), precision)

    def has_precision(self, precision: Precision) -> bool:
        """Return whether this CPU supports a precision in hardware. Imports OpenVINO."""
        return precision != "bfloat16" or has_bfloat16()

    def sees_gpu(self) -> bool:
        """Return False, because featx runs OpenVINO only on the CPU."""
        return False


OPENVINO = OpenVINO(
    name="openvino",
    devices=("cpu",),
    precisions=("float32", "bfloat16", "int8"),
    auto_precision="bfloat16",
    keeps_graph=True,
    runs_onnx=True,
)


def has_bfloat16() -> bool:
    """Return whether this CPU supports bfloat16 in hardware. Imports OpenVINO."""
    return "BF16" in _start_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _start_core() -> Any:
    """Return an OpenVINO core, after checking that OpenVINO can start its threads."""
    require_threads(n_processors() + _FURTHER_THREADS)
    return start_openvino().Core()


class OpenVINORunner:
    """Executes a graph on the CPU; see :class:`featx.engines.Runner`.

    Parameters
    ----------
    graph : bytes
        Graph from :func:`featx.engines.convert`, or for int8 from :func:`featx.engines.quantize`.
    precision : {"float32", "bfloat16", "int8"}

    Raises
    ------
    EngineError
        If this CPU does not support the precision, or OpenVINO cannot execute the graph.
    """

    name: EngineName = "openvino"
    device = "cpu"

    def __init__(self, graph: bytes, precision: Precision) -> None:
        ov = start_openvino()
        core = _start_core()
        hint = _HINTS[precision]
        if hint == "bf16" and not has_bfloat16():
            raise EngineError(f"this CPU ({processor_name()}) does not support bfloat16; use float32")
        threads = n_processors()
        # One thread per execution, so that the exact bits of features do not depend on the number of cores.
        how = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            # OpenVINO pins its threads to the first cores, so that several processes would compete for them.
            "ENABLE_CPU_PINNING": not shares_processors(),
        }
        model = unpack(core, graph)
        try:
            compiled = core.compile_model(model, "CPU", how)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO cannot execute this backbone: {openvino_reason(error)}") from None
        self.precision: Precision = precision
        self.n_features = int(compiled.output(0).shape[1])
        self.producer = {
            "engine": f"openvino {ov.__version__.split('-')[0]}",
            "numpy": np.__version__,
            "processor": processor_kind(),
        }
        self._ahead = threads + 1
        self._tensor = ov.Tensor
        self._queue: Any = ov.AsyncInferQueue(compiled, self._ahead)
        self._queue.set_callback(_store_features)

    def run(self, batches: Iterable[NDArray[np.uint8]]) -> Generator[NDArray[np.float32], None, None]:
        """Compute features, batch by batch, in order; see :meth:`featx.engines.Runner.run`."""
        pending: deque[_Batch] = deque()
        try:
            for pixels in batches:
                pending.append(self._start(pixels))
                # Wait for the oldest batch only while later batches keep all cores busy.
                if sum(batch.n_executions for batch in pending) - pending[0].n_executions >= self._ahead:
                    yield self._finish(pending.popleft())
            while pending:
                yield self._finish(pending.popleft())
        finally:
            # A callback during the shutdown of Python would abort the process. _finish has already raised the errors.
            with contextlib.suppress(RuntimeError):
                self._queue.wait_all()

    def _start(self, pixels: NDArray[np.uint8]) -> _Batch:
        batch = _Batch(len(pixels), self.n_features)
        for start in range(0, len(pixels), OPENVINO_BATCH):
            part = pixels[start : start + OPENVINO_BATCH]
            if len(part) < OPENVINO_BATCH:
                part = np.concatenate([part, np.zeros((OPENVINO_BATCH - len(part), *part.shape[1:]), np.uint8)])
            # The pixels are not copied, so the batch keeps them until it is complete.
            batch.inputs.append(self._tensor(np.ascontiguousarray(part), shared_memory=True))
            with _as_engine_error():
                self._queue.start_async(batch.inputs[-1], (batch, start))  # waits while all executions are in use
        return batch

    def _finish(self, batch: _Batch) -> NDArray[np.float32]:
        if not batch.complete.wait(_TIMEOUT):
            with _as_engine_error():
                self._queue.wait_all()  # raises the error of a failed execution
        if not batch.complete.is_set():
            raise EngineError("OpenVINO did not return the features of a batch; run the same command again")
        return batch.features


class _Batch:
    """Features of one batch, and whether they are complete."""

    def __init__(self, n: int, n_features: int) -> None:
        self.features = np.empty((n, n_features), np.float32)
        self.n_executions = -(-n // OPENVINO_BATCH)
        self.inputs: list[Any] = []
        self.complete = threading.Event()
        self._missing = n
        self._lock = threading.Lock()
        if n == 0:
            self.complete.set()

    def put(self, start: int, features: NDArray[np.float32]) -> None:
        """Store the features of the images from ``start`` on; the features of padding are ignored."""
        part = self.features[start : start + len(features)]
        part[:] = features[: len(part)]
        with self._lock:
            self._missing -= len(part)
            if not self._missing:
                self.complete.set()


@contextlib.contextmanager
def _as_engine_error() -> Generator[None, None, None]:
    try:
        yield
    except RuntimeError as error:
        raise EngineError(f"OpenVINO could not execute the backbone: {openvino_reason(error)}") from None


def _store_features(request: Any, position: tuple[_Batch, int]) -> None:
    batch, start = position
    batch.put(start, request.get_output_tensor(0).data)
