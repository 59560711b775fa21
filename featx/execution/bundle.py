"""Add the graph of the backbone to a feature table, so that a model can contain it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from featx.backbones import engine_of
from featx.errors import EngineError
from featx.execution.network import Locate, graph_of
from featx.runtime import Runtime
from featx.store import quantized_name
from featx.table import FeatureTable


def bundle_graph(table: FeatureTable, locate: Locate, runtime: Runtime) -> FeatureTable:
    """Return a feature table that contains the graph of the backbone.

    A classifier fitted on this table needs no weights file or backbone file to predict.

    Parameters
    ----------
    table : FeatureTable
    locate : callable
        Function that returns the weights file or backbone file; called only if the graph is not in the cache.
    runtime : Runtime

    Raises
    ------
    EngineError
        If the engine that computed the features has no graph.
    """
    if table.graph is not None:
        return table
    if not engine_of(table.spec).keeps_graph:
        raise EngineError(f"the {table.spec.engine} engine has no graph that a model can contain")
    graph = graph_of(table.spec, locate, runtime)
    return replace(table, spec=replace(table.spec, graph=quantized_name(graph)), graph=np.frombuffer(graph, np.uint8))
