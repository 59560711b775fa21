"""Remove unused content from a cache, such as rows of deleted images, leftovers and unused graphs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.arguments import checked
from featx.caching.specs import needed_graphs, specs_of
from featx.errors import DamagedStoreError, NewerFormatError, StoreError
from featx.runtime import Runtime
from featx.store import (
    CacheFile,
    FileKind,
    SnapshotSummary,
    SweepResult,
    delete_file,
    delete_run,
    is_cache,
    list_files,
    list_foreign,
    list_runs,
    list_stores,
    summarize_snapshot,
    sweep_store,
)

RemovedKind = Literal["rows", "store", "data set", "leftover", "old", "graph", "pairs", "shards", "training run"]

_OLD_SECONDS = 3600.0
"""Younger temporary files, graphs and training runs may belong to a run that is still active."""


@dataclass(frozen=True)
class Removed:
    """A removed file, or the rows removed from a feature store.

    Parameters
    ----------
    path : path
        The removed file or folder, or the store that contained the rows.
    kind : {"rows", "store", "data set", "leftover", "old", "graph", "pairs", "shards", "training run"}
        ``old``: a file of a feature store of format 1, which this version of featx does not read.
    n_rows : int
        Number of removed feature rows, or number of images of a removed data set.
    n_bytes : int
        Number of bytes freed.
    reason : str
        Reason for the removal.
    """

    path: Path
    kind: RemovedKind
    n_rows: int
    n_bytes: int
    reason: str


@dataclass(frozen=True)
class Cleaning:
    """Result of cleaning a cache.

    Parameters
    ----------
    cache : path
    dry_run : bool
        Whether the cache was left unchanged.
    removed : tuple of Removed
    kept : tuple of str
        Messages about content that was kept although it may seem unused, with the reasons.

    Examples
    --------
    >>> import featx
    >>> cleaning = featx.clean_cache(dry_run=True)
    >>> cleaning.dry_run, cleaning.removed
    (True, ())
    """

    cache: Path
    dry_run: bool
    removed: tuple[Removed, ...]
    kept: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx cache gc --json`` prints."""
        return {
            "cache": str(self.cache),
            "dry_run": self.dry_run,
            "n_rows": sum(removed.n_rows for removed in self.removed if removed.kind in ("rows", "store")),
            "n_bytes": sum(removed.n_bytes for removed in self.removed),
            "removed": [{**vars(removed), "path": str(removed.path)} for removed in self.removed],
            "kept": list(self.kept),
        }


@checked()
def clean_cache(*, gone: bool = False, dry_run: bool = False, runtime: Runtime | None = None) -> Cleaning:
    """Remove unused content from a cache.

    Unused content is: feature rows of contents that no snapshot of a data set lists (for example rows of images that
    were deleted before the last extraction of their data set, and rows of single files that were predicted), damaged
    rows, stores without rows, stores of format 1, leftovers of killed runs and repairs, graphs that no feature spec of
    a store needs, pairs of similar images and records of shards without a store or a snapshot, and finished training
    runs. A cleaned store has the same rows as a store that never contained the removed rows.

    Only a folder with the tag of featx is cleaned, and only files with names that featx writes are deleted. Links are
    not followed.

    Parameters
    ----------
    gone : bool
        Whether to also remove data sets whose folder does not exist. Such a folder may be on a disk that is not
        connected.
    dry_run : bool
        Whether to only report the content that would be removed.
    runtime : Runtime, optional
        Cache folder, and callback for notices.

    Returns
    -------
    Cleaning

    Raises
    ------
    StoreError
        If the folder is not a cache; nothing is then removed. If the snapshot of a data set cannot be read, so that the
        used rows are unknown; no row is then removed. If the cache cannot be written.

    Examples
    --------
    >>> import featx
    >>> len(featx.clean_cache(dry_run=True).removed)
    0
    """
    runtime = runtime or Runtime()
    work = _Work(runtime, dry_run)
    try:
        if not is_cache(runtime.cache):
            return Cleaning(runtime.cache, dry_run, (), ())
        forgotten = work.forget_datasets(gone)
        work.sweep_stores(forgotten)
        work.delete_leftovers()
        work.delete_graphs()
        work.delete_pairs(forgotten)
        work.delete_shards(forgotten)
        work.delete_runs()
        work.report_foreign()
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"{runtime.cache} cannot be cleaned: {error.strerror or error}") from None
    return Cleaning(runtime.cache, dry_run, tuple(work.removed), tuple(work.kept))


