"""Graphs of the openvino engine: made from a Keras network, kept as bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.errors import ConversionError, EngineError
from featx.libraries import OPENVINO_BATCH, openvino_reason, start_openvino

if TYPE_CHECKING:
    import keras  # not when a kept graph is run


def convert_network(network: keras.Model) -> bytes:
    """Convert a Keras network.

    Parameters
    ----------
    network : keras.Model
        uint8 pixels (n, size, size, 3) to float32 features (n, feature_dim).

    Returns
    -------
    bytes
        Length of the OpenVINO IR's XML (8 bytes, little-endian), the XML, the weights in float32.

    Raises
    ------
    ConversionError
        OpenVINO cannot convert it.
    """
    import tensorflow as tf

    ov = start_openvino()
    signature = [tf.TensorSpec((OPENVINO_BATCH, *network.input_shape[1:]), tf.uint8)]
    function = tf.function(lambda pixels: network(pixels, training=False), input_signature=signature)
    traced = function.get_concrete_function()
    try:
        # Named, as each swish otherwise leaves an output of its own, and layers change their layout for it.
        model = ov.convert_model(traced, output=[traced.outputs[0].name])
    except (MemoryError, OSError):  # says nothing of the network
        raise
    except Exception as error:  # of OpenVINO's own many kinds, and what its Python frontend happens upon
        raise ConversionError(
            f"OpenVINO cannot convert this network ({openvino_reason(error)}); extract and fit with --engine "
            "tensorflow, which runs any"
        ) from None
    return pack(model)


def pack(model: Any) -> bytes:
    """Return an OpenVINO model as bytes."""
    with tempfile.TemporaryDirectory(prefix="featx-") as folder:
        xml = Path(folder) / "graph.xml"
        start_openvino().save_model(model, xml, compress_to_fp16=False)
        text, weights = xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
    return len(text).to_bytes(8, "little") + text + weights


def unpack(core: Any, graph: bytes) -> Any:
    """Return the OpenVINO model of some bytes.

    Raises
    ------
    EngineError
        They hold none.
    """
    length = int.from_bytes(graph[:8], "little")
    try:
        return core.read_model(graph[8 : 8 + length], graph[8 + length :])
    except RuntimeError as error:
        raise EngineError(f"the cached graph cannot be read: {openvino_reason(error)}") from None
