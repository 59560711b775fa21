"""Make the network of a recipe run: from the graph kept in the cache, or built anew; and choose its precision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.augmentation import make_views
from featx.backbones import BACKBONES, FILE_BACKBONE, build_network
from featx.engines import (
    Engine,
    convert,
    has_bfloat16,
    processor_kind,
    processor_name,
    sees_gpu,
    start_openvino_engine,
    start_tensorflow_engine,
)
from featx.errors import ConversionError, EngineError
from featx.images import prepare, probe_files
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import (
    FeatureStore,
    has_graph,
    read_agreements,
    read_graph,
    read_quantized_graph,
    remember_agreement,
    write_graph,
)

MIN_AGREEMENT = 0.995
"""Mean cosine of the probe pictures' features with those in float32 that a smaller precision needs."""

Locate = Callable[[], Path | None]
"""Returns the weight file or local network of a recipe; called only if the network must be built."""

_CONVERSION = "conversion to openvino"
"""Name of the note, beside the agreements of precisions, that it failed."""

_GRAPH_VERSION = 6
_GRAPH_FIELDS = ("backbone", "weights", "preprocess", "size", "layer", "pooling", "layout")
_GRAPH_LIBRARIES = ("keras", "tensorflow", "openvino")


def start(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> Engine:
    """Make the network of a recipe run.

    Raises
    ------
    EngineError, BackboneError, WeightsError
        It cannot be executed here as the recipe says, or cannot be built.
    """
    if (own := _own_engine(spec)) is not None:
        locate()
        return own()
    if spec.engine == "tensorflow":
        network = _build(spec, locate, runtime)
        with runtime.stage(f"preparing {network_name(spec)} for {runtime.device}"):
            return start_tensorflow_engine(network, runtime.device, spec.precision)
    graph = graph_of(spec, locate, runtime)
    with runtime.stage(f"compiling {network_name(spec)} for this processor"):
        return start_openvino_engine(graph, spec.precision)


def _own_engine(spec: FeatureSpec) -> Callable[[], Engine] | None:
    """Return what starts the engine that the backbone of a recipe brings along; None for most."""
    row = BACKBONES.get(spec.backbone)
    return None if row is None else row.engine


def network_name(spec: FeatureSpec) -> str:
    """Return what people call the network of a recipe."""
    return "the network" if spec.backbone == FILE_BACKBONE else spec.backbone


def _build(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> Any:
    with runtime.stage(f"building {network_name(spec)}"):
        return build_network(spec, locate())


def fitting_engine(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> str:
    """Return the engine of a recipe whose engine nobody asked for, now that its network is known.

    tensorflow only where it sees the GPU that was expected, or where OpenVINO cannot convert the network. Found out
    once: a store of the recipe, a kept graph or a note tells the next run, which imports nothing.
    """
    if _own_engine(spec) is not None:
        return spec.engine
    if spec.engine == "tensorflow":
        if runtime.device != "auto" or _has_store(spec, runtime) or sees_gpu():
            return "tensorflow"
        runtime.notice("there is a GPU, but TensorFlow sees none; the processor it is")
        spec = replace(spec, engine="openvino")
    key = graph_key(spec)
    if has_graph(runtime.cache, key) or _has_store(spec, runtime):
        return "openvino"
    why = "OpenVINO cannot convert this network"
    if _CONVERSION not in read_agreements(runtime.cache, key):
        try:
            graph_of(spec, locate, runtime)
            return "openvino"
        except ConversionError as error:
            why = str(error).rpartition(";")[0]
            remember_agreement(runtime.cache, key, _CONVERSION, None)
    runtime.notice(f"{why}; the tensorflow engine runs it")
    return "tensorflow"


def _has_store(spec: FeatureSpec, runtime: Runtime) -> bool:
    recipes = (replace(spec, precision=precision) for precision in ("float32", "bfloat16"))
    return any(FeatureStore(runtime.cache, recipe).path.exists() for recipe in recipes)


def choose_precision(spec: FeatureSpec, asked: str, locate: Locate, runtime: Runtime) -> str:
    """Choose the precision: bfloat16 where the processor has it and the network bears it; float32 on GPUs.

    Parameters
    ----------
    spec : FeatureSpec
        The recipe in float32.
    asked : {"auto", "float32", "bfloat16"}
    locate : callable
    runtime : Runtime

    Raises
    ------
    EngineError
        bfloat16 was asked for and is not to be had.
    """
    if asked == "float32" or (asked == "auto" and spec.engine == "tensorflow"):
        return "float32"
    cosine = agreement(spec, "bfloat16", locate, runtime)
    if cosine is not None and cosine >= MIN_AGREEMENT:
        return "bfloat16"
    if cosine is None:
        why = f"this processor ({processor_name()}) does not compute in bfloat16"
    else:
        why = f"in bfloat16 this network agrees with float32 only to cosine {cosine:.4f}, needed {MIN_AGREEMENT}"
    if asked == "bfloat16":
        raise EngineError(f"{why}; use --precision float32 or auto")
    if cosine is not None:
        runtime.notice(f"{why}; float32 it is")
    return "float32"


def agreement(spec: FeatureSpec, precision: str, locate: Locate, runtime: Runtime) -> float | None:
    """Return the mean cosine of the probe pictures' features in a precision with those in float32.

    Computed once for each network, engine, kind of processor and version of the libraries; None where the processor has
    no such precision, or the backbone brings an engine of its own.
    """
    if _own_engine(spec) is not None:
        return None
    key, name = graph_key(spec), _where(spec, precision, runtime)
    known = read_agreements(runtime.cache, key)
    if name not in known:
        cosine = None
        if spec.engine == "tensorflow" or has_bfloat16():
            with runtime.stage(f"comparing {precision} with float32"):
                exact, rough = (
                    probe_features(start(replace(spec, precision=each), locate, runtime), spec)
                    for each in ("float32", precision)
                )
            cosine = 0.0 if exact is None or rough is None else mean_cosine(exact, rough)
        remember_agreement(runtime.cache, key, name, cosine)
        return cosine
    return known[name]


def _where(spec: FeatureSpec, precision: str, runtime: Runtime) -> str:
    """Return the name of an agreement: all that it depends on beside the graph."""
    place = f"tensorflow {runtime.device} " if spec.engine == "tensorflow" else ""
    return f"{place}{processor_kind()} {precision}"


def reproducible(spec: FeatureSpec, runtime: Runtime) -> FeatureSpec:
    """Return a given recipe, or where this processor has no bfloat16 the same one in float32.

    Whether the features then agree is for the model's own probe pictures to tell.
    """
    if (spec.engine, spec.precision) != ("openvino", "bfloat16"):
        return spec
    known = read_agreements(runtime.cache, graph_key(spec))
    name = _where(spec, "bfloat16", runtime)
    if known[name] is not None if name in known else has_bfloat16():
        return spec
    runtime.notice(f"this processor ({processor_name()}) does not compute in bfloat16, as the model did; float32 it is")
    return replace(spec, precision="float32")


def probe_features(engine: Engine, spec: FeatureSpec) -> NDArray[np.float32] | None:
    """Return the features of the probe pictures, shape (n_probes, feature_dim); zeros where they are not finite.

    Of a recipe with ``augment`` those of their first views: its store also shows whether the same views are made. None
    where none are finite.
    """
    files = probe_files().values()
    pixels = np.stack([prepare(data, spec.size, spec.resize).pixels for data in files])
    if spec.augment is not None:
        contents = b"".join(hashlib.sha256(data).digest() for data in files)
        hashes = np.frombuffer(contents, np.uint8).reshape(-1, 32)
        pixels = make_views(pixels, hashes, 1, spec.augment, spec.augment_seed)
    features = next(iter(engine.run([pixels])))
    return finite_rows(features) if np.isfinite(features).all(axis=1).any() else None


def finite_rows(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features, shape (n, feature_dim), with zeros in the rows that are not finite."""
    finite = np.isfinite(features).all(axis=1, keepdims=True)
    return features if finite.all() else np.where(finite, features, np.float32(0))


def graph_of(spec: FeatureSpec, locate: Locate, runtime: Runtime) -> bytes:
    """Return the graph of a recipe: the kept one, or a new one, which is then kept.

    Raises
    ------
    EngineError
        It is a quantized one that is not in the cache: it cannot be made again.
    """
    if spec.graph is not None:
        quantized = read_quantized_graph(runtime.cache, spec.graph)
        if quantized is None:
            raise EngineError(
                f"the quantized graph {spec.graph} of these features is not in {runtime.cache} any more; "
                "extract again with --recalibrate"
            )
        return quantized
    key = graph_key(spec)
    graph = read_graph(runtime.cache, key)
    if graph is None:
        network = _build(spec, locate, runtime)
        with runtime.stage(f"converting {network_name(spec)} to OpenVINO"):
            graph = convert(network)
        write_graph(runtime.cache, key, graph)
    return graph


def graph_key(spec: FeatureSpec) -> str:
    """Return a name that covers everything that defines a graph: what is in it, and what made it."""
    defining: dict[str, object] = {name: getattr(spec, name) for name in _GRAPH_FIELDS}
    defining |= {library: version(library) for library in _GRAPH_LIBRARIES} | {"version": _GRAPH_VERSION}
    return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()[:16]


def mean_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the mean cosine between rows, shape (n, feature_dim) each; two equal rows have a cosine of 1."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    cosines = (x * y).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)
    return float(np.mean(np.where((x == y).all(axis=1), 1, cosines)))
