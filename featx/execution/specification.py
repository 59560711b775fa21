"""From the options of a user to a feature spec, and from a spec back to its network on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from featx.backbones import FILE_BACKBONE, BackboneSource, find_backbone_source, is_onnx
from featx.dataset import Dataset
from featx.engines import resolve_engine
from featx.errors import WeightsError
from featx.execution.calibration import quantized_graph_name
from featx.execution.choice import choose_engine, choose_precision
from featx.options import BackboneOptions, ExtractOptions
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import read_input_sizes, remember_input_size


def find_network(backbone: str, options: BackboneOptions, runtime: Runtime) -> BackboneSource:
    """Find the network that a user names; the input size that a local one declares is remembered in the cache."""
    source = find_backbone_source(
        backbone,
        options.weights,
        options.size,
        options.preprocess,
        options.layout,
        known_sizes=read_input_sizes(runtime.cache),
        notice=runtime.notice,
        progress=runtime.progress,
    )
    if source.backbone == FILE_BACKBONE and options.size is None:
        remember_input_size(runtime.cache, source.weights, source.size)
    return source


def choose_spec(
    source: BackboneSource, dataset: Dataset, decode: str, options: ExtractOptions, recalibrate: bool, runtime: Runtime
) -> FeatureSpec:
    """Return the feature spec for a data set: engine and precision are chosen here.

    Parameters
    ----------
    source : Source
        Network, weights, scaling and input size.
    dataset : Dataset
        Its images calibrate int8.
    decode : str
        Version of the decoder.
    options : ExtractOptions
    recalibrate : bool
        See :func:`featx.extract`.
    runtime : Runtime

    Raises
    ------
    SpecError, EngineError
        What is asked for makes no sense, or is not available here.
    """
    onnx = source.file is not None and is_onnx(source.file)
    engine = resolve_engine(options.engine, options.precision, runtime.device, onnx)
    spec = FeatureSpec(
        source.backbone,
        source.weights,
        source.preprocess,
        source.size,
        decode,
        engine.name,
        "float32",
        layer=options.layer,
        pooling=options.pooling,
        resize=options.resize,
        layout=source.layout,
        white=options.white,
        page=options.page,
    )
    if options.precision == "int8":
        graph = quantized_graph_name(spec, dataset.id, dataset.images, lambda: source.file, runtime, recalibrate)
        return replace(spec, precision="int8", graph=graph)
    if options.engine == "auto":
        spec = replace(spec, engine=choose_engine(spec, lambda: source.file, runtime))
    return replace(spec, precision=choose_precision(spec, options.precision, lambda: source.file, runtime))


def locate(spec: FeatureSpec, weights: str | Path | None, runtime: Runtime) -> Path | None:
    """Find the weights of a recipe on this machine and make sure that they are the same."""
    if spec.weights.startswith("random-"):
        source = find_backbone_source(spec.backbone, f"random:{spec.weights.split('-')[1]}", spec.size)
    elif spec.backbone != FILE_BACKBONE:
        source = find_backbone_source(
            spec.backbone, weights or "imagenet", spec.size, notice=runtime.notice, progress=runtime.progress
        )
    elif weights is not None:
        source = find_backbone_source(str(weights), size=spec.size, preprocess=spec.preprocess, layout=spec.layout)
    else:
        raise WeightsError(
            f"this model uses a local network (SHA-256 {spec.weights[:12]}...); predict and report `on` take it as "
            "`weights=FILE`"
        )
    if source.weights != spec.weights:
        raise WeightsError(
            f"the model was made with other weights than {source.title}: SHA-256 {spec.weights[:12]}..., "
            f"found {source.weights[:12]}...; predict and report `on` take the right file as `weights=FILE`"
        )
    return source.file
