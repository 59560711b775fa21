"""How a backbone is executed: a batch of uint8 pictures in, float32 features out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.errors import EngineError

ENGINES = ("tensorflow",)
"""Engines that can be asked for by name."""


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

    def run(self, batches: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
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


def resolve_engine(engine: str = "auto", precision: str = "auto") -> tuple[str, str]:
    """Choose engine and precision on this machine; both become part of the feature recipe.

    Raises
    ------
    EngineError
        Asked for something that is not there.
    """
    if engine not in ("auto", *ENGINES):
        raise EngineError(f"no engine is named {engine!r}; allowed are auto, {', '.join(ENGINES)}")
    if precision not in ("auto", "float32"):
        raise EngineError(f"the tensorflow engine computes in float32, not {precision!r}; allowed are auto, float32")
    return "tensorflow", "float32"


def start_engine(name: str, network: Any) -> Engine:
    """Make a built network run.

    Parameters
    ----------
    name : str
        One of :data:`ENGINES`.
    network : keras.Model
        uint8 pixels to float32 features.
    """
    if name not in ENGINES:
        raise EngineError(f"this featx has no engine {name!r}; it has {', '.join(ENGINES)}")
    from featx.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(network)
