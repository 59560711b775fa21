"""How a backbone gets to run on this machine: engine, precision, graph, quantization."""

from featx.execution.bundle import with_bundled_graph
from featx.execution.choice import reproducible_spec
from featx.execution.network import Locate, graph_key, network_name, start
from featx.execution.probes import probe_features
from featx.execution.specification import choose_spec, find_network, locate

__all__ = [
    "Locate",
    "choose_spec",
    "find_network",
    "graph_key",
    "locate",
    "network_name",
    "probe_features",
    "reproducible_spec",
    "start",
    "with_bundled_graph",
]
