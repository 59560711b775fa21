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
from featx.errors import DamagedStoreError
from featx.execution import choose_spec, resolve_backbone
from featx.extraction.darkness import stop_if_too_dark
from featx.images import decode_version
from featx.lookup import (
    check_strict,
    dataset_table,
    images_of_shard,
    list_images,
    note_latest,
    note_shard,
    read_shard,
    reading_key,
    remember_states,
    stop_if_empty,
    views_policy,
    views_store,
)
from featx.options import DEFAULT_BACKBONE, ExtractOptions, LabelBy, RunOptions
from featx.output import OutputFile
from featx.pipeline import fill, fill_views
from featx.previews import write_preview
from featx.runtime import Runtime
from featx.source import Place, place_of
from featx.spec import EngineName, Layout, Pooling, Precision, Resize
from featx.store import FeatureStore, check_cache
from featx.table import FeatureTable, Sample

Check = Callable[[str, Sequence[Sample]], None]
_MOST_READ_AGAIN = 20_000
"""Maximum number of images whose stored features are checked for contrast; the check takes a tenth of a second."""


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
    shard: str | None = None,
    preview: str | Path | None = None,
    overwrite: bool = False,
    strict: bool = False,
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Extract the features of a data set with a backbone.

    Features that are in the cache are not computed again.

    Parameters
    ----------
    data : path
        Folder with a subfolder for each class, with ``train``, ``val`` and ``test`` subfolders, or with images; a
        ``.zip`` or ``.tar`` file of such a folder; or a CSV or Parquet manifest, which lists paths and labels. Folder,
        archive and manifest may lie in object storage, such as ``s3://bucket/folder`` (extra ``remote``).
    backbone : str
        Name in :func:`featx.list_backbones`, or a ``.keras``, ``.h5`` or ``.onnx`` file.
    weights : "imagenet", "random", "random:SEED" or path
        Weights of a named backbone: ImageNet weights, random weights, or a weights file.
    layer : str, optional
        Name of the layer whose output is used as features; by default the last layer.
    pooling : {"avg", "max", "flatten"}
        How a map of activations is reduced to a vector: by average, by maximum, or not at all (``flatten``).
    size : int, optional
        Side of the square input of the backbone in pixels; by default the usual input size of the backbone.
    resize : {"crop", "squash", "pad"}
        How an image is made square: cut out a square from the centre, change the aspect ratio, or add a border.
    white : int, optional
        Pixel value of white in grey images with more than 8 bits; by default the value that the file states, or else
        the largest possible value.
    page : int
        Number of the page of a TIFF file, or of the frame of an animation; the first is 1.
    preprocess : {"caffe", "tf", "torch", "lite", "none"} or str, optional
        Scaling of the pixel values for a network from a file; ``mean=R,G,B;std=R,G,B`` applies to pixel values scaled
        to the range 0 to 1.
    layout : {"nchw", "nhwc"}, optional
        Order of the dimensions of the input of an ONNX file; needed only if the shape of the input is ambiguous.
    engine : {"auto", "openvino", "tensorflow"}
        Engine that executes the backbone; auto selects OpenVINO on CPUs and TensorFlow on GPUs.
    precision : {"auto", "float32", "bfloat16", "int8"}
        Number format of the computation. auto selects bfloat16 if the CPU supports it and the features agree with
        float32. int8 (extra ``int8``) quantizes the network with up to 300 of the images, once for each data set.
    recalibrate : bool
        With int8 precision, repeat the quantization on the current images.
    label_by : {"parent", "top"}, optional
        Folder level that is the class, if several levels are possible.
    path_column, label_column : str
        Names of the columns of a manifest.
    augment : str, optional
        Augmentation policy of the views: ``light``, ``medium``, ``tutorial`` (shear 0.2, zoom 0.2, horizontal flip),
        or values such as
        ``rotation=15,zoom=0.2,shear=0.2,shift=0.1,flip=horizontal,brightness=0.1,contrast=0.1,crop=0.1``.
    views : int
        Number of augmented views of each image of the training part; 0 for none. The features of the views are cached
        in addition to the features of the images.
    seed : int
        Random seed of the views. The pixels of a view depend only on the seed, the policy, the number of the view
        and the image.
    shard : str, optional
        Shard of the data set to extract, such as ``3/16``: the third of 16 parts, which other machines extract into
        caches of their own; :func:`featx.merge_caches` merges these. An image belongs to the same shard on each
        machine, also if other images are added.
    preview : path, optional
        PNG file to write before the extraction: some images of each class and their views, as they are passed to the
        backbone.
    overwrite : bool
        Replace a preview that featx wrote.
    strict : bool
        Raise an error if an image cannot be used, after all other images are processed.
    runtime : Runtime, optional
        Cache folder, number of workers and callbacks.

    Returns
    -------
    FeatureTable
        All usable images of the data set, or of the shard, with their labels and features; ``table.extraction`` lists
        the other files.

    Raises
    ------
    DatasetError, BackboneError, SpecError, EngineError, StoreError
        If the data set, the backbone, an option, the engine or the cache cannot be used; see :mod:`featx.errors`.
        Features computed before an error are kept.

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
    """Extract features like :func:`extract`, after an optional check of the samples.

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
        If :func:`extract` would raise an error, or ``check`` raises an error.
    """
    runtime = runtime or Runtime()
    table = compute_table(data, backbone, options, run, check=check, runtime=runtime)
    try:
        table = _with_indistinct(table)
    except DamagedStoreError:  # a damaged row was read and marked, so that it is computed again
        run = replace(run, preview=None)
        table = _with_indistinct(compute_table(data, backbone, options, run, check=check, runtime=runtime))
    note_latest(runtime.cache, place_of(data), table.spec, table.extraction.backbone, backbone, options)
    return table


