"""Graphs of the openvino engine: made from a Keras network, kept as bytes."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.errors import ConversionError, EngineError
from featx.files import temporary_folder
from featx.libraries import OPENVINO_BATCH, openvino_reason, start_openvino
from featx.network_files import check_graph, most_numbers, split_graph

if TYPE_CHECKING:
    import keras  # not when a kept graph is run


_IN_MEMORY = [place for place in ("/dev/shm",) if Path(place).is_dir()]


def convert_network(network: keras.Model) -> bytes:
    """Convert a Keras network.

    Parameters
    ----------
    network : keras.Model
        uint8 pixels (n, size, size, 3) to float32 features (n, n_features).

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
            f"OpenVINO cannot convert this network ({openvino_reason(error)}); extract and fit with "
            "`engine=tensorflow`, which runs any"
        ) from None
    return pack(model)


def pack(model: Any) -> bytes:
    """Return an OpenVINO model as bytes.

    Raises
    ------
    EngineError
        There is no room for its files, which OpenVINO cannot write to memory alone.
    """
    reasons = []
    for place in (None, *_IN_MEMORY):
        try:
            with temporary_folder(place) as folder:
                xml = folder / "graph.xml"
                start_openvino().save_model(model, xml, compress_to_fp16=False)
                text, weights = xml.read_bytes(), xml.with_suffix(".bin").read_bytes()
            return len(text).to_bytes(8, "little") + text + weights
        except (OSError, RuntimeError) as error:
            reasons.append(error)
    raise EngineError(
        f"the converted network cannot be written into the folder for temporary files ({reasons[0]}): make room there, "
        "or set TMPDIR to another folder"
    )


def unpack(core: Any, graph: bytes) -> Any:
    """Return the OpenVINO model of some bytes.

    Raises
    ------
    EngineError
        They hold none, or one that is not for images of one size.
    """
    try:
        model = _read_model(core, *split_graph(graph))
        if _is_fixed(graph):  # else it was made a moment ago: what comes from a file was checked there
            _check_shapes(model)
        return model
    except EngineError as error:
        raise EngineError(f"the cached graph cannot be run: {error}") from None
    except RuntimeError as error:
        raise EngineError(f"the cached graph cannot be read: {openvino_reason(error)}") from None


def _read_model(core: Any, text: bytes, weights: bytes) -> Any:
    # OpenVINO takes the weights from a file .bin of the working folder, if there is one, instead of those it is given.
    if not os.path.lexists(".bin"):
        return core.read_model(text, weights)
    with temporary_folder() as folder:
        xml = folder / "graph.xml"
        xml.write_bytes(text)
        xml.with_suffix(".bin").write_bytes(weights)
        return core.read_model(xml)


def _is_fixed(graph: bytes) -> bool:
    try:
        check_graph(graph)
    except EngineError:
        return False
    return True


def _check_shapes(model: Any) -> None:
    """Make sure of the shapes as OpenVINO infers them: those in a file may be others."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise EngineError("it has several inputs or outputs")
    outputs = [output for operation in model.get_ops() for output in operation.outputs()]
    if any(output.partial_shape.is_dynamic for output in outputs):
        raise EngineError("its shapes are not fixed")
    n, *sides = model.input(0).shape
    most = most_numbers(math.prod((n, *sides[:2])))
    largest = max(math.prod(output.shape) for output in outputs)
    if largest > most:
        raise EngineError(f"it works on {largest:,} numbers at once; {most:,} are the most")
