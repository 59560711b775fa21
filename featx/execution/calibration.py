"""int8: quantize a network once for each data set, on the user's own images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from featx.agreement import cosines
from featx.engines import quantize, run_graph
from featx.errors import EngineError, ImageError
from featx.execution.network import Locate, graph_key, graph_of, network_name
from featx.execution.probes import zero_not_finite
from featx.readers import preparing_for
from featx.runtime import Runtime
from featx.source import ImageFile, read_image
from featx.spec import FeatureSpec
from featx.store import quantized_name, read_quantized_name, remember_quantized_name, write_graph

_IMAGES = 300
_MIN_AGREEMENT = 0.9
"""Mean cosine with float32, over images of the set, below which int8 is refused: something is broken."""


def quantized_graph_name(
    spec: FeatureSpec,
    dataset_id: str,
    images: Sequence[ImageFile],
    locate: Locate,
    runtime: Runtime,
    recalibrate: bool = False,
) -> str:
    """Return the name of the quantized graph of a data set, which becomes part of the recipe.

    Parameters
    ----------
    spec : FeatureSpec
        The recipe in float32.
    dataset_id : str
        Its graph is made once and then kept.
    images : sequence of ImageFile
        Up to 300 of them, drawn with a fixed seed, set the ranges.
    locate : callable
    runtime : Runtime
    recalibrate : bool
        Make the graph again, of the images as they are now.

    Raises
    ------
    EngineError, MissingExtraError
        The network cannot be quantized here.
    """
    key = graph_key(spec)
    known = None if recalibrate else read_quantized_name(runtime.cache, key, dataset_id)
    if known is not None:
        return known
    drawn = np.random.default_rng(0).permutation(len(images))
    with runtime.stage("reading images to calibrate int8"):
        pixels = _usable([images[i] for i in drawn.tolist()], spec, runtime)
    runtime.notice(f"int8: setting ranges on {len(pixels)} of these images, once")
    graph = graph_of(spec, locate, runtime)
    with runtime.stage(f"quantizing {network_name(spec)} to int8"):
        quantized = quantize(graph, pixels)
    with runtime.stage("comparing int8 with float32"):
        exact = zero_not_finite(run_graph(graph, "float32", pixels))
        rough = zero_not_finite(run_graph(quantized, "int8", pixels))
    cosine = float(cosines(exact, rough).mean())
    if cosine < _MIN_AGREEMENT:
        raise EngineError(f"in int8 this network agrees with float32 only to cosine {cosine:.3f}; use `precision=auto`")
    runtime.notice(f"int8: features agree with float32 to cosine {cosine:.4f}")
    name = quantized_name(quantized)
    write_graph(runtime.cache, name, quantized)
    remember_quantized_name(runtime.cache, key, dataset_id, name)
    return name


def _usable(images: Sequence[ImageFile], spec: FeatureSpec, runtime: Runtime) -> NDArray[np.uint8]:
    """Return the pixels of the first usable images, at most 300."""

    usable: list[NDArray[np.uint8]] = []
    with ThreadPoolExecutor(runtime.n_workers) as pool, preparing_for(spec, runtime) as prepare:

        def read(found: ImageFile) -> NDArray[np.uint8] | None:
            try:
                with found.open() as file:
                    return prepare(read_image(file, runtime.max_pixels)).pixels
            except (ImageError, OSError):  # the extraction lists it with its reason
                return None

        for start in range(0, len(images), _IMAGES):
            read_now = pool.map(read, images[start : start + _IMAGES])
            usable += [pixels for pixels in read_now if pixels is not None]
            if len(usable) >= _IMAGES:
                break
    return np.stack(usable[:_IMAGES]) if usable else np.empty((0, spec.size, spec.size, 3), np.uint8)
