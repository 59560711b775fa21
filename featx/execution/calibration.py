"""Quantize a backbone to int8, once for each data set, with images of the data set."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from featx.agreement import cosines
from featx.engines import quantize, run_graph
from featx.errors import EngineError
from featx.execution.network import Locate, backbone_name, graph_key, graph_of
from featx.execution.probes import zero_non_finite
from featx.readers import Task, read_images
from featx.runtime import Runtime
from featx.source import ImageFile
from featx.spec import FeatureSpec
from featx.store import quantized_name, read_quantized_name, remember_quantized_name, write_graph

_IMAGES = 300
_MIN_AGREEMENT = 0.9
"""Minimum mean cosine between int8 and float32 features. A lower value indicates a defect, and int8 is refused."""


def quantized_graph_name(
    spec: FeatureSpec,
    dataset_id: str,
    images: Sequence[ImageFile],
    locate: Locate,
    runtime: Runtime,
    recalibrate: bool = False,
) -> str:
    """Return the name of the quantized graph of a data set, which becomes part of the feature spec.

    Parameters
    ----------
    spec : FeatureSpec
        The feature spec in float32.
    dataset_id : str
        Id of the data set; the graph is made once for each data set and kept in the cache.
    images : sequence of ImageFile
        Images of the data set. Up to 300 of them, drawn with a fixed seed, determine the ranges of the quantization.
    locate : callable
    runtime : Runtime
    recalibrate : bool
        Make the graph again from the current images.

    Raises
    ------
    EngineError, MissingExtraError
        If the backbone cannot be quantized on this machine.
    """
    key = graph_key(spec)
    known = None if recalibrate else read_quantized_name(runtime.cache, key, dataset_id)
    if known is not None:
        return known
    drawn = np.random.default_rng(0).permutation(len(images))
    with runtime.stage("reading images to calibrate int8"):
        pixels = _valid_pixels([images[i] for i in drawn.tolist()], spec, runtime)
    runtime.notice(f"int8: calibrating once on {len(pixels)} images of the data set")
    graph = graph_of(spec, locate, runtime)
    with runtime.stage(f"quantizing {backbone_name(spec)} to int8"):
        quantized = quantize(graph, pixels)
    with runtime.stage("comparing int8 with float32"):
        exact = zero_non_finite(run_graph(graph, "float32", pixels))
        approximate = zero_non_finite(run_graph(quantized, "int8", pixels))
    cosine = float(cosines(exact, approximate).mean())
    if cosine < _MIN_AGREEMENT:
        raise EngineError(
            f"int8 features of this backbone have a cosine of only {cosine:.3f} with float32 features (at least "
            f"{_MIN_AGREEMENT} is required); use `precision=auto`"
        )
    runtime.notice(f"int8: the mean cosine between int8 and float32 features is {cosine:.4f}")
    name = quantized_name(quantized)
    write_graph(runtime.cache, name, quantized)
    remember_quantized_name(runtime.cache, key, dataset_id, name)
    return name


def _valid_pixels(images: Sequence[ImageFile], spec: FeatureSpec, runtime: Runtime) -> NDArray[np.uint8]:
    """Return the pixels of the first valid images, at most 300."""
    with contextlib.closing(
        read_images(Task.for_spec(spec, runtime.max_pixels), images, runtime, once=False)
    ) as readings:
        valid = (reading.prepared.pixels for reading in readings if reading.prepared is not None)
        pixels = list(islice(valid, _IMAGES))
    return np.stack(pixels) if pixels else np.empty((0, spec.size, spec.size, 3), np.uint8)
