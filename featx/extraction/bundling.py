"""A feature table whose recipe names the very graph that made it, so that a model can take the graph along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from featx.errors import EngineError
from featx.extraction.starting import graph_key
from featx.runtime import Runtime
from featx.store import quantized_name, read_graph
from featx.table import FeatureTable


def bundled(table: FeatureTable, runtime: Runtime) -> FeatureTable:
    """Return a table with its graph; a classifier fitted on it needs neither weight file nor network to predict.

    Raises
    ------
    EngineError
        The features were not made by the openvino engine, or their graph is not in the cache any more.
    """
    if table.graph is not None:
        return table
    if table.spec.engine != "openvino":
        raise EngineError(f"the {table.spec.engine} engine has no graph that a model could take along")
    graph = read_graph(runtime.cache, graph_key(table.spec))
    if graph is None:
        raise EngineError(f"the graph of these features is not in {runtime.cache} any more; extract them again")
    return replace(table, spec=replace(table.spec, graph=quantized_name(graph)), graph=np.frombuffer(graph, np.uint8))
