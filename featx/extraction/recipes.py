"""From what a user asks for to a feature recipe, and from a recipe back to its network on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from featx.backbones import FILE_BACKBONE, Source, find_source, is_onnx
from featx.dataset import Dataset
from featx.engines import resolve_engine
from featx.errors import EngineError, WeightsError
from featx.extraction.quantizing import quantized_graph
from featx.extraction.starting import choose_precision, fitting_engine
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
    source = find_source(
        backbone, weights, size, preprocess, layout, known_sizes=sizes, notice=runtime.notice, progress=runtime.progress
    )
    if source.backbone == FILE_BACKBONE and size is None:
        remember_size(runtime.cache, source.weights, source.size)
    return source


def _resolve_engine(source: Source, engine: str, precision: str, runtime: Runtime) -> str:
    if source.file is not None and is_onnx(source.file):
        if engine == "tensorflow":
            raise EngineError(f"{source.file} is an ONNX network, which the openvino engine runs; leave --engine out")
        engine = "openvino"
    return resolve_engine(engine, precision, runtime.device)


@dataclass(frozen=True)
class Wish:
    """What a user asks of a recipe beside the network; see :func:`featx.extract`."""

    layer: str | None = None
    pooling: str = "avg"
    resize: str = "crop"
    white: int | None = None
    page: int = 1
    engine: str = "auto"
    precision: str = "auto"
    recalibrate: bool = False


def choose_recipe(source: Source, dataset: Dataset, decode: str, wish: Wish, runtime: Runtime) -> FeatureSpec:
    """Return the recipe for a data set: engine and precision are chosen here.

    Raises
    ------
    SpecError, EngineError
        What was asked for makes no sense, or is not to be had here.
    """
    engine = _resolve_engine(source, wish.engine, wish.precision, runtime)
    spec = FeatureSpec(
        source.backbone,
        source.weights,
        source.preprocess,
        source.size,
        decode,
        engine,
        "float32",
        layer=wish.layer,
        pooling=wish.pooling,
        resize=wish.resize,
        layout=source.layout,
        white=wish.white,
        page=wish.page,
    )
    if wish.precision == "int8":
        graph = quantized_graph(spec, dataset.id, dataset.pictures, lambda: source.file, runtime, wish.recalibrate)
        return replace(spec, precision="int8", graph=graph)
    if wish.engine == "auto":
        spec = replace(spec, engine=fitting_engine(spec, lambda: source.file, runtime))
    return replace(spec, precision=choose_precision(spec, wish.precision, lambda: source.file, runtime))


def how_read(decode: str, white: int | None, page: int, runtime: Runtime) -> str:
    """Name all that decides which pictures can be read; those skipped under another name are tried again."""
    limits = {"white": white, "page": page, "max-pixels": runtime.max_pixels}
    return " ".join([decode, *(f"{name} {value}" for name, value in limits.items() if value is not None)])


def locate(spec: FeatureSpec, weights: str | Path | None, runtime: Runtime) -> Path | None:
    """Find the weights of a recipe on this machine and make sure that they are the same."""
    if spec.weights.startswith("random-"):
        source = find_source(spec.backbone, f"random:{spec.weights.split('-')[1]}", spec.size)
    elif spec.backbone != FILE_BACKBONE:
        source = find_source(
            spec.backbone, weights or "imagenet", spec.size, notice=runtime.notice, progress=runtime.progress
        )
    elif weights is not None:
        source = find_source(str(weights), size=spec.size, preprocess=spec.preprocess, layout=spec.layout)
    else:
        raise WeightsError(
            f"this model uses a local network (SHA-256 {spec.weights[:12]}...); predict and report --on take it as "
            "--weights FILE"
        )
    if source.weights != spec.weights:
        raise WeightsError(
            f"the model was made with other weights than {source.title}: SHA-256 {spec.weights[:12]}..., "
            f"found {source.weights[:12]}...; predict and report --on take the right file as --weights FILE"
        )
    return source.file
