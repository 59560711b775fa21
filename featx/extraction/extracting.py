"""Extract the features of a data set."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from featx.arguments import checked
from featx.contrast import find_indistinct
from featx.execution import choose_spec, resolve_backbone
from featx.extraction.darkness import stop_if_too_dark
from featx.images import decode_version
from featx.lookup import (
    check_strict,
    dataset_table,
    list_images,
    note_latest,
    reading_key,
    remember_states,
    views_policy,
    views_store,
)
from featx.options import DEFAULT_BACKBONE, ExtractOptions, LabelBy, RunOptions
from featx.output import OutputFile
from featx.pipeline import fill, fill_views
from featx.previews import write_preview
from featx.runtime import Runtime
from featx.spec import EngineName, Layout, Pooling, Precision, Resize
from featx.store import FeatureStore, check_cache
from featx.table import FeatureTable, Sample

Check = Callable[[str, Sequence[Sample]], None]
_MOST_READ_AGAIN = 20_000
"""Largest number of images whose stored features are checked for contrast; takes a tenth of a second."""


@checked()
def extract(
    data: str | Path = "data",
    backbone: str = DEFAULT_BACKBONE,
    *,
    weights: str | Path = "imagenet",
    layer: str | None = None,
    pooling: Pooling = "avg",
    size: int | None = None,
    resize: Resize = "crop",
    white: int | None = None,
    page: int = 1,
    preprocess: str | None = None,
    layout: Layout | None = None,
    engine: Literal["auto"] | EngineName = "auto",
    precision: Literal["auto"] | Precision = "auto",
    recalibrate: bool = False,
    label_by: LabelBy | None = None,
    path_column: str = "path",
    label_column: str = "label",
    augment: str | None = None,
    views: int = 0,
    seed: int = 0,
    preview: str | Path | None = None,
    overwrite: bool = False,
    strict: bool = False,
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Extract the features of a data set with a backbone, computing only those that are not cached.

    Parameters
    ----------
    data : path
        Folder of class folders, of ``train``/``val``/``test`` folders, of images, or a CSV or Parquet manifest.
    backbone : str
        Name in :func:`featx.list_backbones`, or a ``.keras``, ``.h5`` or ``.onnx`` file.
    weights : "imagenet", "random", "random:SEED" or path
        Weights of a named backbone.
    layer : str, optional
        Layer to take features from; by default the last layer.
    pooling : {"avg", "max", "flatten"}
        How to reduce a map of activations to a vector.
    size : int, optional
        Side of the backbone's input in pixels; by default the backbone's own input size.
    resize : {"crop", "squash", "pad"}
        How to make an image square.
    white : int, optional
        Value of white in grey images with more than 8 bits; by default the value that the file states, else full
        scale.
    page : int
        Page of a TIFF or frame of an animation, from 1.
    preprocess : {"caffe", "tf", "torch", "lite", "none"} or str, optional
        Pixel scaling of a network from a file; or ``mean=R,G,B;std=R,G,B`` for pixels scaled to 0 to 1.
    layout : {"nchw", "nhwc"}, optional
        Order of the dimensions of an ONNX network's input, if its shape is ambiguous.
    engine : {"auto", "openvino", "tensorflow"}
        Engine that executes the backbone; auto selects OpenVINO on CPUs and TensorFlow on GPUs.
    precision : {"auto", "float32", "bfloat16", "int8"}
        Number format of the arithmetic. auto selects bfloat16 if the CPU supports it and the features agree with
        float32. int8 (extra ``int8``) calibrates its ranges on up to 300 of the images, once for each data set.
    recalibrate : bool
        Calibrate the ranges of int8 again, on the current images.
    label_by : {"parent", "top"}, optional
        Folder level that is the class, if several levels are possible.
    path_column, label_column : str
        Columns of a manifest.
    augment : str, optional
        Augmentation policy of the views: ``light``, ``medium``, ``tutorial`` (shear 0.2, zoom 0.2, horizontal flip),
        or values such as
        ``rotation=15,zoom=0.2,shear=0.2,shift=0.1,flip=horizontal,brightness=0.1,contrast=0.1,crop=0.1``.
    views : int
        Number of augmented views of each image of the training part, cached in addition to its own features; 0 for
        none.
    seed : int
        Random seed of the views. A view depends only on the seed, the policy, its number and its image.
    preview : path, optional
        PNG file to write before the extraction: images of each class and their views, as the backbone receives them.
    overwrite : bool
        Replace a preview that featx wrote.
    strict : bool
        Raise an error if any image cannot be used, after all others are done.
    runtime : Runtime, optional
        Cache folder, threads and callbacks.

    Returns
    -------
    FeatureTable
        All usable images with labels and features; ``table.extraction`` counts and lists the other files.

    Raises
    ------
    DatasetError, BackboneError, SpecError, EngineError, StoreError
        See :mod:`featx.errors`. Features computed before an error are kept.

    Examples
    --------
    >>> import featx
    >>> features = featx.extract("data")
    >>> features.X.shape
    (300, 1280)
    """
    options, run = ExtractOptions.of(locals()), RunOptions.of(locals())
    return extract_checked(data, backbone, options, run, runtime=runtime)


