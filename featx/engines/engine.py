"""The record of an engine: its capabilities, and how it starts a backbone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.spec import EngineName, Precision

DeviceKind = Literal["cpu", "gpu"]


class Runner(Protocol):
    """A backbone that an engine runs.

    Attributes
    ----------
    name, precision : str
        As in the feature spec.
    device : str
        What it runs on: ``cpu`` or ``gpu:N``.
    n_features : int
        Features per image.
    producer : dict
        Libraries and processor that make these bits.
    """

    name: EngineName
    precision: Precision
    device: str
    n_features: int
    producer: dict[str, str]

    def run(self, batches: Iterable[NDArray[np.uint8]]) -> Generator[NDArray[np.float32], None, None]:
        """Compute features, batch by batch, in order.

        Parameters
        ----------
        batches : iterable of ndarray of shape (n, size, size, 3), uint8
            RGB; n may differ from batch to batch. An engine may read ahead.

        Yields
        ------
        ndarray of shape (n, n_features), float32
            The features of an image do not depend on its batch or its place in it.
        """
        ...


class Network(Protocol):
    """A backbone that is about to run, in the form that an engine asks for."""

    def file(self) -> Path | None:
        """Return the weight file or local network; None for random weights."""
        ...

    def build(self) -> Any:
        """Return the Keras network: uint8 pixels (n, size, size, 3) to float32 features (n, n_features)."""
        ...

    def graph(self) -> bytes:
        """Return the graph of :func:`featx.engines.convert`, converted once and kept in the cache."""
        ...


@dataclass(frozen=True)
class Engine(ABC):
    """What one engine can do; what differs in behaviour is a subclass.

    Parameters
    ----------
    name : str
        As in the feature spec.
    devices : tuple of {"cpu", "gpu"}
    precisions : tuple of str
        Those that can be asked for, beside ``auto``.
    auto_precision : {"float32", "bfloat16"}
        What ``auto`` stands for, where the device has it and the backbone keeps its accuracy.
    keeps_graph : bool
        It runs a graph, which is cached, can be quantized, and can be taken along by a model.
    runs_onnx : bool
        It runs ONNX networks, and networks built without Keras.
    casts_layers : bool
        Keras layers are built in the precision that is asked for.
    gpu_library : str or None
        Module that its GPU support needs.
    """

    name: EngineName
    devices: tuple[DeviceKind, ...]
    precisions: tuple[Precision, ...]
    auto_precision: Precision
    keeps_graph: bool = False
    runs_onnx: bool = False
    casts_layers: bool = False
    gpu_library: str | None = None

    @abstractmethod
    def start(self, network: Network, device: str, precision: Precision) -> Runner:
        """Make a backbone run.

        Parameters
        ----------
        network : Network
        device : str
            ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
        precision : str
            One of ``precisions``.

        Raises
        ------
        EngineError
            There is no such device, or it does not compute in that precision.
        """

    @abstractmethod
    def has_precision(self, precision: Precision) -> bool:
        """Tell whether this machine computes in a precision. May import the engine's library."""

    @abstractmethod
    def sees_gpu(self) -> bool:
        """Tell whether the engine's library sees a GPU. May import it."""

    def expects_gpu(self) -> bool:
        """Tell whether there seem to be a GPU and the library for it. Imports nothing."""
        if self.gpu_library is None or not Path("/proc/driver/nvidia/version").exists():
            return False
        return find_spec(self.gpu_library.partition(".")[0]) is not None and find_spec(self.gpu_library) is not None

    def agreement_name(self, device: str, processor: str, precision: Precision) -> str:
        """Return all that the agreement of a precision with float32 depends on, beside the graph."""
        place = "" if self.devices == ("cpu",) else f"{self.name} {device} "
        return f"{place}{processor} {precision}"
