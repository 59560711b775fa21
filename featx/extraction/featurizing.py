"""The recipe of a model applied to files and folders."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
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
from featx.lookup import check_strict, joined, notice_odd, reading_key, remember_states, table_of
from featx.pipeline import fill
from featx.runtime import Runtime
from featx.source import source_at
from featx.spec import FeatureSpec
from featx.store import FeatureStore, check_cache, quantized_name, read_quantized_graph, read_snapshot, write_graph
from featx.table import FeatureTable, OwnFolder, Sample


def featurize(
    paths: Sequence[str | Path],
    spec: FeatureSpec,
    *,
    weights: str | Path | None = None,
    graph: NDArray[np.uint8] | None = None,
    exact: bool = False,
    strict: bool = False,
    path_column: str = "path",
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Return the features of files and folders by a recipe that is given; labels do not matter.

    Parameters
    ----------
    paths : sequence of path
        Images, folders of images, and lists: ``.csv``, ``.txt`` or ``.parquet`` files with a column of paths.
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
    path_column : str
        Column of paths in a list.
    runtime : Runtime, optional
        Cache folder, threads and callbacks.

    Returns
    -------
    FeatureTable
        Sample ids are the paths as given, those in a folder below it.

    Raises
    ------
    DatasetError
        No such path, no image, an archive, or a list that cannot be used.
    SpecError
        This featx, or this machine, decodes images otherwise than the recipe says.
    WeightsError
        The weights are not those of the recipe.
    EngineError
        The recipe's engine does not run on the device that was asked for.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    check_cache(runtime.cache)
    resolve_engine(spec.engine, spec.precision, runtime.device)
    if spec.decode != decode_version():
        raise SpecError(
            f"these features were made with decoder {spec.decode}, this machine decodes as {decode_version()}: "
            "the same image would give other pixels. Install the image library they were made with (Pillow)"
        )
    if not exact:
        spec = reproducible_spec(spec, runtime)
    if weights is not None:
        locate(spec, weights, runtime)  # the wrong file is refused even if all is cached
    if graph is not None and spec.graph is not None:
        _keep_quantized(spec.graph, graph.tobytes(), runtime.cache)
    store = FeatureStore(runtime.cache, spec)
    samples: list[Sample] = []
    ignored: list[str] = []
    own_folders: list[OwnFolder] = []
    passes = []
    how = reading_key(spec.decode, spec.white, spec.page, runtime)
    for dataset in _unlabelled([Path(path) for path in paths], runtime.cache, how, path_column):
        notice_odd(dataset, dataset.name, runtime)
        memo = read_snapshot(runtime.cache, dataset.id, how) if dataset.id else {}
        remember = partial(remember_states, runtime.cache, dataset, how)
        filled = fill(dataset.images, memo, store, lambda: locate(spec, weights, runtime), runtime, remember)
        passes.append(filled)
        samples += [Sample(found.address) for found in dataset.images]
        ignored += [(dataset.root / entry.name).as_posix() for entry in dataset.ignored]
        own_folders += [replace(one, path=(dataset.root / one.path).as_posix()) for one in dataset.own_folders]
    filled = joined(passes)
    table = table_of("images", samples, ignored, filled, store, spec.backbone, started, own_folders=own_folders)
    check_strict(table, strict)
    return table


def _keep_quantized(name: str, graph: bytes, cache: Path) -> None:
    if quantized_name(graph) != name:
        raise SpecError(f"the quantized graph of this model is not the one that its recipe names ({name})")
    if read_quantized_graph(cache, name) is None:
        write_graph(cache, name, graph)


def _unlabelled(paths: Sequence[Path], cache: Path, how: str, path_column: str) -> Iterator[Dataset]:
    """Yield a data set for each folder and each list, and one for each run of single files between them."""
    kinds = [_kind(path) for path in paths]
    for kind, some in itertools.groupby(zip(paths, kinds, strict=True), key=lambda one: one[1]):
        given = [path for path, _ in some]
        if kind == "image":
            yield scan_files(given)
        elif kind == "list":
            yield from (scan_list(path, path_column) for path in given)
        else:
            for folder in given:
                yield scan_unlabelled(folder, read_snapshot(cache, dataset_id(folder, "unlabelled"), how))


def _kind(path: Path) -> Literal["folder", "list", "image"]:
    if source_at(path) is not None:
        return "folder"
    stop_if_packed(path)
    return "list" if is_list(path) else "image"