def extract_checked(
    data: str | Path,
    backbone: str,
    options: ExtractOptions,
    run: RunOptions,
    *,
    check: Check | None = None,
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Extract as :func:`extract` does, with a check of the samples before any computation.

    Parameters
    ----------
    data : path
    backbone : str
    options : ExtractOptions
    run : RunOptions
    check : callable, optional
        See :func:`compute_table`.
    runtime : Runtime, optional

    Raises
    ------
    FeatxError
        As for :func:`extract`; also any error that ``check`` raises.
    """
    runtime = runtime or Runtime()
    table = _with_indistinct(compute_table(data, backbone, options, run, check=check, runtime=runtime))
    note_latest(runtime.cache, Path(data), table.spec, table.extraction.backbone, backbone, options)
    return table


def compute_table(
    data: str | Path,
    backbone: str,
    options: ExtractOptions,
    run: RunOptions,
    *,
    check: Check | None = None,
    viewed: Collection[bytes] | None = None,
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Extract as :func:`extract` does, without updating ``latest.json``.

    Parameters
    ----------
    data : path
    backbone : str
    options : ExtractOptions
    run : RunOptions
    check : callable, optional
        Called with the data set's name and its samples before any computation; any error that it raises ends the run.
    viewed : collection of bytes, optional
        Content hashes: compute views of these contents only.
    runtime : Runtime, optional

    Returns
    -------
    FeatureTable

    Raises
    ------
    FeatxError
        As for :func:`extract`.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    check_cache(runtime.cache)
    path = Path(data)
    policy = views_policy(options.augment, options.views)
    preview = None
    if run.preview is not None:
        preview = OutputFile(run.preview, (".png",), run.overwrite, "preview", [data])
    decode = decode_version()
    how = reading_key(decode, options.white, options.page, runtime)
    dataset, memo = list_images(path, how, options, runtime)
    if preview is not None:
        preview.refuse_inputs(Path(image.address) for image in dataset.images)
    if check is not None:
        check(dataset.name, [image.sample for image in dataset.images])
    if options.white is None and not any(state.status == "ok" for state in memo.values()):
        with runtime.stage("looking for dark images"):
            stop_if_too_dark(dataset.images, runtime)
    with runtime.stage(f"finding {backbone} and its weights"):
        source = resolve_backbone(backbone, options, runtime)
    runtime.notice(f"{source.title}, {source.size} x {source.size} pixels, resize {options.resize}")
    with runtime.stage("choosing engine and precision"):
        spec = choose_spec(source, dataset, decode, options, run.recalibrate, runtime)
        store = FeatureStore(runtime.cache, spec)
    of_views = None if policy is None else views_store(store, policy, options.seed)
    if preview is not None:
        before = time.monotonic()
        with runtime.stage("drawing the preview"):
            write_preview(preview, dataset.images, (of_views or store).spec, options.views, runtime)
        started += time.monotonic() - before  # the extraction time does not include the preview
    remember = partial(remember_states, runtime.cache, dataset, how)
    filled = fill(dataset.images, memo, store, lambda: source.file, runtime, remember)
    augmented = None
    if of_views is not None:
        images, states = dataset.images, filled.states
        augmented = fill_views(images, states, of_views, options.views, lambda: source.file, runtime, viewed)
    table = dataset_table(dataset, filled, store, source.title, started, augmented)
    check_strict(table, run.strict)
    return table


def _with_indistinct(table: FeatureTable) -> FeatureTable:
    """Record images without contrast and images with equal features, unless the table is too large."""
    if len(table) > _MOST_READ_AGAIN:
        return table
    result = find_indistinct(table)
    extraction = replace(
        table.extraction, blank=result.blank, blank_classes=result.blank_classes, equal_features=result.equal
    )
    return replace(table, extraction=extraction)
