"""From a data set and a recipe to a feature table: extract, and the recipe of a model applied."""

from __future__ import annotations

import inspect
import itertools
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones import DEFAULT_BACKBONE
from featx.dataset import Dataset, dataset_id, gather, scan, scan_unlabelled
from featx.errors import (
    DatasetNotFoundError,
    ImageError,
    SpecError,
)
from featx.extraction.darkness import stop_if_too_dark
from featx.extraction.filling import fill
from featx.extraction.joining import dataset_table, joined, table_of
from featx.extraction.recipes import Wish, choose_recipe, find_network, how_read, locate
from featx.extraction.starting import reproducible
from featx.images import decode_version
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import (
    FeatureStore,
    quantized_name,
    read_quantized_graph,
    read_snapshot,
    write_graph,
    write_latest,
    write_snapshot,
)
from featx.table import FeatureTable, FileState, Sample


def extract(
    data: str | Path = "data",
    backbone: str = DEFAULT_BACKBONE,
    *,
    weights: str | Path = "imagenet",
    layer: str | None = None,
    pooling: str = "avg",
    size: int | None = None,
    resize: str = "crop",
    white: int | None = None,
    page: int = 1,
    preprocess: str | None = None,
    layout: str | None = None,
    engine: str = "auto",
    precision: str = "auto",
    recalibrate: bool = False,
    label_by: str | None = None,
    path_column: str = "path",
    label_column: str = "label",
    strict: bool = False,
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Run a backbone over the pictures of a data set that it has not seen yet, and return all features.

    Parameters
    ----------
    data : path
        Folder of class folders, of ``train``/``val``/``test`` folders, of pictures, or a CSV or Parquet manifest.
    backbone : str
        Name in :func:`featx.list_backbones`, or a ``.keras``, ``.h5`` or ``.onnx`` file.
    weights : "imagenet", "random", "random:SEED" or path
        Weights of a named backbone.
    layer : str, optional
        Layer to take features from; the last one if not given.
    pooling : {"avg", "max", "flatten"}
        How a map of activations becomes a vector.
    size : int, optional
        Side of the network's input in pixels; the network's own if not given.
    resize : {"crop", "squash", "pad"}
        How a picture becomes a square.
    white : int, optional
        Value of white in grey pictures with more than 8 bits; if not given, what each file says, else full scale.
    page : int
        Page of a TIFF, frame of an animation, from 1.
    preprocess : {"caffe", "tf", "torch", "lite", "none"} or str, optional
        Pixel scaling of a network from a file; or ``mean=R,G,B;std=R,G,B`` of pixels from 0 to 1.
    layout : {"nchw", "nhwc"}, optional
        Order of the dimensions of an ONNX network's input, where its shape does not show it.
    engine : {"auto", "openvino", "tensorflow"}
        What executes the network; OpenVINO on processors, TensorFlow on GPUs.
    precision : {"auto", "float32", "bfloat16", "int8"}
        Number format of its arithmetic; auto is bfloat16 where the processor has it and the network agrees with
        float32. int8 (extra ``int8``) sets its ranges on up to 300 of the pictures, once for each data set.
    recalibrate : bool
        Set the ranges of int8 again, of the pictures as they are now.
    label_by : {"parent", "top"}, optional
        Which folder is the class where several levels could be.
    path_column, label_column : str
        Columns of a manifest.
    strict : bool
        Make an image that cannot be used an error, once all others are done.
    runtime : Runtime, optional
        Cache folder, threads and callbacks.

    Returns
    -------
    FeatureTable
        Every usable picture with label and features; ``table.extraction`` counts and lists the rest.

    Raises
    ------
    DatasetError, BackboneError, SpecError, EngineError, StoreError
        See :mod:`featx.errors`. Features computed before an error are kept.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    path = Path(data)
    reading: dict[str, Any] = {"label_by": label_by, "path_column": path_column, "label_column": label_column}
    decode = decode_version()
    how = how_read(decode, white, page, runtime)
    memo = read_snapshot(runtime.cache, dataset_id(path), how)
    dataset = scan(path, memo=memo, **reading)
    runtime.notice(f"{path}: {dataset.description}")
    if white is None and not any(state.status == "ok" for state in memo.values()):
        stop_if_too_dark(dataset.pictures, runtime)
    source = find_network(backbone, weights, size, preprocess, layout, runtime)
    runtime.notice(f"{source.title}, {source.size} x {source.size} pixels by {resize}")
    wish = Wish(layer, pooling, resize, white, page, engine, precision, recalibrate)
    spec = choose_recipe(source, dataset, decode, wish, runtime)
    store = FeatureStore(runtime.cache, spec)
    remember = partial(_remember, runtime.cache, dataset, how)
    filled = fill(dataset.pictures, memo, store, lambda: source.file, runtime, remember)
    table = dataset_table(dataset, filled, store, source.title, started)
    options = {"backbone": backbone, "weights": weights, "layer": layer, "pooling": pooling, "size": size}
    options |= {
        "resize": resize,
        "white": white,
        "page": page,
        "preprocess": preprocess,
        "layout": layout,
        "engine": engine,
        "precision": precision,
        **reading,
    }
    _note_latest(runtime.cache, path, spec, source.title, options)
    _check_strict(table, strict)
    return table


def featurize(
    paths: Sequence[str | Path],
    spec: FeatureSpec,
    *,
    weights: str | Path | None = None,
    graph: NDArray[np.uint8] | None = None,
    exact: bool = False,
    strict: bool = False,
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Return the features of files and folders by a recipe that is given; labels do not matter.

    Parameters
    ----------
    paths : sequence of path
        Pictures and folders of pictures.
    spec : FeatureSpec
        The recipe, as a model brings it.
    weights : path, optional
        Weight file or local network, where the recipe was not made with ImageNet weights.
    graph : ndarray of shape (n_bytes,), uint8, optional
        The recipe's quantized graph, as a model brings it; it joins the cache.
    exact : bool
        Make it an error if the recipe is in bfloat16 and this processor has none; otherwise float32 replaces it.
    strict : bool
        Make an image that cannot be used an error, once all others are done.
    runtime : Runtime, optional
        Cache folder, threads and callbacks.

    Returns
    -------
    FeatureTable
        Sample ids are the paths as given, those in a folder below it.

    Raises
    ------
    DatasetError
        No such path, or no picture.
    SpecError
        This featx, or this machine, decodes pictures otherwise than the recipe says.
    WeightsError
        The weights are not those of the recipe.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    if spec.decode != decode_version():
        raise SpecError(
            f"these features were made with decoder {spec.decode}, this machine decodes as {decode_version()}: "
            "the same picture would give other pixels. Install the image library they were made with (Pillow)"
        )
    if not exact:
        spec = reproducible(spec, runtime)
    if weights is not None:
        locate(spec, weights, runtime)  # the wrong file is refused even if all is cached
    if graph is not None and spec.graph is not None:
        _keep_quantized(spec.graph, graph.tobytes(), runtime.cache)
    store = FeatureStore(runtime.cache, spec)
    samples: list[Sample] = []
    ignored: list[str] = []
    passes = []
    how = how_read(spec.decode, spec.white, spec.page, runtime)
    for dataset in _unlabelled([Path(path) for path in paths], runtime.cache, how):
        memo = read_snapshot(runtime.cache, dataset.id, how) if dataset.id else {}
        remember = partial(_remember, runtime.cache, dataset, how)
        filled = fill(dataset.pictures, memo, store, lambda: locate(spec, weights, runtime), runtime, remember)
        passes.append(filled)
        samples += [Sample(found.path.as_posix()) for found in dataset.pictures]
        ignored += [(dataset.root / entry.name).as_posix() for entry in dataset.ignored]
    table = table_of("pictures", samples, ignored, joined(passes), store, spec.backbone, started)
    _check_strict(table, strict)
    return table


def _keep_quantized(name: str, graph: bytes, cache: Path) -> None:
    if quantized_name(graph) != name:
        raise SpecError(f"the quantized graph of this model is not the one that its recipe names ({name})")
    if read_quantized_graph(cache, name) is None:
        write_graph(cache, name, graph)


def extract_command(path: Path, options: Mapping[str, Any]) -> str:
    """Return the ``featx extract`` command of the given options, defaults left out."""
    words = ["featx", "extract", str(path)]
    for name, value in options.items():
        if value is not None and value != _DEFAULTS[name]:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


_DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(extract).parameters.items()}


def _unlabelled(paths: Sequence[Path], cache: Path, how: str) -> Iterator[Dataset]:
    """Yield a data set for each folder, and one for each run of single files between them."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise DatasetNotFoundError(f"no such file or folder: {missing[0]}")
    for is_folder, some in itertools.groupby(paths, key=Path.is_dir):
        if not is_folder:
            yield gather(list(some))
            continue
        for folder in some:
            yield scan_unlabelled(folder, read_snapshot(cache, dataset_id(folder, "unlabelled"), how))


def _remember(cache: Path, dataset: Dataset, how: str, states: Sequence[FileState]) -> None:
    if not dataset.id:  # single files
        return
    entries = [(found.sample, state) for found, state in zip(dataset.pictures, states, strict=True)]
    entries += [
        (Sample(entry.name), FileState(entry.size, entry.mtime_ns, status="ignored")) for entry in dataset.ignored
    ]
    entries.sort(key=lambda pair: pair[0].sample_id.split("/"))
    write_snapshot(cache, dataset.id, dataset.root, how, entries)


def _note_latest(cache: Path, path: Path, spec: FeatureSpec, title: str, options: dict[str, Any]) -> None:
    kept = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    write_latest(cache, {"data": str(path.resolve()), "spec": spec.to_json(), "title": title, "options": kept})


def _check_strict(table: FeatureTable, strict: bool) -> None:
    skipped = table.extraction.skipped
    if strict and skipped:
        first = f"{skipped[0].path}: {skipped[0].reason}"
        raise ImageError(f"--strict: {len(skipped):,} pictures cannot be used, the first is {first}")
