"""The interface of an engine: its capabilities, and the start of a backbone."""

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
    """A backbone started on an engine.

    Attributes
    ----------
    name, precision : str
        As in the feature spec.
    device : str
        Device that runs the backbone: ``cpu`` or ``gpu:N``.
    n_features : int
        Number of features per image.
    producer : dict
        Libraries and CPU on which the exact bits of the features depend.
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
            RGB pixels; n may differ from batch to batch. An engine may read batches ahead.

        Yields
        ------
        ndarray of shape (n, n_features), float32
            Features of the images. They do not depend on the batch of an image or its position in the batch.
        """
        ...


class BackboneLoader(Protocol):
    """Loads a backbone in the form that an engine needs."""

    def file(self) -> Path | None:
        """Return the weights file or backbone file; None for random weights."""
        ...

    def build(self) -> Any:
        """Build the network, which maps uint8 pixels (n, size, size, 3) to float32 features (n, n_features)."""
        ...

    def graph(self) -> bytes:
        """Return the graph from :func:`featx.engines.convert`; a network is converted once, and the graph is cached."""
        ...


@dataclass(frozen=True)
class Engine(ABC):
    """Capabilities of one engine; a subclass implements its behaviour.

    Parameters
    ----------
    name : str
        As in the feature spec.
    devices : tuple of {"cpu", "gpu"}
    precisions : tuple of str
        Supported precisions, in addition to ``auto``.
    auto_precision : {"float32", "bfloat16"}
        Precision for ``auto``, if the device supports it and the features agree with those in float32.
    keeps_graph : bool
        Whether the engine runs a graph, which can be cached, quantized, and stored in a model.
    runs_onnx : bool
        Whether the engine runs ONNX files and networks built without Keras.
    casts_layers : bool
        Whether Keras layers must be built in the requested precision.
    gpu_library : str or None
        Module that the GPU support of the engine needs.
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
    def start(self, loader: BackboneLoader, device: str, precision: Precision) -> Runner:
        """Start a backbone.

        Parameters
        ----------
        loader : BackboneLoader
        device : str
            ``auto``, ``cpu``, ``gpu`` or ``gpu:N``.
        precision : str
            One of ``precisions``.

        Raises
        ------
        EngineError
            If there is no such device, or the device does not support the precision.
        """

    @abstractmethod
    def has_precision(self, precision: Precision) -> bool:
        """Return whether this machine supports a precision. May import the library of the engine."""

    @abstractmethod
    def sees_gpu(self) -> bool:
        """Return whether the library of the engine finds a GPU. May import the library."""

    def expects_gpu(self) -> bool:
        """Return whether a GPU and its library seem to be present. Imports nothing."""
        if self.gpu_library is None or not Path("/proc/driver/nvidia/version").exists():
            return False
        return find_spec(self.gpu_library.partition(".")[0]) is not None and find_spec(self.gpu_library) is not None

    def agreement_name(self, device: str, processor: str, precision: Precision) -> str:
        """Return a name for the conditions on which the agreement of a precision with float32 depends.

        The conditions are the engine, the device and the CPU; the graph is not part of the name.
        """
        place = "" if self.devices == ("cpu",) else f"{self.name} {device} "
        return f"{place}{processor} {precision}"
