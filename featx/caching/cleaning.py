"""Remove from a cache what nothing needs: rows of deleted images, lost data sets, leftovers, stale graphs."""

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
from featx.caching.specs import needed_graphs, recipes_of
from featx.errors import DamagedStoreError, NewerFormatError, StoreError
from featx.runtime import Runtime
from featx.store import (
    CacheFile,
    FileKind,
    SnapshotSummary,
    Swept,
    delete_file,
    delete_leftover,
    delete_run,
    is_cache,
    list_files,
    list_runs,
    list_strangers,
    summarize_snapshot,
    sweep_store,
)

RemovedKind = Literal["rows", "store", "data set", "leftover", "graph", "training run"]

_OLD_SECONDS = 3600.0
"""Younger temporary files and graphs may be those of a run that is still at work."""


@dataclass(frozen=True)
class Removed:
    """Something that was removed.

    Parameters
    ----------
    path : path
        The file, or the store that the rows were in.
    kind : {"rows", "store", "data set", "leftover", "graph", "training run"}
    n_rows : int
        Rows of features, or images of a data set.
    n_bytes : int
    reason : str
        For people.
    """

    path: Path
    kind: RemovedKind
    n_rows: int
    n_bytes: int
    reason: str


@dataclass(frozen=True)
class Cleaning:
    """What was removed from a cache.

    Parameters
    ----------
    cache : path
    dry_run : bool
        Whether nothing was done, only found out.
    removed : tuple of Removed
    kept : tuple of str
        What was left alone and might be expected to go, and why.
    """

    cache: Path
    dry_run: bool
    removed: tuple[Removed, ...]
    kept: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx cache gc --json``."""
        return {
            "cache": str(self.cache),
            "dry_run": self.dry_run,
            "n_rows": sum(one.n_rows for one in self.removed if one.kind in ("rows", "store")),
            "n_bytes": sum(one.n_bytes for one in self.removed),
            "removed": [{**vars(one), "path": str(one.path)} for one in self.removed],
            "kept": list(self.kept),
        }


@checked()
def clean_cache(*, gone: bool = False, dry_run: bool = False, runtime: Runtime | None = None) -> Cleaning:
    """Remove from a cache what nothing needs.

    That is: rows whose content no data-set snapshot names, as of images that were deleted before their set was
    extracted last, and of single files that were predicted; stores without rows; leftovers of killed runs and repairs;
    graphs that no store's recipe needs; training runs that came to their end. A store has afterwards the bytes of one
    that never had more.

    Only a folder with the tag of featx is cleaned, and only files of the names that featx writes are deleted. No link
    is followed.

    Parameters
    ----------
    gone : bool
        Forget data sets whose folder does not exist. It may be on a disk that is not plugged in.
    dry_run : bool
        Only find out what would be removed.
    runtime : Runtime, optional
        Names the cache; is told which other run is waited for.

    Raises
    ------
    StoreError
        The folder is no cache: nothing was removed. Or a data-set snapshot cannot be read, so that the rows it names
        are not known: no row was removed. Or the cache cannot be written.
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
        work.delete_runs()
        work.name_strangers()
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
        """Remove the snapshots of data sets whose folder is gone, and return them."""
        forgotten = set()
        for path, dataset in _summaries(self.runtime.cache, ()).items():
            if not dataset.is_gone:
                continue
            if not gone:
                self.kept.append(f"{dataset.root} is gone; `gone=True` forgets its {dataset.n_images:,} images")
                continue
            self._remove(path, "data set", dataset.n_images, f"its folder {dataset.root} is gone")
            forgotten.add(path)
        return forgotten

    def sweep_stores(self, forgotten: Collection[Path]) -> None:
        """Remove the rows that no data set names."""

        def named() -> NDArray[np.uint8]:
            hashes = [dataset.content_hashes for dataset in _summaries(self.runtime.cache, forgotten).values()]
            return np.concatenate([np.empty((0, 32), np.uint8), *hashes])

        for file in self._files("features"):
            try:
                swept = sweep_store(file.path, named, self.runtime.notice, self.dry_run)
            except (DamagedStoreError, NewerFormatError) as error:
                self.kept.append(f"{file.path.name} is left alone: {error}")
            else:
                self._note(file.path, swept)

    def delete_leftovers(self) -> None:
        """Delete what killed runs and repairs left."""
        for file in self._files("leftover"):
            is_young = file.path.suffix == ".tmp" and not _is_old(file.mtime)
            if not is_young and (self.dry_run or delete_leftover(file.path, self.runtime.notice)):
                whys = {".tmp": "a killed run left it", ".damaged": "it was damaged and set aside"}
                why = whys.get(file.path.suffix, "it has no store")
                self.removed.append(Removed(file.path, "leftover", 0, file.n_bytes, why))

    def delete_graphs(self) -> None:
        """Delete the graphs that no store's recipe needs."""
        stores = [file.path for file in self._files("features") if file.path not in self.deleted]
        specs, errors = recipes_of(stores)
        if errors:
            self.kept.append("all graphs are left alone: what the stores that cannot be read need is not known")
            return
        needed = needed_graphs(self.runtime.cache, specs)
        for file in self._files("graph", "note"):
            if file.path.parent.name == "graphs" and _is_old(file.mtime) and not needed.has(file.path):
                self._remove(file.path, "graph", 0, "no store's recipe needs it")

    def delete_runs(self) -> None:
        """Delete training runs that came to their end; one that was stopped stays, for its command to go on."""
        for run in list_runs(self.runtime.cache):
            if run.foreign:
                what = f"{run.foreign[0]}{', ...' if len(run.foreign) > 1 else ''}"
                self.kept.append(f"training run {run.path.name} is left alone: featx did not write {what} in it")
            elif not run.is_finished:
                self.kept.append(f"training run {run.path.name} was stopped; repeat its command to finish it")
            elif _is_old(run.mtime):
                try:
                    if not self.dry_run:
                        delete_run(run)
                except StoreError as error:
                    self.kept.append(f"training run {run.path.name} is left alone: {error}")
                else:
                    self.removed.append(Removed(run.path, "training run", 0, run.n_bytes, "it came to its end"))

    def name_strangers(self) -> None:
        """Say what is left alone since featx did not write it."""
        paths = [file.path for file in self._files("other") if file.path.name != ".gitignore"]
        paths = sorted([*paths, *list_strangers(self.runtime.cache)], key=lambda path: not path.is_symlink())
        if paths:
            first = f"{paths[0]}{', a link,' if paths[0].is_symlink() else ''}"
            rest = f"and {len(paths) - 1:,} more are" if len(paths) > 1 else "is"
            self.kept.append(f"{first} {rest} left alone: featx did not write that")

    def _files(self, *kinds: FileKind) -> list[CacheFile]:
        return [file for file in list_files(self.runtime.cache) if file.kind in kinds]

    def _note(self, path: Path, swept: Swept) -> None:
        if swept.n_unfinished:
            self.kept.append(
                f"{path.name}: {swept.n_unfinished:,} rows of a run that did not come to its end; repeat its command "
                "to finish it"
            )
        if swept.deleted:
            why = "no data set names any of its rows"
            self.removed.append(Removed(path, "store", swept.n_removed, swept.n_bytes, why))
            self.deleted.add(path)
        elif swept.n_removed:
            why = "damaged, or named by no data set"
            self.removed.append(Removed(path, "rows", swept.n_removed, swept.n_bytes, why))

    def _remove(self, path: Path, kind: RemovedKind, n_rows: int, reason: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # another run deletes too
            self.removed.append(Removed(path, kind, n_rows, path.lstat().st_size, reason))
        if not self.dry_run:
            delete_file(path)


def _is_old(mtime: float) -> bool:
    """Tell whether no run that is at work wrote a file; a clock may have gone wrong in either direction."""
    return abs(time.time() - mtime) >= _OLD_SECONDS


def _summaries(cache: Path, without: Collection[Path]) -> dict[Path, SnapshotSummary]:
    """Return what all snapshots say."""
    found = {}
    for file in list_files(cache):
        if file.kind == "data set" and file.path not in without:
            try:
                found[file.path] = summarize_snapshot(file.path)
            except FileNotFoundError:  # another run forgets data sets too
                continue
            except StoreError as error:
                raise StoreError(
                    f"{error}; which rows it names is not known, so none is removed. Extract its data set again, "
                    "or delete the file"
                ) from None
    return found
