"""Create a feature spec from the options of a user, and locate the weights of a feature spec on this machine."""

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


def resolve_backbone(backbone: str, options: BackboneOptions, runtime: Runtime) -> BackboneSource:
    """Find the backbone that a user names.

    The declared input size of a local backbone is stored in the cache.

    Parameters
    ----------
    backbone : str
        Name in the table, or the path of a backbone file.
    options : BackboneOptions
    runtime : Runtime

    Returns
    -------
    BackboneSource

    Raises
    ------
    BackboneError, WeightsError, SpecError
        As in :func:`featx.backbones.find_backbone_source`.
    """
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
    """Choose engine and precision, and return the feature spec for a data set.

    Parameters
    ----------
    source : BackboneSource
        Backbone, weights, scaling and input size.
    dataset : Dataset
        Data set whose images calibrate int8.
    decode : str
        Version of the decoder.
    options : ExtractOptions
    recalibrate : bool
        See :func:`featx.extract`.
    runtime : Runtime

    Raises
    ------
    SpecError, EngineError
        If the options are invalid, or this machine does not support them.
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
    """Find the weights of a feature spec on this machine, and check their digest.

    Parameters
    ----------
    spec : FeatureSpec
    weights : str or path, optional
        Weights file or backbone file; by default the ImageNet weights.
    runtime : Runtime

    Returns
    -------
    path or None
        The file; None for random weights.

    Raises
    ------
    WeightsError
        If the file of a local backbone is not given, or the digest differs from the one in the feature spec.
    """
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
            f"this model uses a local backbone (SHA-256 {spec.weights[:12]}...); give its file to predict or report "
            "`on` as `weights=FILE`"
        )
    if source.weights != spec.weights:
        raise WeightsError(
            f"the weights of the model differ from those of {source.title}: expected SHA-256 {spec.weights[:12]}..., "
            f"found {source.weights[:12]}...; give the right file to predict or report `on` as `weights=FILE`"
        )
    return source.file
