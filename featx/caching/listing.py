"""What is in a cache: feature stores, data sets, graphs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from featx.arguments import checked
from featx.caching.specs import needed_graphs, recipes_of
from featx.dataset import dataset_id
from featx.errors import NewerFormatError, StoreError
from featx.runtime import Runtime
from featx.store import (
    CacheFile,
    count_journal,
    count_sorted_rows,
    last_use,
    list_files,
    list_runs,
    spec_of,
    summarize_snapshot,
)

Purpose = Literal["extract", "predict", "manifest", ""]
"""What a data set was scanned for."""


@dataclass(frozen=True)
class StoreEntry:
    """A feature store.

    Parameters
    ----------
    id : str
        Its name: a digest of the recipe.
    status : {"ok", "damaged", "newer"}
        Whether it can be read: its recipe and structure, not each row (:func:`featx.verify_cache`).
    problem : str
        Why it cannot be read; empty if it can.
    spec : dict
        The recipe, fields at their default left out; empty if it cannot be read.
    n_rows, n_unfinished : int
        Rows of its file, and of its journal, which a run left that did not come to its end.
    n_features : int
        Numbers per image; 0 if it cannot be read.
    n_bytes : int
        On the disk, with its journal.
    last_used : str
        When rows were looked up or written last, ISO 8601; empty where the file system names no time.
    """

    id: str
    status: Literal["ok", "damaged", "newer"]
    problem: str
    spec: dict[str, Any]
    n_rows: int
    n_unfinished: int
    n_features: int
    n_bytes: int
    last_used: str


@dataclass(frozen=True)
class DatasetEntry:
    """A data set that was scanned.

    Parameters
    ----------
    id : str
        Name of its snapshot.
    status, problem : str
        As of a store.
    root : str
        Its folder, or that of its manifest.
    kind : {"extract", "predict", "manifest", ""}
        A folder that was extracted or one that was predicted, or the images of a manifest; empty if it
        cannot be read.
    root_exists : bool
        Whether that folder is there now.
    n_images, n_skipped : int
        Usable images at the last scan, and images that could not be used.
    n_bytes : int
        Of the snapshot.
    scanned : str
        When it was scanned last, ISO 8601.
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
    n_bytes : int
    needed : bool
        Whether the recipe of a store needs it, with the libraries as they are installed now.
    """

    name: str
    n_bytes: int
    needed: bool


@dataclass(frozen=True)
class RunEntry:
    """A training run of ``featx finetune`` or ``featx compare``.

    Parameters
    ----------
    id : str
    is_finished : bool
        Whether it came to its end; otherwise the same command goes on with it.
    n_bytes : int
    last_used : str
        When it was written to last, ISO 8601.
    """

    id: str
    is_finished: bool
    n_bytes: int
    last_used: str


@dataclass(frozen=True)
class CacheListing:
    """What is in a cache.

    Parameters
    ----------
    cache : path
    stores : tuple of StoreEntry
        The one used last first.
    datasets : tuple of DatasetEntry
        By root.
    graphs : tuple of GraphEntry
    runs : tuple of RunEntry
    n_leftovers, leftover_bytes : int
        Files of killed runs and repairs, and their size.
    n_bytes : int
        Of all files together.
    """

    cache: Path
    stores: tuple[StoreEntry, ...]
    datasets: tuple[DatasetEntry, ...]
    graphs: tuple[GraphEntry, ...]
    runs: tuple[RunEntry, ...]
    n_leftovers: int
    leftover_bytes: int
    n_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx cache ls --json``."""
        return {**asdict(self), "cache": str(self.cache)}


@checked()
def list_cache(*, runtime: Runtime | None = None) -> CacheListing:
    """List what is in a cache, without looking at each row.

    What is damaged or of a later featx is listed as such. A cache that does not exist is an empty one.

    Parameters
    ----------
    runtime : Runtime, optional
        Names the cache.

    Raises
    ------
    StoreError
        The folder is no cache.
    """
    cache = (runtime or Runtime()).cache
    files = list_files(cache)
    by_kind = {kind: [file for file in files if file.kind == kind] for kind in {file.kind for file in files}}
    leftovers = by_kind.get("leftover", [])
    journals = {file.path.stem: file.n_bytes for file in by_kind.get("journal", [])}
    stores = [_store(file, journals.get(file.path.stem, 0)) for file in by_kind.get("features", [])]
    datasets = [_dataset(file) for file in by_kind.get("data set", [])]
    runs = tuple(RunEntry(run.path.name, run.is_finished, run.n_bytes, _time(run.mtime)) for run in list_runs(cache))
    return CacheListing(
        cache,
        tuple(sorted(stores, key=lambda entry: entry.last_used, reverse=True)),
        tuple(sorted(datasets, key=lambda entry: (entry.root, entry.kind))),
        _graphs(cache, by_kind.get("graph", []), [file.path for file in by_kind.get("features", [])]),
        runs,
        len(leftovers),
        sum(file.n_bytes for file in leftovers),
        sum(file.n_bytes for file in files) + sum(run.n_bytes for run in runs),
    )


def _store(file: CacheFile, journal_bytes: int) -> StoreEntry:
    path, journal = file.path, file.path.with_suffix(".journal")
    try:
        used = _time(last_use(path))
    except FileNotFoundError:  # another run cleans the cache
        used = _time(file.mtime)
    n_bytes = file.n_bytes + journal_bytes
    try:
        head, n_rows = count_sorted_rows(path)
        spec_of(path, head)
    except StoreError as error:
        return StoreEntry(path.stem, _status(error), str(error), {}, 0, 0, 0, n_bytes, used)
    n_unfinished = count_journal(journal, head.n_features)[0]
    spec = json.loads(head.spec)
    return StoreEntry(path.stem, "ok", "", spec, n_rows, n_unfinished, head.n_features, n_bytes, used)


def _dataset(file: CacheFile) -> DatasetEntry:
    name, scanned = file.path.stem, _time(file.mtime)
    try:
        found = summarize_snapshot(file.path)
    except OSError as error:
        return DatasetEntry(name, _status(error), str(error), "", "", False, 0, 0, file.n_bytes, scanned)
    purposes: dict[str, Purpose] = {dataset_id(found.root): "extract", dataset_id(found.root, "unlabelled"): "predict"}
    kind, there = purposes.get(name, "manifest"), not found.is_gone
    return DatasetEntry(
        name, "ok", "", str(found.root), kind, there, found.n_images, found.n_skipped, file.n_bytes, scanned
    )


def _graphs(cache: Path, files: Sequence[CacheFile], stores: Sequence[Path]) -> tuple[GraphEntry, ...]:
    specs, errors = recipes_of(stores)
    needed = needed_graphs(cache, specs)
    return tuple(GraphEntry(file.path.stem, file.n_bytes, bool(errors) or needed.has(file.path)) for file in files)


def _status(error: OSError) -> Literal["damaged", "newer"]:
    return "newer" if isinstance(error, NewerFormatError) else "damaged"


def _time(seconds: float) -> str:
    """Return a time in ISO 8601; empty where no calendar has it."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
    except (OSError, OverflowError, ValueError):
        return ""
