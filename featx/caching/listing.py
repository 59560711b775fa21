"""List the feature stores, data sets, graphs and training runs in a cache."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from featx.arguments import checked
from featx.caching.specs import backbones_of_graphs, needed_graphs, specs_of
from featx.dataset import dataset_id
from featx.errors import NewerFormatError, StoreError
from featx.runtime import Runtime
from featx.store import (
    JOURNAL,
    CacheFile,
    count_journal,
    last_use,
    list_files,
    list_runs,
    list_stores,
    open_segments,
    read_store_header,
    spec_of,
    summarize_snapshot,
)

Purpose = Literal["extract", "predict", "manifest", ""]
"""Purpose for which a data set was scanned."""


@dataclass(frozen=True)
class StoreEntry:
    """A feature store.

    Parameters
    ----------
    id : str
        Name of the store, which is a digest of the feature spec.
    status : {"ok", "damaged", "newer", "old"}
        ``ok``: the feature spec and the structure can be read. ``damaged``: a segment cannot be read. ``newer``: a
        later version of featx wrote the store. ``old``: the store has format 1, which is not read. Rows are not
        checked; see :func:`featx.verify_cache`.
    problem : str
        Reason why the store or a segment cannot be read; otherwise empty.
    spec : dict
        Feature spec, without fields that have their default value; empty if the store cannot be read.
    n_rows, n_unfinished : int
        Number of rows in the segments, and in the journal of an unfinished run.
    n_segments : int
        Number of segments.
    n_features : int
        Number of features per image; 0 if the store cannot be read.
    n_bytes : int
        Size of all files of the store in bytes.
    last_used : str
        Time when rows were last looked up or written, in ISO 8601; empty if the file system gives no valid time.
    """

    id: str
    status: Literal["ok", "damaged", "newer", "old"]
    problem: str
    spec: dict[str, Any]
    n_rows: int
    n_unfinished: int
    n_segments: int
    n_features: int
    n_bytes: int
    last_used: str


@dataclass(frozen=True)
class DatasetEntry:
    """A data set that was scanned, with the snapshot of its files.

    Parameters
    ----------
    id : str
        Name of the snapshot.
    status, problem : str
        Whether the snapshot can be read, and the reason if not, as for :class:`StoreEntry`.
    root : str
        Folder of the data set, or folder of the manifest.
    kind : {"extract", "predict", "manifest", ""}
        Whether the data set is an extracted folder, a predicted folder, or the images of a manifest; empty if the
        snapshot cannot be read.
    root_exists : bool
        Whether the folder exists now.
    n_images, n_skipped : int
        Number of usable images, and number of skipped images, in the last scan.
    n_bytes : int
        Size of the snapshot in bytes.
    scanned : str
        Time of the last scan, in ISO 8601.
    """

    id: str
    status: Literal["ok", "damaged", "newer"]
    problem: str
    root: str
    kind: Purpose
    root_exists: bool
    n_images: int
    n_skipped: int
    n_bytes: int
    scanned: str


@dataclass(frozen=True)
class GraphEntry:
    """A converted or quantized network.

    Parameters
    ----------
    name : str
    backbone : str
        Backbone from which the graph was converted, with its input size, layer, pooling and precision; empty if no
        store shows it.
    n_bytes : int
        Size of the graph in bytes.
    needed : bool
        Whether the feature spec of a store needs the graph, given the installed libraries; true for all graphs if a
        store cannot be read.
    """

    name: str
    backbone: str
    n_bytes: int
    needed: bool


@dataclass(frozen=True)
class RunEntry:
    """A training run of ``featx finetune`` or ``featx compare``.

    Parameters
    ----------
    id : str
    is_finished : bool
        Whether the run is finished. If not, the same command continues the run.
    n_bytes : int
        Size of the files of the run in bytes.
    last_used : str
        Time of the last write, in ISO 8601.
    """

    id: str
    is_finished: bool
    n_bytes: int
    last_used: str


@dataclass(frozen=True)
class CacheListing:
    """Content of a cache.

    Parameters
    ----------
    cache : path
    stores : tuple of StoreEntry
        Feature stores, most recently used first.
    datasets : tuple of DatasetEntry
        Data sets, sorted by root.
    graphs : tuple of GraphEntry
    runs : tuple of RunEntry
    n_pairs, pairs_bytes : int
        Number and total size of the files of pairs of similar images, one for each data set and feature store.
    n_leftovers, leftover_bytes : int
        Number and total size of the files that killed runs and repairs left behind.
    n_bytes : int
        Total size of all files in bytes.

    Examples
    --------
    >>> import featx
    >>> listing = featx.list_cache()
    >>> listing.stores[0].n_rows
    300
    """

    cache: Path
    stores: tuple[StoreEntry, ...]
    datasets: tuple[DatasetEntry, ...]
    graphs: tuple[GraphEntry, ...]
    runs: tuple[RunEntry, ...]
    n_pairs: int
    pairs_bytes: int
    n_leftovers: int
    leftover_bytes: int
    n_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx cache ls --json`` prints."""
        return {**asdict(self), "cache": str(self.cache)}