def compute_table(
    data: str | Place,
    backbone: str,
    options: ExtractOptions,
    run: RunOptions,
    *,
    check: Check | None = None,
    viewed: Collection[bytes] | None = None,
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Extract features like :func:`extract`, without updating ``latest.json``.

    Parameters
    ----------
    data : path
    backbone : str
    options : ExtractOptions
    run : RunOptions
    check : callable, optional
        Called with the name and the samples of the data set before any computation; an error raised by ``check`` ends
        the extraction.
    viewed : collection of bytes, optional
        Content hashes of the images whose views are computed; by default all images of the training part.
    runtime : Runtime, optional

    Returns
    -------
    FeatureTable

    Raises
    ------
    FeatxError
        If :func:`extract` would raise an error, or ``check`` raises an error.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    check_cache(runtime.cache)
    path = place_of(data)
    policy = views_policy(options.augment, options.views)
    shard = read_shard(run.shard)
    preview = None
    if run.preview is not None:
        preview = OutputFile(run.preview, (".png",), run.overwrite, "preview", [str(data)])
    decode = decode_version()
    how = reading_key(decode, options.white, options.page, runtime)
    dataset, memo = list_images(path, how, options, runtime)
    if preview is not None:
        preview.refuse_inputs(Path(image.address) for image in dataset.images)
    if check is not None:
        check(dataset.name, dataset.images.samples)
    part = images_of_shard(dataset, shard, runtime)
    if options.white is None and not memo.states.are("ok").any():
        with runtime.stage("looking for dark images"):
            stop_if_too_dark(part.images, runtime)
    with runtime.stage(f"finding {backbone} and its weights"):
        source = resolve_backbone(backbone, options, runtime)
    size = f"{source.size} x {source.size}"
    runtime.notice(f"backbone   {source.title}, input {size} pixels, resized by {options.resize}")
    with runtime.stage("choosing engine and precision"):
        spec = choose_spec(source, dataset, decode, options, run.recalibrate, runtime)
        store = FeatureStore(runtime.cache, spec)
    of_views = None if policy is None else views_store(store, policy, options.seed)
    if preview is not None:
        before = time.monotonic()
        with runtime.stage("drawing the preview"):
            write_preview(preview, dataset.images, (of_views or store).spec, options.views, runtime)
        started += time.monotonic() - before  # the extraction time does not include the preview
    remember = partial(remember_states, runtime.cache, part, how, whole=dataset)
    filled = fill(part.images, memo, store, lambda: source.file, runtime, remember)
    note = partial(note_shard, runtime.cache, shard, dataset, states=filled.states)
    note(spec.id)
    augmented = None
    if of_views is not None:
        images, states = part.images, filled.states
        augmented = fill_views(images, states, of_views, options.views, lambda: source.file, runtime, viewed)
        note(of_views.spec.id, n_views=options.views)
    stop_if_empty(shard, part, dataset)
    table = dataset_table(part, filled, store, source.title, started, augmented)
    table = replace(table, extraction=replace(table.extraction, shard=str(shard) if shard else None))
    check_strict(table, run.strict)
    return table


def _with_indistinct(table: FeatureTable) -> FeatureTable:
    """Return the table with a record of images without contrast and of images with equal features.

    A table that is too large for this check is returned unchanged.
    """
    if len(table) > _MOST_READ_AGAIN:
        return table
    result = find_indistinct(table)
    extraction = replace(
        table.extraction, blank=result.blank, blank_classes=result.blank_classes, equal_features=result.equal
    )
    return replace(table, extraction=extraction)
