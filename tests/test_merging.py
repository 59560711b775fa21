"""Merge caches of shards: the rows and the snapshot of one run, whatever is missing, repeated, different or damaged."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from conftest import make_classes, make_graph, save_image, stored_bytes
from typer.testing import CliRunner

import featx
from featx.caching import clean_cache, list_cache
from featx.caching.merging import missing_shards
from featx.cli.app import app
from featx.dataset import dataset_id
from featx.errors import ArgumentError, DatasetError, StoreError
from featx.rendering import merge_lines
from featx.runtime import Runtime
from featx.store import (
    FeatureStore,
    ShardRecord,
    list_shards,
    list_stores,
    quantized_name,
    read_agreements,
    read_latest,
    read_quantized_graph,
    read_quantized_name,
    read_snapshot,
    remember_agreement,
    remember_quantized_name,
    segment_paths,
    segments,
    write_graph,
)
from featx.store.snapshot import read_content_of


class Shards:
    """Runs of featx with a cache for each shard.

    Attributes
    ----------
    folder : path
        Folder of the caches.
    """

    def __init__(self, fake, images: Path, folder: Path) -> None:
        self.fake, self.images, self.folder = fake, images, folder

    def runtime(self, name: str, **settings: object) -> Runtime:
        return replace(self.fake.runtime, cache=self.folder / name, **settings)

    def extract(self, shard: str | None, name: str = "", **options: object) -> Path:
        """Extract a shard into its cache, and return this cache."""
        runtime = self.runtime(name or f"part-{shard}".replace("/", "-of-"))
        featx.extract(self.images, "quadrants", shard=shard, runtime=runtime, **options)
        return runtime.cache

    def all(self, count: int, **options: object) -> list[Path]:
        return [self.extract(f"{number}/{count}", **options) for number in range(1, count + 1)]

    def merge(self, *folders: Path, target: str = "merged") -> featx.Merge:
        return featx.merge_caches(folders, runtime=self.runtime(target))

    def whole(self, **options: object) -> Path:
        """Return a cache that one run has written."""
        return self.extract(None, "whole", **options)


@pytest.fixture
def shards(fake, images, tmp_path):
    (images / "notes.md").write_text("no image")
    (images / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    shutil.copy(images / "red" / "red-00.png", images / "blue" / "again.png")  # may be in another shard
    settle(images)
    return Shards(fake, images, tmp_path / "caches")


def settle(images: Path) -> None:
    """Set older times, because the times of files that were changed within the last 2 s are not trusted."""
    for path in images.rglob("*.*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def stores(cache: Path) -> dict[str, bytes]:
    """Return the exports of the stores of a cache, which depend only on the rows."""
    return {path.name: stored_bytes(path) for path in list_stores(cache)}


def snapshots(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((cache / "datasets").glob("*.h5"))}


def files(*caches: Path) -> dict[Path, tuple[bytes, int]]:
    """Return the content and the modification time of each file of caches."""
    found = [path for cache in caches for path in sorted(cache.rglob("*")) if path.is_file()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


@pytest.mark.parametrize("options", [{}, {"augment": "light", "views": 2}], ids=["images", "views"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_result_is_that_of_one_run(shards, count, options):
    parts, whole = shards.all(count, **options), shards.whole(**options)
    before = files(*parts)
    merge = shards.merge(*parts)
    merged = shards.folder / "merged"
    assert stores(merged) == stores(whole)
    assert snapshots(merged) == snapshots(whole)
    assert read_latest(merged) == read_latest(whole)
    assert files(*parts) == before
    assert (merge.problems, merge.remarks, merge.n_missing) == ((), (), 0)
    ((root, n_images, n_skipped),) = [(one.root, one.n_images, one.n_skipped) for one in merge.datasets]
    assert (root, n_images, n_skipped) == (str(shards.images), 25, 1)
    assert featx.verify_cache(runtime=shards.runtime("merged")).n_damaged == 0
    assert clean_cache(runtime=shards.runtime("merged")).removed == ()


def test_fit_computes_nothing_and_reads_no_file(shards):
    shards.merge(*shards.all(3))
    steps = []
    runtime = shards.runtime("merged", progress=lambda *step: steps.append(step))
    n, starts = shards.fake.n_computed, shards.fake.starts
    model = featx.fit(shards.images, backbone="quadrants", runtime=runtime)
    assert model.evaluation.n_images == 25
    assert (shards.fake.n_computed, shards.fake.starts) == (n, starts)
    # All images count as processed before the first one could be read.
    counts = [step[1:] for step in steps if step[0] == "extracting features"]
    assert counts[:3] == [(0, 26), (0, 26), (26, 26)] or counts[:2] == [(0, 26), (26, 26)]
    assert featx.fit(runtime=runtime).evaluation.n_images == 25  # latest.json was merged, too


def test_a_missing_shard_is_named_and_fit_extracts_it(shards):
    first, _, third, _ = shards.all(4)
    merge = shards.merge(first, third)
    (one,) = merge.shards
    assert (one.shards, one.missing, one.views) == (("1/4", "3/4"), ("2/4", "4/4"), 0)
    assert merge.n_missing == 2
    lines = merge_lines(merge.to_dict())
    assert any(line.startswith("shards") and line.endswith("2 merged, missing: 2/4, 4/4") for line in lines)
    with pytest.raises(DatasetError, match="have no features yet; extract the features first"):
        featx.latest(shards.runtime("merged"))
    n = shards.fake.n_computed
    featx.fit(shards.images, backbone="quadrants", runtime=shards.runtime("merged"))
    n_there = len(read_snapshot(first, dataset_id(shards.images), "")) - 1  # notes.md
    n_there += len(read_snapshot(third, dataset_id(shards.images), "")) - 1
    assert 0 < shards.fake.n_computed - n <= 26 - n_there
    assert stores(shards.folder / "merged") == stores(shards.whole())


def test_shards_are_merged_one_after_the_other(shards):
    parts = shards.all(3)
    missing = [shards.merge(part).shards[0].missing for part in parts]
    assert missing == [("2/3", "3/3"), ("3/3",), ()]
    whole = shards.whole()
    merged = shards.folder / "merged"
    assert (stores(merged), snapshots(merged)) == (stores(whole), snapshots(whole))


def test_overlapping_shards_are_no_error(shards):
    parts = [*shards.all(2), *shards.all(3), shards.extract("1/3", "again"), shards.whole()]
    merge = shards.merge(*parts, parts[0])
    assert (merge.problems, merge.remarks, merge.n_missing) == ((), (), 0)
    assert len(merge.folders) == 7
    assert merge.stores[0].n_added == 24
    assert merge.stores[0].n_rows > 3 * 24
    assert stores(shards.folder / "merged") == stores(parts[-1])
    again = shards.merge(*parts)
    assert again.stores[0].n_added == 0


def record(shard: str, views: int = 0) -> ShardRecord:
    number, count = map(int, shard.split("/"))
    return ShardRecord(count, number, "ab", 100, 10, 0, views)


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ([], []),
        (["1/1"], []),
        (["2/3", "3/3"], ["1/3"]),
        (["1/4", "2/4", "3/4", "4/8", "8/8"], []),
        (["1/4", "2/4", "3/4", "8/8"], ["4/8"]),
        (["1/2", "2/4", "4/4"], []),
        (["1/2", "1/3", "2/3", "3/3"], []),
        (["1/2", "1/3"], ["2/3", "3/3"]),
        (["1/999983", *(f"{number}/7" for number in range(1, 8))], []),  # too many parts to combine
    ],
)
def test_missing_shards(there, missing):
    assert missing_shards(map(record, there)) == missing


def test_missing_views_are_reported(shards):
    first = shards.extract("1/2", augment="light", views=2)
    second = shards.extract("2/2")
    merge = shards.merge(first, second)
    assert {one.views: one.missing for one in merge.shards} == {0: (), 2: ("2/2",)}
    assert len(merge.stores) == 2
    assert merge.remarks == ()  # the features of the views belong to another spec by intent


def test_other_specs_are_kept_apart_and_reported(shards):
    first, second = shards.extract("1/2"), shards.extract("2/2", resize="pad")
    merge = shards.merge(first, second)
    assert [one.missing for one in merge.shards] in ([("1/2",), ("2/2",)], [("2/2",), ("1/2",)])
    (remark,) = merge.remarks
    assert "the shards have 2 different feature specs, whose rows are kept apart" in remark
    assert "They differ in resize (" in remark
    assert "pad" in remark
    merged = shards.folder / "merged"
    assert stores(merged) == stores(first) | stores(second)
    assert read_latest(merged) is None  # the last extractions differ


def test_other_data_sets_are_kept_apart_and_reported(shards, tmp_path):
    first = shards.extract("1/2")
    copied = shutil.copytree(shards.images, tmp_path / "mounted elsewhere")
    second = Shards(shards.fake, copied, shards.folder).extract("2/2")
    merge = shards.merge(first, second)
    assert {one.root: one.missing for one in merge.shards} == {
        str(shards.images): ("2/2",),
        str(copied): ("1/2",),
    }
    (remark,) = merge.remarks
    assert "have the same files, but are different data sets" in remark
    n = shards.fake.n_computed
    featx.fit(shards.images, backbone="quadrants", runtime=shards.runtime("merged"))
    assert shards.fake.n_computed == n
    assert stores(shards.folder / "merged") == stores(shards.whole())


def test_other_states_of_the_data_set_are_reported(shards):
    first = shards.extract("1/2")
    for i in range(6):
        save_image(shards.images / "red" / f"new-{i}.png", (200, 50, 40), seed=500 + i)
    changed = save_image(shards.images / "red" / "red-05.png", (200, 50, 40), seed=600)
    settle(shards.images)
    second = shards.extract("2/2")
    merge = shards.merge(first, second)
    (one,) = merge.shards
    assert sorted(int(name.split(" ")[0]) for name in one.listings) == [26, 32]
    (remark,) = merge.remarks
    assert re.search("changed between the runs: 26 images in 1 shards, 32 images in 1 shards; the next extract", remark)
    featx.fit(shards.images, backbone="quadrants", runtime=shards.runtime("merged"))
    merged, whole = shards.folder / "merged", shards.whole()
    memo = read_snapshot(merged, dataset_id(shards.images), "")
    assert memo["red/red-05.png"].stamp.mtime_ns == changed.stat().st_mtime_ns
    assert snapshots(merged) == snapshots(whole)
    own = {path.name: FeatureStore(merged, featx.latest(shards.runtime("merged")).spec) for path in list_stores(merged)}
    others = FeatureStore(whole, featx.latest(shards.runtime("whole")).spec).snapshot().keys()
    (store,) = own.values()
    assert set(others.tolist()) <= set(store.snapshot().keys().tolist())


def test_of_two_states_of_a_file_the_later_one_is_kept(shards):
    first = shards.extract("1/1", "first")
    save_image(shards.images / "red" / "red-05.png", (200, 50, 40), seed=600)
    second = shards.extract("1/1", "second")
    name = f"{dataset_id(shards.images)}.h5"
    for target, order in (("one", (first, second)), ("other", (second, first))):
        shards.merge(*order, target=target)
        assert (shards.folder / target / "datasets" / name).read_bytes() == (second / "datasets" / name).read_bytes()


def test_images_skipped_with_other_limits_are_read_again(shards):
    limited = shards.runtime("limited", max_pixels=100)
    with pytest.raises(featx.FeatxError):
        featx.extract(shards.images, "quadrants", shard="1/1", runtime=limited)
    first = shards.extract("1/2")
    shards.merge(first, limited.cache)
    content = read_content_of(shards.folder / "merged" / "datasets" / f"{dataset_id(shards.images)}.h5")
    assert not any("pixels" in reason for reason in content.states.reasons.counts())


def damage_row(segment: Path) -> None:
    """Change a feature of the first row of a segment."""
    with segment.open("r+b") as file:
        content = file.read()
        at = json.loads(content[25 : content.index(b"}  ") + 1])["datasets"]["features"]["offset"]
        file.seek(at)
        file.write(np.float32(0.123).tobytes())


def test_damaged_rows_are_named_and_not_merged(shards):
    first, second = shards.all(2)
    (segment,) = segment_paths(list_stores(second)[0])
    damage_row(segment)
    before = files(second)
    merge = shards.merge(first, second)
    (problem,) = merge.problems
    assert problem == f"{segment}: 1 row is damaged and not merged; the next extract computes the features again"
    assert merge.stores[0].n_damaged == merge.to_dict()["n_damaged"] == 1
    assert files(second) == before  # not marked as suspect, either
    n = shards.fake.n_computed
    featx.extract(shards.images, "quadrants", runtime=shards.runtime("merged"))
    assert shards.fake.n_computed == n + 1
    assert stores(shards.folder / "merged") == stores(shards.whole())


def test_a_damaged_row_is_taken_from_another_cache(shards):
    first, second = shards.extract("1/1", "first"), shards.extract("1/1", "second")
    damage_row(segment_paths(list_stores(first)[0])[0])
    merge = shards.merge(first, second)
    assert len(merge.problems) == 1
    assert merge.stores[0].n_added == 24
    assert stores(shards.folder / "merged") == stores(second)


def test_damaged_segments_and_snapshots_are_named_and_not_merged(shards):
    first, second = shards.all(2)
    (segment,) = segment_paths(list_stores(second)[0])
    (snapshot,) = (second / "datasets").glob("*.h5")
    for path in (segment, snapshot):
        content = bytearray(path.read_bytes())
        content[40] ^= 1
        path.write_bytes(content)
    before = files(second)
    merge = shards.merge(first, second)
    assert len(merge.problems) == 2
    assert str(snapshot) in merge.problems[0]
    assert merge.problems[0].endswith("the files that it lists are read again")
    assert str(segment.parent) in merge.problems[1]
    assert merge.problems[1].endswith("are not merged")
    assert files(second) == before
    featx.extract(shards.images, "quadrants", runtime=shards.runtime("merged"))
    assert stores(shards.folder / "merged") == stores(shards.whole())


def test_one_damaged_segment_of_several_is_named(shards):
    cache = shards.extract("1/2", "both")
    shards.extract("2/2", "both")
    one, other = segment_paths(list_stores(cache)[0])
    content = bytearray(one.read_bytes())
    content[40] ^= 1
    one.write_bytes(content)
    merge = shards.merge(cache)
    assert merge.problems == (f"{one} is damaged, or was not written by featx; its rows are not merged",)
    assert merge.stores[0].n_added > 0
    assert other.exists()


def test_a_snapshot_of_the_target_that_cannot_be_read_is_replaced(shards):
    parts = shards.all(2)
    shards.merge(parts[0])
    (path,) = (shards.folder / "merged" / "datasets").glob("*.h5")
    path.write_bytes(b"damaged")
    shards.merge(*parts)
    assert snapshots(shards.folder / "merged") == snapshots(shards.whole())


def test_the_rows_of_a_killed_run_are_merged(shards):
    """The journal of a killed run, which no snapshot lists, is merged and kept by ``gc``."""
    cache = shards.extract("1/1", "killed")
    (folder,) = list_stores(cache)
    stored, name = stored_bytes(folder), folder.name
    program = """
