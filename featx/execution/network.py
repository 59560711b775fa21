"""Load a backbone for an engine: as a built network, or as a graph that is converted once and cached."""

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
"""Function that returns the weights file or backbone file; called only if the network must be built."""

_GRAPH_VERSION = 6
_GRAPH_FIELDS = ("backbone", "weights", "preprocess", "size", "layer", "pooling", "layout")
_GRAPH_LIBRARIES = ("keras", "tensorflow", "openvino")


@dataclass(frozen=True)
class LocatedBackbone:
    """The backbone of a feature spec, for :meth:`featx.engines.Engine.start`.

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
        """Return the weights file or backbone file; None for random weights."""
        return self.locate()

    def build(self) -> Any:
        """Build the backbone and return it as a Keras or OpenVINO network.

        Raises
        ------
        BackboneError, WeightsError
            If the backbone cannot be built.
        """
        with self.runtime.stage(f"building {backbone_name(self.spec)}"):
            return build_network(self.spec, self.file())

    def graph(self) -> bytes:
        """Return the graph from the cache; if it is missing, convert the backbone and cache the graph.

        Raises
        ------
        EngineError
            If the graph is quantized and no longer in the cache; such a graph cannot be made from the backbone alone.
        """
        spec, cache = self.spec, self.runtime.cache
        if spec.graph is not None:
            quantized = read_quantized_graph(cache, spec.graph)
            if quantized is None:
                raise EngineError(
                    f"the quantized graph {spec.graph} of these features is no longer in {cache}; "
                    "extract again with `recalibrate=True`"
                )
            return quantized
        key = graph_key(spec)
        graph = read_graph(cache, key)
        if graph is None:
            network = self.build()
            with self.runtime.stage(f"converting {backbone_name(spec)} to OpenVINO"):
                graph = convert(network)
            write_graph(cache, key, graph)
        return graph


def start(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> Runner:
    """Start the backbone of a feature spec.

    Raises
    ------
    EngineError, BackboneError, WeightsError
        If the backbone cannot be built, or this machine cannot execute it as the feature spec requires.
    """
    engine = engine_of(spec)
    with runtime.stage(f"starting {backbone_name(spec)} on {engine.name}"):
        return engine.start(LocatedBackbone(spec, locate, runtime), runtime.device, spec.precision)


def graph_of(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> bytes:
    """Return the graph of a feature spec; see :meth:`LocatedBackbone.graph`."""
    return LocatedBackbone(spec, locate, runtime).graph()


def backbone_name(spec: FeatureSpec) -> str:
    """Return the name of the backbone of a feature spec, for messages."""
    return "the local backbone" if spec.backbone == FILE_BACKBONE else spec.backbone


def graph_key(spec: FeatureSpec) -> str:
    """Return a digest of the values that define a graph: fields of the feature spec and library versions."""
    defining: dict[str, object] = {name: getattr(spec, name) for name in _GRAPH_FIELDS}
    defining |= {library: version(library) for library in _GRAPH_LIBRARIES} | {"version": _GRAPH_VERSION}
    return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()[:16]