@dataclass
class _Work:
    runtime: Runtime
    dry_run: bool
    removed: list[Removed] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    deleted: set[Path] = field(default_factory=set)

    def forget_datasets(self, gone: bool) -> set[Path]:
        """Remove the snapshots of data sets whose folder does not exist, and return their paths."""
        forgotten = set()
        for path, dataset in _summaries(self.runtime.cache, ()).items():
            if not dataset.is_gone:
                continue
            if not gone:
                self.kept.append(
                    f"{dataset.root} does not exist; `gone=True` removes the record of its {dataset.n_images:,} images"
                )
                continue
            self._remove(path, "data set", dataset.n_images, f"the folder {dataset.root} does not exist")
            forgotten.add(path)
        return forgotten

    def sweep_stores(self, forgotten: Collection[Path]) -> None:
        """Remove the rows whose contents no data set lists."""

        def named() -> NDArray[np.uint8]:
            hashes = [dataset.content_hashes for dataset in _summaries(self.runtime.cache, forgotten).values()]
            return np.concatenate([np.empty((0, 32), np.uint8), *hashes])

        for folder in list_stores(self.runtime.cache):
            try:
                swept = sweep_store(folder, named, self.runtime.notice, self.dry_run)
            except (DamagedStoreError, NewerFormatError) as error:
                self.kept.append(f"{folder.name} is kept: {error}")
            else:
                self._note(folder, swept)

    def delete_leftovers(self) -> None:
        """Delete the files of stores of format 1, and the files that killed runs and repairs left behind."""
        for file in self._files("old"):
            self._remove(file.path, "old", 0, "this version of featx does not read format 1")
        for file in self._files("leftover"):
            is_temporary = file.path.suffix == ".tmp"
            if not is_temporary or _is_old(file.mtime):
                reason = "a killed run left this file" if is_temporary else "the file was damaged and set aside"
                self._remove(file.path, "leftover", 0, reason)

    def delete_graphs(self) -> None:
        """Delete the graphs that no feature spec of a store needs."""
        stores = [folder for folder in list_stores(self.runtime.cache) if folder not in self.deleted]
        specs, errors = specs_of(stores)
        if errors:
            self.kept.append("all graphs are kept, because a store that cannot be read may need them")
            return
        needed = needed_graphs(self.runtime.cache, specs)
        for file in self._files("graph", "note"):
            if file.path.parent.name == "graphs" and _is_old(file.mtime) and not needed.has(file.path):
                self._remove(file.path, "graph", 0, "no feature spec of a store needs this graph")

    def delete_pairs(self, forgotten: Collection[Path]) -> None:
        """Delete the pairs of data sets without a snapshot, and of stores that do not exist."""
        ids = {file.path.stem for file in self._files("data set") if file.path not in forgotten}
        ids |= {folder.name for folder in list_stores(self.runtime.cache) if folder not in self.deleted}
        for file in self._files("pairs"):
            of_store, _, of_dataset = file.path.stem.partition("-")
            if of_dataset not in ids:
                self._remove(file.path, "pairs", 0, "no snapshot of its data set")
            elif of_store not in ids:
                self._remove(file.path, "pairs", 0, "its feature store does not exist")

    def delete_shards(self, forgotten: Collection[Path]) -> None:
        """Delete the records of shards of data sets without a snapshot, and of stores that do not exist."""
        ids = {file.path.stem for file in self._files("data set") if file.path not in forgotten}
        ids |= {folder.name for folder in list_stores(self.runtime.cache) if folder not in self.deleted}
        for file in self._files("note"):
            if file.path.parent.name == "datasets" and not set(file.path.stem.split("-")) <= ids:
                self._remove(file.path, "shards", 0, "no snapshot of its data set, or no feature store")

    def delete_runs(self) -> None:
        """Delete finished training runs; an interrupted run is kept, because its command can continue it."""
        for run in list_runs(self.runtime.cache):
            if run.foreign:
                what = f"{run.foreign[0]}{', ...' if len(run.foreign) > 1 else ''}"
                self.kept.append(f"training run {run.path.name} is kept: featx did not write {what} in this folder")
            elif not run.is_finished:
                self.kept.append(f"training run {run.path.name} is not finished; repeat its command to finish it")
            elif _is_old(run.mtime):
                try:
                    if not self.dry_run:
                        delete_run(run)
                except StoreError as error:
                    self.kept.append(f"training run {run.path.name} is kept: {error}")
                else:
                    self.removed.append(Removed(run.path, "training run", 0, run.n_bytes, "the run is finished"))

    def report_foreign(self) -> None:
        """Report the files that are kept because featx did not write them."""
        paths = [file.path for file in self._files("other") if file.path.name != ".gitignore"]
        paths = sorted([*paths, *list_foreign(self.runtime.cache)], key=lambda path: not path.is_symlink())
        if paths:
            first = f"{paths[0]}{', a link,' if paths[0].is_symlink() else ''}"
            rest = f"and {len(paths) - 1:,} more are" if len(paths) > 1 else "is"
            self.kept.append(f"{first} {rest} kept: not written by featx")

    def _files(self, *kinds: FileKind) -> list[CacheFile]:
        return [file for file in list_files(self.runtime.cache) if file.kind in kinds]

    def _note(self, path: Path, swept: SweepResult) -> None:
        if swept.n_unfinished:
            self.kept.append(
                f"{path.name}: {swept.n_unfinished:,} rows of an unfinished run are kept; repeat the command of that "
                "run to finish it"
            )
        if swept.deleted:
            reason = "no data set lists any of its rows"
            self.removed.append(Removed(path, "store", swept.n_removed, swept.n_bytes, reason))
            self.deleted.add(path)
        elif swept.n_removed:
            reason = "the rows are damaged, or no data set lists them"
            self.removed.append(Removed(path, "rows", swept.n_removed, swept.n_bytes, reason))

    def _remove(self, path: Path, kind: RemovedKind, n_rows: int, reason: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # another run may have deleted the file meanwhile
            self.removed.append(Removed(path, kind, n_rows, path.lstat().st_size, reason))
        if not self.dry_run:
            delete_file(path)


def _is_old(mtime: float) -> bool:
    """Return whether a file is too old to belong to an active run; a time far in the future is also too old."""
    return abs(time.time() - mtime) >= _OLD_SECONDS


def _summaries(cache: Path, without: Collection[Path]) -> dict[Path, SnapshotSummary]:
    """Return the summaries of all snapshots, by path."""
    summaries = {}
    for file in list_files(cache):
        if file.kind == "data set" and file.path not in without:
            try:
                summaries[file.path] = summarize_snapshot(file.path)
            except FileNotFoundError:  # another run may have deleted the file meanwhile
                continue
            except StoreError as error:
                raise StoreError(
                    f"{error}. The rows of its data set are unknown; therefore no row is removed. Extract the data set "
                    "again, or delete the file"
                ) from None
    return summaries
