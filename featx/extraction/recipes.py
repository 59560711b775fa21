"""From what a user asks for to a feature recipe, and from a recipe back to its network on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from featx.backbones import FILE_BACKBONE, Source, find_source, is_onnx
from featx.dataset import Dataset
from featx.engines import resolve_engine
from featx.errors import EngineError, WeightsError
from featx.extraction.quantizing import quantized_graph
from featx.extraction.starting import choose_precision
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import read_sizes, remember_size


def find_network(
    backbone: str,
    weights: str | Path,
    size: int | None,
    preprocess: str | None,
    layout: str | None,
    runtime: Runtime,
) -> Source:
    """Find the network that a user names; what a local one says of its input is remembered in the cache."""
    sizes = read_sizes(runtime.cache)
    source = find_source(backbone, weights, size, preprocess, layout, known_sizes=sizes, notice=runtime.notice)
    if source.backbone == FILE_BACKBONE and size is None:
        remember_size(runtime.cache, source.weights, source.size)
    return source


def _resolve_engine(source: Source, engine: str, precision: str, runtime: Runtime) -> tuple[str, str]:
    if source.file is not None and is_onnx(source.file):
        if engine == "tensorflow":
            raise EngineError(f"{source.file} is an ONNX network, which the openvino engine runs; leave --engine out")
        engine = "openvino"
    return resolve_engine(engine, precision, runtime.device)


def choose_recipe(
    source: Source,
    dataset: Dataset,
    decode: str,
    runtime: Runtime,
    engine: str,
    precision: str,
    recalibrate: bool = False,
    *,
    layer: str | None,
    pooling: str,
    resize: str,
) -> FeatureSpec:
    """Return the recipe for a data set: engine and precision are chosen here.

    Raises
    ------
    SpecError, EngineError
        What was asked for makes no sense, or is not to be had here.
    """
    name, asked = _resolve_engine(source, engine, precision, runtime)
    spec = FeatureSpec(
        source.backbone,
        source.weights,
        source.preprocess,
        source.size,
        decode,
        name,
        "float32",
        layer=layer,
        pooling=pooling,
        resize=resize,
        layout=source.layout,
    )
    if asked == "int8":
        graph = quantized_graph(spec, dataset.id, dataset.pictures, lambda: source.file, runtime, recalibrate)
        return replace(spec, precision="int8", graph=graph)
    return replace(spec, precision=choose_precision(spec, asked, lambda: source.file, runtime))


def locate(spec: FeatureSpec, weights: str | Path | None, runtime: Runtime) -> Path | None:
    """Find the weights of a recipe on this machine and make sure that they are the same."""
    if spec.weights.startswith("random-"):
        source = find_source(spec.backbone, f"random:{spec.weights.split('-')[1]}", spec.size)
    elif spec.backbone != FILE_BACKBONE:
        source = find_source(spec.backbone, weights or "imagenet", spec.size, notice=runtime.notice)
    elif weights is not None:
        source = find_source(str(weights), size=spec.size, preprocess=spec.preprocess, layout=spec.layout)
    else:
        raise WeightsError(f"this model uses a local network (SHA-256 {spec.weights[:12]}...); add --weights FILE")
    if source.weights != spec.weights:
        raise WeightsError(
            f"the model was made with other weights than {source.title}: SHA-256 {spec.weights[:12]}..., "
            f"found {source.weights[:12]}...; name the right file with --weights FILE"
        )
    return source.file