@checked()
def list_cache(*, runtime: Runtime | None = None) -> CacheListing:
    """List the content of a cache, without checking the rows.

    Damaged files and files of a later version of featx are listed with the status ``damaged`` or ``newer``. The listing
    of a cache that does not exist is empty.

    Parameters
    ----------
    runtime : Runtime, optional
        Cache folder.

    Returns
    -------
    CacheListing

    Raises
    ------
    StoreError
        If the folder is not a cache.

    Examples
    --------
    >>> import featx
    >>> [store.n_features for store in featx.list_cache().stores]
    [1280]
    """
    cache = (runtime or Runtime()).cache
    files = list_files(cache)
    by_kind = {kind: [file for file in files if file.kind == kind] for kind in {file.kind for file in files}}
    leftovers, pairs = by_kind.get("leftover", []), by_kind.get("pairs", [])
    folders = list_stores(cache)
    stores = [_store(folder, sum(file.n_bytes for file in files if file.path.parent == folder)) for folder in folders]
    stores += _old_stores(by_kind.get("old", []))
    datasets = [_dataset(file) for file in by_kind.get("data set", [])]
    runs = tuple(RunEntry(run.path.name, run.is_finished, run.n_bytes, _time(run.mtime)) for run in list_runs(cache))
    return CacheListing(
        cache,
        tuple(sorted(stores, key=lambda entry: entry.last_used, reverse=True)),
        tuple(sorted(datasets, key=lambda entry: (entry.root, entry.kind))),
        _graphs(cache, by_kind.get("graph", []), folders),
        runs,
        len(pairs),
        sum(file.n_bytes for file in pairs),
        len(leftovers),
        sum(file.n_bytes for file in leftovers),
        sum(file.n_bytes for file in files) + sum(run.n_bytes for run in runs),
    )


def _store(folder: Path, n_bytes: int) -> StoreEntry:
    try:
        used = _time(last_use(folder))
    except FileNotFoundError:  # another run may have cleaned the cache meanwhile
        used = ""
    try:
        segments = open_segments(folder)
        header = read_store_header(folder)
        spec_of(folder, header)
    except StoreError as error:
        return StoreEntry(folder.name, _status(error), str(error), {}, 0, 0, 0, 0, n_bytes, used)
    problem = next(iter(segments.damaged.values()), None)
    return StoreEntry(
        id=folder.name,
        status="ok" if problem is None else _status(problem),
        problem="" if problem is None else str(problem),
        spec=json.loads(header.spec),
        n_rows=sum(len(segment.rows) for segment in segments.live),
        n_unfinished=count_journal(folder / JOURNAL)[0],
        n_segments=len(segments.live),
        n_features=header.n_features,
        n_bytes=n_bytes,
        last_used=used,
    )


def _old_stores(files: Sequence[CacheFile]) -> list[StoreEntry]:
    """Return an entry for each feature store of format 1."""
    problem = "format 1, which this version of featx does not read; featx cache gc deletes it"
    names = sorted({file.path.name[:16] for file in files if file.path.suffix == ".h5"})
    sizes = {name: sum(file.n_bytes for file in files if file.path.name.startswith(name)) for name in names}
    times = {file.path.name[:16]: _time(file.mtime) for file in files if file.path.suffix == ".h5"}
    return [StoreEntry(name, "old", problem, {}, 0, 0, 0, 0, sizes[name], times[name]) for name in names]


def _dataset(file: CacheFile) -> DatasetEntry:
    name, scanned = file.path.stem, _time(file.mtime)
    try:
        summary = summarize_snapshot(file.path)
    except OSError as error:
        return DatasetEntry(name, _status(error), str(error), "", "", False, 0, 0, file.n_bytes, scanned)
    root = summary.root
    purposes: dict[str, Purpose] = {dataset_id(root): "extract", dataset_id(root, "unlabelled"): "predict"}
    kind, root_exists = purposes.get(name, "manifest"), not summary.is_gone
    return DatasetEntry(
        name, "ok", "", str(root), kind, root_exists, summary.n_images, summary.n_skipped, file.n_bytes, scanned
    )


def _graphs(cache: Path, files: Sequence[CacheFile], stores: Sequence[Path]) -> tuple[GraphEntry, ...]:
    specs, errors = specs_of(stores)
    needed, backbones = needed_graphs(cache, specs), backbones_of_graphs(specs)
    return tuple(
        GraphEntry(
            file.path.stem,
            backbones.get(file.path.stem, ""),
            file.n_bytes,
            bool(errors) or needed.has(file.path),
        )
        for file in files
    )


def _status(error: OSError) -> Literal["damaged", "newer"]:
    return "newer" if isinstance(error, NewerFormatError) else "damaged"


def _time(seconds: float) -> str:
    """Return a time in ISO 8601; empty if the time is outside the range of ``datetime``."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
    except (OSError, OverflowError, ValueError):
        return ""
