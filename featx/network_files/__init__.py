"""Check the content of network files before a library reads them."""

from featx.network_files.ir import check_graph, most_numbers, split_graph
from featx.network_files.keras_file import check_keras_file
from featx.network_files.onnx import check_onnx

__all__ = ["check_graph", "check_keras_file", "check_onnx", "most_numbers", "split_graph"]
