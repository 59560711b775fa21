"""Quantize a graph to int8 with the post-training quantization of NNCF, using a few hundred images."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.engines.graph import pack, unpack
from featx.errors import EngineError, MissingExtraError
from featx.libraries import OPENVINO_BATCH, start_openvino


def quantize_graph(graph: bytes, pixels: NDArray[np.uint8]) -> bytes:
    """Quantize weights and activations of a graph to 8 bits.

    Parameters
    ----------
    graph : bytes
        Graph from :func:`featx.engines.convert`.
    pixels : ndarray of shape (n, size, size, 3), uint8
        Images whose activations determine the ranges of the quantization. An incomplete last batch is not used.

    Raises
    ------
    MissingExtraError
        If NNCF is not installed.
    EngineError
        If there are too few images, or the network cannot be quantized.
    """
    ov = start_openvino()
    try:
        import nncf
    except ImportError:
        raise MissingExtraError('int8 needs NNCF: pip install "featx[int8]"') from None
    batches = [
        pixels[start : start + OPENVINO_BATCH] for start in range(0, len(pixels) - OPENVINO_BATCH + 1, OPENVINO_BATCH)
    ]
    if not batches:
        raise EngineError(
            f"int8 quantization needs at least {OPENVINO_BATCH} valid images; the data set has {len(pixels)}"
        )
    nncf.set_log_level(logging.ERROR)
    discarded = io.StringIO()
    try:
        with redirect_stdout(discarded), redirect_stderr(discarded):  # hides the progress bars of NNCF
            model = unpack(ov.Core(), graph)
            kind = nncf.ModelType.TRANSFORMER if has_attention(model) else None
            quantized = nncf.quantize(model, nncf.Dataset(batches), subset_size=len(batches), model_type=kind)
        return pack(quantized)
    except (RuntimeError, nncf.ValidationError) as error:
        raise EngineError(f"this backbone cannot be quantized: {str(error).splitlines()[0]}") from None


def has_attention(model: Any) -> bool:
    """Return whether an OpenVINO model is a transformer; NNCF treats activations of transformers differently.

    In attention, the output of a softmax enters a matrix product. The softmax of a classifier is the last
    operation, so its output enters no matrix product.
    """
    ops = model.get_ops()
    if any(op.get_type_name() == "ScaledDotProductAttention" for op in ops):
        return True
    queue = [op for op in ops if op.get_type_name() == "Softmax"]
    while queue:
        following = [inp.get_node() for output in queue.pop().outputs() for inp in output.get_target_inputs()]
        if any(op.get_type_name() in ("MatMul", "Einsum") for op in following):
            return True
        queue += [op for op in following if op.get_type_name() in ("Reshape", "Transpose", "Convert")]
    return False
