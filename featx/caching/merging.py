"""Merge caches into which different machines extracted shards of a data set."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from featx.arguments import checked
from featx.errors import ArgumentError, StoreError
from featx.runtime import Runtime
from featx.store import (
    CopiedFrom,
    FeatureStore,
    ShardRecord,
    check_cache,
    copy_graph_notes,
    copy_quantized_graph,
    copy_rows,
    is_cache,
    list_files,
    list_shards,
    list_stores,
    merge_snapshots,
    note_use,
    open_store,
    read_latest,
    remember_shards,
    write_latest,
)

_MOST_PARTS = 1 << 22
"""Maximum number of parts into which shards of different numbers divide a data set, for the search of missing ones."""


@dataclass(frozen=True)
class MergedStore:
    """A feature store that was merged.

    Parameters
    ----------
    id : str
    spec : dict
        Feature spec, without fields that have their default value.
    n_caches : int
        Number of caches that have this store.
    n_rows, n_added : int
        Number of undamaged rows in these caches, and number of rows that were added to the target.
    n_damaged : int
        Number of damaged rows, which were not merged.
    """

    id: str
    spec: dict[str, Any]
    n_caches: int
    n_rows: int
    n_added: int
    n_damaged: int


@dataclass(frozen=True)
class MergedDataset:
    """A data set whose snapshots were merged.

    Parameters
    ----------
    id : str
    root : str
        Folder of the data set, or folder of the manifest.
    n_images, n_skipped : int
        Number of usable images and of skipped images in the merged snapshot.
    """

    id: str
    root: str
    n_images: int
    n_skipped: int


@dataclass(frozen=True)
class MergedShards:
    """The shards of a data set that were extracted with one feature spec.

    Parameters
    ----------
    root : str
        Folder of the data set, or folder of the manifest.
    features_id : str
    views : int
        Number of augmented views of each image; 0 for the images themselves.
    shards : tuple of str
        The shards in the target, such as ``3/16``.
    missing : tuple of str
        The shards that are in none of the merged caches.
    listings : dict of str to list of str
        The shards that listed the same files, by the number of images that were listed and a digest of their names and
        sizes. More than one entry shows that the data set changed between the runs.
    """

    root: str
    features_id: str
    views: int
    shards: tuple[str, ...]
    missing: tuple[str, ...]
    listings: dict[str, list[str]]


@dataclass(frozen=True)
class Merge:
    """Result of merging caches.

    Parameters
    ----------
    cache : path
        The target.
    folders : tuple of path
        The caches that were merged.
    stores : tuple of MergedStore
    datasets : tuple of MergedDataset
    shards : tuple of MergedShards
    remarks : tuple of str
        Remarks about caches that do not belong together, such as different feature specs.
    problems : tuple of str
        What was not merged, and the reasons.
    seconds : float
        Wall time in seconds.

    Examples
    --------
    >>> import featx
    >>> for number in (1, 2):
    ...     done = featx.extract("data", shard=f"{number}/2", runtime=featx.Runtime(cache=f"part-{number}"))
    >>> merge = featx.merge_caches(["part-1", "part-2"], runtime=featx.Runtime(cache="merged"))
    >>> merge.n_missing, merge.stores[0].n_added
    (0, 300)
    """

    cache: Path
    folders: tuple[Path, ...]
    stores: tuple[MergedStore, ...]
    datasets: tuple[MergedDataset, ...]
    shards: tuple[MergedShards, ...]
    remarks: tuple[str, ...]
    problems: tuple[str, ...]
    seconds: float

    @property
    def n_missing(self) -> int:
        """Number of missing shards."""
        return sum(len(one.missing) for one in self.shards)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx cache merge --json`` prints."""
        return {
            "cache": str(self.cache),
            "folders": [str(folder) for folder in self.folders],
            "n_added": sum(store.n_added for store in self.stores),
            "n_damaged": sum(store.n_damaged for store in self.stores),
            "n_missing": self.n_missing,
            "stores": [asdict(store) for store in self.stores],
            "datasets": [asdict(dataset) for dataset in self.datasets],
            "shards": [
                {**asdict(one), "shards": list(one.shards), "missing": list(one.missing)} for one in self.shards
            ],
            "remarks": list(self.remarks),
            "problems": list(self.problems),
            "seconds": round(self.seconds, 3),
        }


