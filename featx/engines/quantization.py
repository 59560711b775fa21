"""int8: a graph quantized after training, with NNCF, on a few hundred pictures."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr, redirect_stdout

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
        As :func:`featx.engines.convert` returns it.
    pixels : ndarray of shape (n, size, size, 3), uint8
        Pictures whose activations set the ranges; those beyond a multiple of the batch are left out.

    Raises
    ------
    MissingExtraError
        NNCF is not installed.
    EngineError
        Too few pictures, or the network cannot be quantized.
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
        raise EngineError(f"int8 needs {OPENVINO_BATCH} usable pictures to set its ranges; there are {len(pixels)}")
    nncf.set_log_level(logging.ERROR)
    silence = io.StringIO()
    try:
        with redirect_stdout(silence), redirect_stderr(silence):  # its progress bars are not featx's
            quantized = nncf.quantize(unpack(ov.Core(), graph), nncf.Dataset(batches), subset_size=len(batches))
        return pack(quantized)
    except (RuntimeError, nncf.ValidationError) as error:
        raise EngineError(f"this network cannot be quantized: {str(error).splitlines()[0]}") from None
