"""How a backbone gets to run on this machine: engine, precision, graph, quantization."""

from featx.execution.bundle import bundled
from featx.execution.choice import reproducible
from featx.execution.network import Locate, graph_key, network_name, start
from featx.execution.probes import probe_features
from featx.execution.specification import choose_spec, find_network, locate

__all__ = [
    "Locate",
    "bundled",
    "choose_spec",
    "find_network",
    "graph_key",
    "locate",
    "network_name",
    "probe_features",
    "reproducible",
    "start",
]