@checked()
def merge_caches(folders: Sequence[str | Path], *, runtime: Runtime | None = None) -> Merge:
    """Merge caches, into which different machines extracted shards of a data set, into one cache.

    The target gets all undamaged feature rows that it lacks, the file states of the data sets, so that
    :func:`featx.fit` on the merged cache computes nothing and reads no unchanged file, and the quantized networks of
    int8. Rows of different feature specs and states of different data sets remain apart. The merged caches are not
    changed. A merge that was stopped can be repeated; what is already merged is not copied again.

    Parameters
    ----------
    folders : sequence of path
        Caches to merge. Of rows with the same key, the row of the first folder is used.
    runtime : Runtime, optional
        The target, as cache folder, and callbacks. The target may contain other features.

    Returns
    -------
    Merge
        What was merged, and the shards that are missing.

    Raises
    ------
    ArgumentError
        If no folder is given, or the target is one of the folders.
    StoreError
        If a folder is not a cache, or the target cannot be written; what is merged so far is kept.

    Examples
    --------
    >>> import featx
    >>> merge = featx.merge_caches(["part-1", "part-2"], runtime=featx.Runtime(cache="merged"))
    >>> merge.shards[0].shards, merge.problems
    (('1/2', '2/2'), ())
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    work = _Work(_caches(folders, runtime.cache), runtime)
    check_cache(runtime.cache)
    work.merge_datasets()  # first, so that no cleaning of the target removes rows that are just copied
    work.merge_stores()
    work.merge_notes()
    shards = work.merge_shards()
    return Merge(
        runtime.cache,
        work.folders,
        tuple(work.stores),
        tuple(work.datasets),
        shards,
        tuple(_remarks(work.stores, shards)),
        tuple(work.problems),
        time.monotonic() - started,
    )


def _caches(folders: Sequence[str | Path], target: Path) -> tuple[Path, ...]:
    """Return the folders without repetition, after checking that each of them is a cache and not the target."""
    if not folders:
        raise ArgumentError("no folder to merge is given; expected the caches of the shards")
    found: dict[str, Path] = {}
    for folder in map(Path, folders):
        place = os.path.realpath(folder)
        if place == os.path.realpath(target):
            raise ArgumentError(
                f"{folder} is the target of the merge and one of the folders to merge; leave it out, or choose another "
                "`cache`"
            )
        if not is_cache(folder):
            what = "is an empty folder" if folder.is_dir() else "does not exist"
            raise StoreError(f"{folder} {what}; expected a cache, into which a shard was extracted")
        found.setdefault(place, folder)
    return tuple(found.values())


@dataclass
class _Work:
    folders: tuple[Path, ...]
    runtime: Runtime
    stores: list[MergedStore] = field(default_factory=list)
    datasets: list[MergedDataset] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def merge_datasets(self) -> None:
        """Add the file states of the data sets to the snapshots of the target."""
        found: dict[str, list[Path]] = {}
        for folder in self.folders:
            for file in list_files(folder):
                if file.kind == "data set":
                    found.setdefault(file.path.stem, []).append(file.path)
        for number, (dataset_id, paths) in enumerate(sorted(found.items())):
            self.runtime.progress("merging data sets", number, len(found))
            merged, problems = merge_snapshots(self.runtime.cache, dataset_id, paths)
            self.problems += problems
            if merged is not None:
                counts = merged.states.statuses.counts()
                self.datasets.append(
                    MergedDataset(dataset_id, merged.root, counts.get("ok", 0), counts.get("skipped", 0))
                )
        self.runtime.progress("merging data sets", len(found), len(found))

    def merge_stores(self) -> None:
        """Add the rows of the feature stores to the stores of the target."""
        found: dict[str, list[FeatureStore]] = {}
        for folder in self.folders:
            for path in list_stores(folder):
                try:
                    store = open_store(path)
                except StoreError as error:
                    self.problems.append(f"{error}; the rows of {path} are not merged")
                else:
                    found.setdefault(path.name, []).append(store)
        for stores in (found[name] for name in sorted(found)):
            spec = stores[0].spec
            if spec.graph is not None:
                copy_quantized_graph([store.path.parent.parent for store in stores], self.runtime.cache, spec.graph)
            target, stage = FeatureStore(self.runtime.cache, spec), f"merging features {spec.id}, cache"
            copied = copy_rows(
                target,
                [store.path for store in stores],
                self.runtime.notice,
                lambda done, total, stage=stage: self.runtime.progress(stage, done, total),  # type: ignore[misc]
            )
            note_use(target.path)
            self._note(spec.id, json.loads(spec.to_json()), copied.sources, copied.n_added)

    def merge_notes(self) -> None:
        """Add what the caches record about networks; and about the last extraction, if the target has none."""
        for folder in self.folders:
            copy_graph_notes(folder, self.runtime.cache)
        latest = [noted for noted in map(read_latest, self.folders) if noted is not None]
        if read_latest(self.runtime.cache) is None and latest and all(noted == latest[0] for noted in latest):
            write_latest(self.runtime.cache, latest[0])

    def merge_shards(self) -> tuple[MergedShards, ...]:
        """Add the records of extracted shards to the target, and return all of its shards of the merged data sets."""
        named = set[str]()
        for folder in self.folders:
            for name, (root, records) in list_shards(folder).items():
                remember_shards(self.runtime.cache, name, root, records)
                named.add(name)
        merged = []
        for name, (root, records) in sorted(list_shards(self.runtime.cache).items()):
            for n_views in sorted({record.views for record in records} if name in named else ()):
                some = [record for record in records if record.views == n_views]
                merged.append(_shards(root, name.partition("-")[2], n_views, some))
        return tuple(merged)

    def _note(self, features_id: str, spec: dict[str, Any], sources: Sequence[CopiedFrom], n_added: int) -> None:
        n_rows, n_damaged = sum(one.n_rows for one in sources), sum(one.n_damaged for one in sources)
        self.stores.append(MergedStore(features_id, spec, len(sources), n_rows, n_added, n_damaged))
        self.problems += [problem for one in sources for problem in one.problems]


def _shards(root: str, features_id: str, n_views: int, records: Sequence[ShardRecord]) -> MergedShards:
    listings: dict[str, list[str]] = {}
    for record in records:
        listings.setdefault(f"{record.n_listed} {record.listing}", []).append(f"{record.number}/{record.count}")
    names = tuple(dict.fromkeys(f"{record.number}/{record.count}" for record in records))
    return MergedShards(root, features_id, n_views, names, tuple(missing_shards(records)), listings)


def missing_shards(records: Iterable[ShardRecord]) -> list[str]:
    """Return the missing shards, in terms of the largest number of shards into which the data set was divided.

    Shards of several divisions may complement each other, for example 4/32 and 20/32 instead of 4/16.
    """
    numbers: dict[int, set[int]] = {}
    for record in records:
        numbers.setdefault(record.count, set()).add(record.number)
    if not numbers:
        return []
    if math.lcm(*numbers) > _MOST_PARTS:
        most = Counter({count: len(some) for count, some in numbers.items()}).most_common(1)[0][0]
        numbers = {most: numbers[most]}
    count = max(numbers)
    is_there = np.zeros(math.lcm(*numbers), np.bool_)
    for divided, some in numbers.items():
        for number in some:
            is_there[number - 1 :: divided] = True
    lacking = np.unique(np.flatnonzero(~is_there) % count) + 1
    return [f"{number}/{count}" for number in lacking.tolist()]


def _remarks(stores: Sequence[MergedStore], shards: Sequence[MergedShards]) -> list[str]:
    """Return remarks about shards that do not belong together."""
    remarks = []
    plain = [store for store in stores if store.id in {one.features_id for one in shards if not one.views}]
    if len(plain) > 1:
        names = sorted({name for store in plain for name in store.spec})
        values = {name: [store.spec.get(name) for store in plain] for name in names}
        differences = [
            f"{name} ({', '.join(map(str, some))})" for name, some in values.items() if len(set(map(str, some))) > 1
        ]
        remarks.append(
            f"the shards have {len(plain)} different feature specs, whose rows are kept apart: "
            f"{', '.join(store.id for store in plain)}. They differ in {', '.join(differences)}; give all machines the "
            "same values"
        )
    for one in shards:
        if len(one.listings) > 1:
            parts = [f"{name.split(' ')[0]} images in {len(some)} shards" for name, some in one.listings.items()]
            remarks.append(
                f"{one.root} changed between the runs: {', '.join(parts)}; the next extract or fit computes what is "
                "missing"
            )
    roots: dict[str, set[str]] = {}
    for one in shards:
        for listing in one.listings:
            roots.setdefault(listing, set()).add(one.root)
    for some in roots.values():
        if len(some) > 1:
            remarks.append(
                f"{' and '.join(sorted(some))} have the same files, but are different data sets; fit reads the files "
                "once more that were extracted under another path, and computes nothing"
            )
    return remarks
