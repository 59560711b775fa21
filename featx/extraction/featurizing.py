"""Compute the features of files and folders with a given feature spec, such as the feature spec of a model."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from featx.dataset import Dataset, dataset_id, is_list, scan_files, scan_list, scan_unlabelled, stop_if_packed
from featx.engines import resolve_engine
from featx.errors import SpecError
from featx.execution import locate, reproducible_spec
from featx.images import decode_version
from featx.lookup import check_strict, join_passes, reading_key, remember_states, report_remarks, table_of
from featx.pipeline import fill
from featx.runtime import Runtime
from featx.source import source_at
from featx.spec import FeatureSpec
from featx.store import FeatureStore, check_cache, quantized_name, read_quantized_graph, read_snapshot, write_graph
from featx.table import FeatureTable, Memo, OwnFolder, Samples, Texts


def featurize(
    paths: Sequence[str | Path],
    spec: FeatureSpec,
    *,
    weights: str | Path | None = None,
    graph: NDArray[np.uint8] | None = None,
    exact: bool = False,
    strict: bool = False,
    path_column: str = "path",
    refit: Callable[[], str] = lambda: "",
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Return the features of files and folders for a given feature spec; labels are ignored.

    Parameters
    ----------
    paths : sequence of path
        Images, folders with images, and lists: ``.csv``, ``.tsv``, ``.txt``, ``.parquet`` or ``.pq`` files with a
        column of paths.
    spec : FeatureSpec
        How the features are computed, for example as in a model.
    weights : path, optional
        Weights file or network file, if the feature spec does not use ImageNet weights.
    graph : ndarray of shape (n_bytes,), uint8, optional
        Quantized graph of the feature spec, as stored in a model. The graph is written to the cache.
    exact : bool
        Raise an error if the precision of the feature spec is bfloat16 and this CPU does not support bfloat16. If
        false, float32 is used instead.
    strict : bool
        Raise an error if an image cannot be used, after all other images are processed.
    path_column : str
        Name of the column of paths in a list.
    refit : callable
        Returns the end of the error message for another decoder, which states how to make the model again.
    runtime : Runtime, optional
        Cache folder, number of workers and callbacks.

    Returns
    -------
    FeatureTable
        Features of the usable images. The sample ids are the given paths; for an image in a folder, the given folder
        and the path relative to this folder.

    Raises
    ------
    DatasetError
        If a path does not exist, has no images, is an archive, or is a list that cannot be used.
    SpecError
        If this version of featx or this machine uses another decoder than the feature spec.
    WeightsError
        If the given weights differ from the weights of the feature spec.
    EngineError
        If the engine of the feature spec does not run on the requested device.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    check_cache(runtime.cache)
    resolve_engine(spec.engine, spec.precision, runtime.device)
    if spec.decode != decode_version():
        raise SpecError(
            f"these features were computed with decoder {spec.decode}; this machine has {decode_version()}, which "
            "gives other pixels for the same image. Install the same versions of featx, Pillow, simplejpeg and "
            f"cykooz-resizer{refit()}"
        )
    if not exact:
        spec = reproducible_spec(spec, runtime)
    if weights is not None:
        locate(spec, weights, runtime)  # a wrong file is an error even if all features are cached
    if graph is not None and spec.graph is not None:
        _keep_quantized(spec.graph, graph.tobytes(), runtime.cache)
    store = FeatureStore(runtime.cache, spec)
    addresses: list[Texts] = []
    ignored: list[Texts] = []
    own_folders: list[OwnFolder] = []
    passes = []
    how = reading_key(spec.decode, spec.white, spec.page, runtime)
    for dataset in _unlabelled([Path(path) for path in paths], runtime, how, path_column):
        report_remarks(dataset, dataset.name, runtime)
        memo = read_snapshot(runtime.cache, dataset.id, how) if dataset.id else Memo.of({})
        remember = partial(remember_states, runtime.cache, dataset, how)
        filled = fill(dataset.images, memo, store, lambda: locate(spec, weights, runtime), runtime, remember)
        passes.append(filled)
        addresses.append(Texts.of(image.address for image in dataset.images))
        ignored.append(Texts.of((dataset.root / name).as_posix() for name in dataset.ignored.names))
        own_folders += [replace(own, path=(dataset.root / own.path).as_posix()) for own in dataset.own_folders]
    filled = join_passes(passes)
    samples = Samples.unlabelled(Texts.join([Texts.of([]), *addresses]))
    others = Texts.join([Texts.of([]), *ignored])
    table = table_of("images", samples, others, filled, store, spec.backbone, started, own_folders=own_folders)
    check_strict(table, strict)
    return table


def _keep_quantized(name: str, graph: bytes, cache: Path) -> None:
    if quantized_name(graph) != name:
        raise SpecError(f"the quantized graph of this model does not match its feature spec ({name})")
    if read_quantized_graph(cache, name) is None:
        write_graph(cache, name, graph)


def _unlabelled(paths: Sequence[Path], runtime: Runtime, how: str, path_column: str) -> Iterator[Dataset]:
    """Yield a data set for each folder, for each list, and for each sequence of consecutive single files."""
    kinds = [_kind(path) for path in paths]
    for kind, some in itertools.groupby(zip(paths, kinds, strict=True), key=lambda pair: pair[1]):
        given = [path for path, _ in some]
        if kind == "image":
            yield scan_files(given)
        elif kind == "list":
            yield from (scan_list(path, path_column) for path in given)
        else:
            yield from (_unlabelled_folder(folder, runtime, how) for folder in given)


def _unlabelled_folder(folder: Path, runtime: Runtime, how: str) -> Dataset:
    with runtime.stage("listing the images") as advance:
        memo = read_snapshot(runtime.cache, dataset_id(folder, "unlabelled"), how)
        return scan_unlabelled(folder, memo, lambda n: advance(n, 0))


def _kind(path: Path) -> Literal["folder", "list", "image"]:
    if source_at(path) is not None:
        return "folder"
    stop_if_packed(path)
    return "list" if is_list(path) else "image"
