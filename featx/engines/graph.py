"""Convert networks to graphs of the openvino engine, stored as bytes."""

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
    import keras  # not needed to run a cached graph


_IN_MEMORY = [place for place in ("/dev/shm",) if Path(place).is_dir()]


def convert_network(network: keras.Model) -> bytes:
    """Convert a Keras network to a graph.

    Parameters
    ----------
    network : keras.Model
        Maps uint8 pixels (n, size, size, 3) to float32 features (n, n_features).

    Returns
    -------
    bytes
        Length of the XML of the OpenVINO IR (8 bytes, little-endian), the XML, and the weights in float32.

    Raises
    ------
    ConversionError
        If OpenVINO cannot convert the network.
    """
    import tensorflow as tf

    ov = start_openvino()
    signature = [tf.TensorSpec((OPENVINO_BATCH, *network.input_shape[1:]), tf.uint8)]
    function = tf.function(lambda pixels: network(pixels, training=False), input_signature=signature)
    traced = function.get_concrete_function()
    try:
        # The output is given by name. Otherwise each swish adds an output, for which layers change their layout.
        model = ov.convert_model(traced, output=[traced.outputs[0].name])
    except (MemoryError, OSError):  # not caused by the network
        raise
    except Exception as error:  # OpenVINO and its Python frontend raise many types
        raise ConversionError(
            f"OpenVINO cannot convert this backbone ({openvino_reason(error)}); extract and fit with "
            "`engine=tensorflow`, which runs every Keras network"
        ) from None
    return pack(model)


def pack(model: Any) -> bytes:
    """Return an OpenVINO model as bytes.

    Raises
    ------
    EngineError
        If temporary files cannot be written, for example because the disk is full. OpenVINO cannot write a model to
        memory.
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
        f"the converted network cannot be written to the folder for temporary files ({reasons[0]}); free some space "
        "there, or set TMPDIR to another folder"
    )


def unpack(core: Any, graph: bytes) -> Any:
    """Return the OpenVINO model stored in bytes.

    Raises
    ------
    EngineError
        If the bytes do not contain a model, or the shapes of the model are not fixed or too large.
    """
    try:
        model = _read_model(core, *split_graph(graph))
        if _is_fixed(graph):  # otherwise this process made the graph; graphs from files were checked on reading
            _check_shapes(model)
        return model
    except EngineError as error:
        raise EngineError(f"the cached graph cannot be run: {error}") from None
    except RuntimeError as error:
        raise EngineError(f"the cached graph cannot be read: {openvino_reason(error)}") from None


def _read_model(core: Any, text: bytes, weights: bytes) -> Any:
    # If the current folder has a file named .bin, OpenVINO uses this file instead of the weights that are passed.
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
    """Check the shapes that OpenVINO infers, which may differ from the shapes in a file."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise EngineError("it has several inputs or outputs")
    outputs = [output for operation in model.get_ops() for output in operation.outputs()]
    if any(output.partial_shape.is_dynamic for output in outputs):
        raise EngineError("its shapes are not fixed")
    n, *sides = model.input(0).shape
    limit = most_numbers(math.prod((n, *sides[:2])))
    largest = max(math.prod(output.shape) for output in outputs)
    if largest > limit:
        raise EngineError(f"it has a tensor of {largest:,} numbers; at most {limit:,} are allowed")
