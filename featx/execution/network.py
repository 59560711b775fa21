"""A backbone on its way to an engine: built, or as a graph that is converted once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from featx.backbones import FILE_BACKBONE, build_network, engine_of
from featx.engines import Runner, convert
from featx.errors import EngineError
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import read_graph, read_quantized_graph, write_graph

Locate = Callable[[], Path | None]
"""Returns the weight file or local network of a feature spec; called only if the network must be built."""

_GRAPH_VERSION = 6
_GRAPH_FIELDS = ("backbone", "weights", "preprocess", "size", "layer", "pooling", "layout")
_GRAPH_LIBRARIES = ("keras", "tensorflow", "openvino")


@dataclass(frozen=True)
class LocatedNetwork:
    """The network of a feature spec, for :meth:`featx.engines.Engine.start`.

    Parameters
    ----------
    spec : FeatureSpec
    locate : callable
    runtime : Runtime
    """

    spec: FeatureSpec
    locate: Locate
    runtime: Runtime

    def file(self) -> Path | None:
        """Return the weight file or local network; None for random weights."""
        return self.locate()

    def build(self) -> Any:
        """Return the Keras or OpenVINO network, built now.

        Raises
        ------
        BackboneError, WeightsError
            It cannot be built.
        """
        with self.runtime.stage(f"building {network_name(self.spec)}"):
            return build_network(self.spec, self.file())

    def graph(self) -> bytes:
        """Return the graph: the kept one, or a new one, which is then kept.

        Raises
        ------
        EngineError
            It is a quantized one that is not in the cache: it cannot be made again.
        """
        spec, cache = self.spec, self.runtime.cache
        if spec.graph is not None:
            quantized = read_quantized_graph(cache, spec.graph)
            if quantized is None:
                raise EngineError(
                    f"the quantized graph {spec.graph} of these features is not in {cache} any more; "
                    "extract again with `recalibrate=True`"
                )
            return quantized
        key = graph_key(spec)
        graph = read_graph(cache, key)
        if graph is None:
            network = self.build()
            with self.runtime.stage(f"converting {network_name(spec)} to OpenVINO"):
                graph = convert(network)
            write_graph(cache, key, graph)
        return graph


def start(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> Runner:
    """Make the network of a feature spec run.

    Raises
    ------
    EngineError, BackboneError, WeightsError
        It cannot be executed here as the spec says, or cannot be built.
    """
    engine = engine_of(spec)
    with runtime.stage(f"starting {network_name(spec)} on {engine.name}"):
        return engine.start(LocatedNetwork(spec, locate, runtime), runtime.device, spec.precision)


def graph_of(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> bytes:
    """Return the graph of a feature spec; see :meth:`LocatedNetwork.graph`."""
    return LocatedNetwork(spec, locate, runtime).graph()


def network_name(spec: FeatureSpec) -> str:
    """Return what people call the network of a feature spec."""
    return "the network" if spec.backbone == FILE_BACKBONE else spec.backbone


def graph_key(spec: FeatureSpec) -> str:
    """Return a name that covers everything that defines a graph: what is in it, and what made it."""
    defining: dict[str, object] = {name: getattr(spec, name) for name in _GRAPH_FIELDS}
    defining |= {library: version(library) for library in _GRAPH_LIBRARIES} | {"version": _GRAPH_VERSION}
    return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()[:16]
