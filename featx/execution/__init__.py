"""Prepare a backbone to run on this machine: engine, precision, graph, quantization."""

from featx.execution.bundle import bundle_graph
from featx.execution.choice import reproducible_spec
from featx.execution.network import Locate, backbone_name, graph_key, start
from featx.execution.probes import probe_features
from featx.execution.specification import choose_spec, locate, resolve_backbone

__all__ = [
    "Locate",
    "backbone_name",
    "bundle_graph",
    "choose_spec",
    "graph_key",
    "locate",
    "probe_features",
    "reproducible_spec",
    "resolve_backbone",
    "start",
]