import os, sys
from pathlib import Path
from featx.store import FeatureStore, as_bytes, open_store
store = open_store(Path(sys.argv[1]))
stored, header = store.snapshot(), store.header()
context = FeatureStore(Path(sys.argv[2]), store.spec).writer(print)
writer = context.__enter__()
writer.begin(header.probes, header.producers[0])
writer.append(stored.rows(as_bytes(stored.keys())))
os._exit(0)
"""
    other = shards.folder / "other"
    subprocess.run([sys.executable, "-c", program, folder, other], check=True)
    before = {path: one for path, one in files(other).items() if path.name != "lock"}
    assert (other / "features" / name / "journal").exists()
    merge = shards.merge(other)
    assert merge.stores[0].n_added == 24
    assert stores(shards.folder / "merged")[name] == stored
    assert {path: one for path, one in files(other).items() if path.name != "lock"} == before
    kept = clean_cache(runtime=shards.runtime("merged"))
    assert kept.removed == ()
    assert "24 rows of an unfinished run are kept" in kept.kept[0]


def test_many_files_are_merged_in_groups_and_segments(shards):
    parts, whole = shards.all(5), shards.whole()
    with mock.patch.multiple("featx.store.copying", _MOST_FILES=2, _SEGMENT_BYTES=1000, _MOST_SEGMENTS=3):
        merge = shards.merge(*parts)
    merged = shards.folder / "merged"
    assert merge.stores[0].n_added == 24
    assert stores(merged) == stores(whole)
    (store,) = list_cache(runtime=shards.runtime("merged")).stores
    assert store.n_rows == 24  # no row is stored twice
    assert 3 < store.n_segments <= 9


def test_merging_into_a_cache_with_other_content(shards, tmp_path):
    other = make_classes(tmp_path / "other", {"green": (20, 200, 20), "grey": (90, 90, 90)}, 4)
    runtime = shards.runtime("merged")
    featx.extract(other, "quadrants", runtime=runtime)
    latest = read_latest(runtime.cache)
    shards.merge(*shards.all(2))
    assert read_latest(runtime.cache) == latest
    n = shards.fake.n_computed
    for folder in (other, shards.images):
        assert featx.extract(folder, "quadrants", runtime=runtime).extraction.n_computed == 0
    assert shards.fake.n_computed == n
    assert clean_cache(runtime=runtime).removed == ()


def test_folders_that_cannot_be_merged(shards, tmp_path):
    part = shards.extract("1/2")
    runtime = shards.runtime("merged")
    with pytest.raises(ArgumentError, match="no folder to merge is given"):
        featx.merge_caches([], runtime=runtime)
    with pytest.raises(ArgumentError, match=r"part-1-of-2 is the target of the merge and one of the folders"):
        featx.merge_caches([part], runtime=shards.runtime("part-1-of-2"))
    with pytest.raises(StoreError, match="gone does not exist; expected a cache, into which a shard was extracted"):
        featx.merge_caches([part, tmp_path / "gone"], runtime=runtime)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="empty is an empty folder; expected a cache"):
        featx.merge_caches([str(tmp_path / "empty")], runtime=runtime)
    with pytest.raises(StoreError, match="is not empty and has no CACHEDIR.TAG"):
        featx.merge_caches([shards.images], runtime=runtime)
    with pytest.raises(StoreError, match="is not empty and has no CACHEDIR.TAG"):
        featx.merge_caches([part], runtime=replace(runtime, cache=shards.images))
    assert not runtime.cache.exists()
    with pytest.raises(ArgumentError, match="folders is of type str; expected a sequence"):
        featx.merge_caches(str(part), runtime=runtime)


def test_a_folder_that_is_deleted_during_the_merge(shards):
    first, second = shards.all(2)
    events = []

    def delete(stage: str, done: int, total: int) -> None:
        if stage.startswith("merging features") and done == 1 and not events:
            events.append(shutil.rmtree(second))

    with pytest.raises(StoreError, match=r"part-2-of-2.* was deleted while it was merged; merge the other folders"):
        featx.merge_caches([first, second], runtime=shards.runtime("merged", progress=delete))
    again = shards.merge(first)
    assert again.stores[0].n_added == shards.merge(first, target="alone").stores[0].n_added > 0
    assert again.shards[0].missing == ("2/2",)


def test_rows_of_a_machine_with_other_results_are_refused(shards):
    first, second = shards.all(2)
    runner = shards.fake.runner

    def merged_with(change) -> featx.Merge:
        class Other(runner):
            def run(self, batches):
                for features in super().run(batches):
                    yield change(features).astype(np.float32)

        shards.fake.runner = Other
        other = shards.extract("2/2", f"other-{change.__name__}")
        shards.fake.runner = runner
        return shards.merge(first, other, target=f"merged-{change.__name__}")

    def slightly(features):
        return features * (1 + 1e-3 * np.arange(12) / 12)

    def entirely(features):
        return features[:, ::-1] ** 3

    merge = merged_with(slightly)
    assert merge.problems == ()
    assert any("computed on another machine with slightly different results" in text for text in shards.fake.notices)
    merge = merged_with(entirely)
    (problem,) = merge.problems
    assert re.search(r"cosine similarity of 0\.\d{4} to those of the other rows; at least 0.9999 is required", problem)
    assert merge.stores[0].n_added == shards.merge(first, target="alone").stores[0].n_added
    assert second.exists()


def test_merges_at_the_same_time(shards):
    parts, whole = shards.all(4), shards.whole()
    merges = [threading.Thread(target=shards.merge, args=some) for some in (parts[:3], parts[1:], parts[::-1])]
    for merge in merges:
        merge.start()
    for merge in merges:
        merge.join()
    merged = shards.folder / "merged"
    assert (stores(merged), snapshots(merged)) == (stores(whole), snapshots(whole))
    assert shards.merge(*parts).n_missing == 0
    (store,) = list_cache(runtime=shards.runtime("merged")).stores
    assert store.n_rows == 24


def test_networks_and_their_records_are_merged(shards):
    parts = shards.all(2)
    graph, key = make_graph(), "ab" * 8
    name = quantized_name(graph)
    write_graph(parts[1], name, graph)
    for cache in parts:
        remember_quantized_name(cache, key, "cd" * 8, name)
    remember_agreement(parts[0], key, "cpu bfloat16", 0.5)
    remember_agreement(parts[1], key, "cpu bfloat16", 0.75)
    remember_agreement(parts[1], key, "cpu two", None)
    shards.merge(*parts)
    merged = shards.folder / "merged"
    assert read_agreements(merged, key) == {"cpu bfloat16": 0.5, "cpu two": None}
    assert read_quantized_name(merged, key, "cd" * 8) is None  # no feature spec has this network
    from featx.store import copy_graph_notes, copy_quantized_graph

    copy_quantized_graph(parts, merged, name)
    copy_graph_notes(parts[0], merged)
    assert read_quantized_graph(merged, name) == graph
    assert read_quantized_name(merged, key, "cd" * 8) == name


def test_records_of_shards_end_with_their_data_set_or_store(shards):
    cache = shards.extract("1/2")
    assert len(list_shards(cache)) == 1
    (path,) = (cache / "datasets").glob("*.h5")
    path.unlink()
    removed = {one.path.name: one.reason for one in clean_cache(runtime=shards.runtime(cache.name)).removed}
    assert list_shards(cache) == {}
    assert any(name.endswith(".json") for name in removed)


def test_names_and_links_of_a_hostile_cache_are_not_followed(shards):
    part = shards.extract("1/2")
    (name,) = list_shards(part)
    path, folder = part / "datasets" / f"{name}.json", part / "datasets"
    for other in ("notes.json", "A" * 16 + "-" + "b" * 16 + ".json"):
        (folder / other).write_bytes(path.read_bytes())
    (folder / f"{'0' * 16}-{'1' * 16}.json").symlink_to(path)
    (folder / f"{'0' * 16}.h5").symlink_to(next(folder.glob("*.h5")))
    merge = shards.merge(part)
    assert len(merge.shards) == len(merge.datasets) == 1
    found = {one.name for one in (shards.folder / "merged" / "datasets").iterdir()}
    assert found == {path.name, next(one.name for one in folder.glob("*.h5") if not one.is_symlink())}


def test_a_full_disk_keeps_what_is_merged(shards):
    parts, whole = shards.all(3), shards.whole()
    write, written = segments.new_hdf5, []

    def until_full(path, attrs):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return write(path, attrs)

    with (
        mock.patch.multiple("featx.store.copying", _MOST_FILES=1),
        mock.patch("featx.store.segments.new_hdf5", until_full),
        pytest.raises(StoreError, match="cannot be written: No space left on device.*run the same command again"),
    ):
        shards.merge(*parts)
    (store,) = list_cache(runtime=shards.runtime("merged")).stores
    assert 0 < store.n_rows < 24
    merge = shards.merge(*parts)
    assert merge.stores[0].n_added == 24 - store.n_rows
    merged = shards.folder / "merged"
    assert (stores(merged), snapshots(merged)) == (stores(whole), snapshots(whole))


def test_the_command(shards):
    parts = shards.all(2)
    words = ["cache", "merge", *map(str, parts), "--cache", str(shards.folder / "merged")]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["n_added"], found["n_missing"], found["n_damaged"], found["problems"]) == (24, 0, 0, [])
    assert found["shards"][0]["shards"] == ["1/2", "2/2"]
    assert found["datasets"][0]["n_skipped"] == 1
    text = CliRunner().invoke(app, words).stdout
    assert "merged     2 caches into" in text
    assert re.search(
        r"^features +[0-9a-f]{16}  quadrants, 32 pixels, .* 0 of 2[4-9] rows added; the others are", text, re.M
    )
    assert re.search(r"^data set +[0-9a-f]{16}  \S+/set   25 images, 1 skipped$", text, re.M)
    assert re.search(r"^shards .*   2 merged, none is missing$", text, re.M)
    options = "--backbone quadrants --size 32 --engine openvino --precision float32"
    assert text.splitlines()[-1].startswith(f"next       featx fit {shards.images} {options} --cache ")


def test_the_command_fails_if_something_cannot_be_merged(shards):
    part = shards.extract("1/2")
    damage_row(segment_paths(list_stores(part)[0])[0])
    result = CliRunner().invoke(app, ["cache", "merge", str(part), "--cache", str(shards.folder / "merged")])
    assert result.exit_code == 1
    assert re.search(r"^problem .* 1 row is damaged and not merged", result.stdout, re.M)
    usage = CliRunner().invoke(app, ["cache", "merge", "--cache", str(part)])
    assert usage.exit_code == 2


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="not run: root may write everywhere")
def test_a_source_that_cannot_be_written(shards):
    parts = shards.all(2)
    for path in parts[0].rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    assert shards.merge(*parts).problems == ()
