"""Segments of a feature store: merging, kills at every step, two machines, and file systems without locks."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_store import PROBES, PRODUCER, SPEC, exported, rows, segment_of, write

from featx.errors import StoreError
from featx.store import FeatureStore, as_bytes, list_segments, sweep_store
from featx.store.claims import Claim, claimed
from featx.store.journal import read_journal
from featx.store.merging import FEW_SEGMENTS, MANY_SEGMENTS, MergedRows, choose_segments, merge_limit
from featx.store.segments import open_segment, open_segments, segment_paths


def sizes(store: FeatureStore) -> list[int]:
    return sorted(header.n_rows for header in list_segments(store.path)[0])


def same_rows(store: FeatureStore, *numbers: int) -> bool:
    """Return whether a store has exactly the rows with these numbers."""
    wanted = rows(*numbers)
    stored = store.snapshot()
    keys = sorted(map(bytes, as_bytes(stored.keys())))
    return keys == sorted(map(bytes, wanted.keys)) and bool(
        (stored.rows(wanted.keys).features == wanted.features).all()
    )


def test_small_runs_write_small_segments_and_leave_few(tmp_path):
    store = write(tmp_path, rows(*range(1000)))
    large = segment_of(store)
    most = 0
    for start in range(1000, 1300, 3):
        write(tmp_path, rows(*range(start, start + 3)))
        most = max(most, len(sizes(store)))
    assert large.exists()  # 300 new rows never rewrite the 1,000 old rows
    assert most <= FEW_SEGMENTS
    assert sum(sizes(store)) == 1300
    assert same_rows(store, *range(1300))


@pytest.mark.parametrize("limit", [50, 10**6])
def test_the_number_of_segments_and_of_written_rows_grows_logarithmically(limit):
    segments: list[int] = []
    n_written, n = 0, 10_000
    for _ in range(n):
        segments.append(1)
        chosen = choose_segments(segments, limit)
        if chosen:
            merged = sum(segments[i] for i in chosen)
            assert merged <= limit or len(segments) > MANY_SEGMENTS
            n_written += merged
            segments = [size for i, size in enumerate(segments) if i not in chosen] + [merged]
        assert len(segments) <= MANY_SEGMENTS + np.log2(n)
    assert sum(segments) == n
    assert n_written <= n * np.log2(n)


def test_a_small_run_does_not_merge_large_segments():
    """Ten rows that are added to nine large segments are the only rows that are written."""
    limit = merge_limit(10, 5416)
    assert choose_segments([10, *[130_000] * 9], limit) == []
    assert choose_segments([10, 10, *[130_000] * 9], limit) == [0, 1]
    assert choose_segments([130_000] * 9, merge_limit(130_000, 5416)) == list(range(9))
    assert len(choose_segments([10, *[130_000] * MANY_SEGMENTS], limit)) == MANY_SEGMENTS + 1


def test_merged_segments_have_larger_numbers_and_name_what_they_replace(tmp_path):
    for number in range(FEW_SEGMENTS + 1):
        store = write(tmp_path, rows(number))
        if number < FEW_SEGMENTS:
            names = {path.stem for path in segment_paths(store.path)}
    (merged,), errors = list_segments(store.path)
    assert errors == {}
    assert (merged.n_rows, merged.sequence) == (FEW_SEGMENTS + 1, FEW_SEGMENTS + 2)
    assert names < merged.replaces


def test_rows_of_one_key_are_merged_into_one(tmp_path):
    first = open_segment(segment_of(write(tmp_path / "one", rows(*range(40_000)))))
    second = open_segment(segment_of(write(tmp_path / "two", rows(*range(30_000, 50_000)))))
    merged = MergedRows([first.rows, second.rows])
    assert merged.n_rows == 50_000
    found = np.concatenate([keys for keys, _ in merged.index()])
    assert len(found) == 50_000
    assert (found[1:] > found[:-1]).all()
    blocks = list(merged.blocks())
    np.testing.assert_array_equal(np.concatenate([block.keys for block, _ in blocks]), as_bytes(found))
    for block, crcs in blocks:
        np.testing.assert_array_equal(block.checksums(), crcs)


def test_a_large_journal_becomes_a_segment_during_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("featx.store.journal.MOST_ROWS", 10)
    store = FeatureStore(tmp_path, SPEC)
    with store.writer(print) as writer:
        writer.begin(PROBES, PRODUCER)
        for start in range(0, 200, 4):
            writer.append(rows(*range(start, start + 4)))
            assert len(read_journal(store.path / "journal").rows if (store.path / "journal").exists() else ()) < 10
        assert same_rows(store, *range(200))
        writer.finish()
    assert len(sizes(store)) <= FEW_SEGMENTS
    assert exported(store, tmp_path / "a.h5") == exported(
        write(tmp_path / "whole", rows(*range(200))), tmp_path / "b.h5"
    )


STEPS = {
    "write": "featx.store.segments._write",
    "rename": "featx.files._replace",
    "sync": "featx.files._sync_folder",
    "delete": "featx.store.writing.delete",
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_of_a_merge_loses_and_repeats_no_row(tmp_path, monkeypatch, step, after):
    """A copy of the store is made at each step, as a kill at this step would leave it."""
    for number in range(FEW_SEGMENTS):
        store = write(tmp_path / "cache", rows(2 * number, 2 * number + 1))
    module, _, name = STEPS[step].rpartition(".")
    import importlib

    real = getattr(importlib.import_module(module), name)
    copies: list[Path] = []

    def spy(*words, **options):
        def copy() -> None:
            copies.append(tmp_path / f"copy{len(copies)}")
            shutil.copytree(tmp_path / "cache", copies[-1])

        if not after:
            copy()
        result = real(*words, **options)
        if after:
            copy()
        return result

    monkeypatch.setattr(STEPS[step], spy)
    write(tmp_path / "cache", rows(100))
    monkeypatch.undo()
    numbers = [*range(2 * FEW_SEGMENTS), 100]
    assert sizes(store) == [len(numbers)]
    assert len(copies) >= 2
    reference = exported(store, tmp_path / "reference.h5")
    for folder in copies:
        killed = FeatureStore(folder, SPEC)
        stored = killed.snapshot()
        assert stored.contains(rows(*numbers[:-1]).keys).all()
        n_rows = len(stored.keys())
        assert sum(sizes(killed)) in (n_rows, n_rows - 1)  # the new row may still be only in the journal
        again = write(folder, rows(100)) if n_rows < len(numbers) else write(folder)
        assert sum(sizes(again)) == len(numbers)
        assert exported(again, tmp_path / "again.h5") == reference
        write(folder)
        assert open_segments(again.path).dead == ()


def test_a_replaced_segment_that_could_not_be_deleted_is_not_used_and_is_deleted_later(tmp_path):
    store = write(tmp_path, rows(1, 2, 3))
    old = segment_of(store)
    content = old.read_bytes()
    sweep_store(store.path, lambda: rows(1, 2).keys[:, :32], print)
    old.write_bytes(content)  # as on Windows, where another process may read the file
    assert same_rows(store, 1, 2)
    assert [header.path for header in open_segments(store.path).dead] == [old]
    write(tmp_path, rows(3))
    assert not old.exists()
    assert same_rows(store, 1, 2, 3)


def test_rows_that_are_removed_and_written_again_are_used(tmp_path):
    """A new segment is never named like a segment that was replaced, also if it has the same rows."""
    store = write(tmp_path, rows(1, 2))
    for _ in range(3):
        sweep_store(store.path, lambda: rows(1).keys[:, :32], print)
        assert same_rows(store, 1)
        write(tmp_path, rows(2))
        assert same_rows(store, 1, 2)


def test_a_reader_keeps_its_rows_while_segments_are_merged_away(tmp_path):
    store = write(tmp_path, rows(0))
    stored = store.snapshot()
    first = segment_of(store)
    for number in range(1, FEW_SEGMENTS + 1):
        write(tmp_path, rows(number))
    assert not first.exists()
    np.testing.assert_array_equal(stored.rows(rows(0).keys).features, rows(0).features)


def test_a_reader_lists_again_if_a_segment_is_merged_away_while_it_opens_them(tmp_path, monkeypatch):
    store = write(tmp_path, rows(1))
    calls: list[Path] = []

    def slow(path: Path):
        calls.append(path)
        if len(calls) == 1:
            for number in range(2, FEW_SEGMENTS + 2):
                write(tmp_path, rows(number))
        return open_segment(path)

    with monkeypatch.context() as patched:
        patched.setattr("featx.store.segments.open_segment", slow)
        keys = store.snapshot().keys()
    assert len(keys) == FEW_SEGMENTS + 1


def test_segments_are_not_merged_if_the_disk_lacks_space(tmp_path, monkeypatch):
    monkeypatch.setattr("featx.store.writing.shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    notices: list[str] = []
    store = FeatureStore(tmp_path, SPEC)
    for number in range(FEW_SEGMENTS + 2):
        with store.writer(notices.append) as writer:
            writer.begin(PROBES, PRODUCER)
            writer.append(rows(number))
            writer.finish()
    assert len(sizes(store)) == FEW_SEGMENTS + 2
    assert "are not merged, so that lookups take longer: " in notices[0]
    assert "MB are needed, and 0 MB are free" in notices[0]
    monkeypatch.undo()
    write(tmp_path, rows(50))
    assert sizes(store) == [1, FEW_SEGMENTS + 2]


def test_a_merge_that_fails_is_reported_and_loses_no_row(tmp_path, monkeypatch):
    for number in range(FEW_SEGMENTS):
        store = write(tmp_path, rows(number))
    import featx.store.writing as writing

    real = writing.write_segment

    def fail(folder, header, merged, sequence, replaces, confirm):
        if replaces:
            raise StoreError("x.h5 cannot be written: Disk quota exceeded. Features computed so far are kept")
        return real(folder, header, merged, sequence, replaces, confirm)

    monkeypatch.setattr(writing, "write_segment", fail)
    notices: list[str] = []
    with store.writer(notices.append) as writer:
        writer.begin(PROBES, PRODUCER)
        writer.append(rows(FEW_SEGMENTS))
        writer.finish()
    assert notices == [
        f"the segments of {SPEC.id} are not merged, so that lookups take longer: x.h5 cannot be written: Disk quota "
        "exceeded"
    ]
    assert same_rows(store, *range(FEW_SEGMENTS + 1))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other functions for locks")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_an_error_that_names_the_cache(tmp_path, monkeypatch, number):
    import fcntl

    def fail(*words) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(StoreError, match="cannot be locked: .*; this file system has no locks.*Choose another `cache`"):
        write(tmp_path, rows(1))
    assert segment_paths(tmp_path / "features" / SPEC.id) == []


@contextlib.contextmanager
def no_lock(path, waiting):
    """A lock that does not exclude other machines."""
    yield


def test_a_second_machine_is_refused_while_the_first_one_writes(tmp_path, monkeypatch):
    monkeypatch.setattr("featx.store.writing.locked", no_lock)
    monkeypatch.setattr("featx.store.claims._BEAT_SECONDS", 0.02)
    store = FeatureStore(tmp_path, SPEC)
    monkeypatch.setattr("featx.store.claims.socket.gethostname", lambda: "first")
    notices: list[str] = []
    with store.writer(print) as writer:
        writer.begin(PROBES, PRODUCER)
        writer.append(rows(1))
        monkeypatch.setattr("featx.store.claims.socket.gethostname", lambda: "second")
        with (
            pytest.raises(
                StoreError, match="is being written by (first|second) at the same time, because the locks of"
            ),
            store.writer(notices.append),
        ):
            pass
        monkeypatch.setattr("featx.store.claims.socket.gethostname", lambda: "first")
        writer.append(rows(2))
        writer.finish()
    assert notices == [f"first has not finished writing {SPEC.id}; waiting 20 s for a sign of life of that run"]
    assert same_rows(store, 1, 2)
    assert sorted(path.name for path in store.path.iterdir() if path.suffix != ".h5") == []


def test_a_machine_that_lost_its_claim_stops_before_it_changes_anything(tmp_path, monkeypatch):
    monkeypatch.setattr("featx.store.writing.locked", no_lock)
    store = FeatureStore(tmp_path, SPEC)
    with pytest.raises(StoreError, match="is being written by other at the same time"), store.writer(print) as writer:
        writer.begin(PROBES, PRODUCER)
        writer.append(rows(1))
        (store.path / "writer").write_text('{"host": "other", "pid": "7", "token": "1"}')
        before = sorted(store.path.iterdir()), (store.path / "journal").read_bytes()
        with pytest.raises(StoreError, match="is being written by other at the same time"):
            writer.append(rows(2))
        assert (sorted(store.path.iterdir()), (store.path / "journal").read_bytes()) == before
        writer.finish()
    assert segment_paths(store.path) == []
    assert (store.path / "writer").exists()  # it belongs to the other machine


def test_a_machine_that_ended_without_finishing_is_waited_for_only_a_short_time(tmp_path, monkeypatch):
    monkeypatch.setattr("featx.store.claims._SILENT_SECONDS", 0.2)
    (tmp_path / "writer").write_text('{"host": "gone", "pid": "7", "token": "1", "beats": "3"}')
    notices: list[str] = []
    started = time.monotonic()
    with claimed(tmp_path / "writer", notices.append) as claim:
        claim.check()
    assert time.monotonic() - started >= 0.2
    assert "gone has not finished writing" in notices[0]
    assert not (tmp_path / "writer").exists()


@pytest.mark.parametrize("content", ["", "[1]", '{"host": 3}', "[" * 100_000, "\0"])
def test_a_claim_that_featx_did_not_write_is_replaced(tmp_path, content):
    (tmp_path / "writer").write_text(content)
    claim = Claim(tmp_path / "writer")
    claim.check()
    claim.release()
    assert not (tmp_path / "writer").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_the_folder_of_a_store_may_not_be_a_link(tmp_path):
    other = write(tmp_path / "other", rows(1), finish=False)
    write(tmp_path / "cache", rows(2))
    store = FeatureStore(tmp_path / "cache", SPEC)
    shutil.rmtree(store.path)
    store.path.symlink_to(other.path)
    assert len(store.snapshot().keys()) == 0
    assert store.header() is None
    assert not store.exists()
    with pytest.raises(StoreError, match="is a link, which featx does not follow inside its cache"):
        write(tmp_path / "cache", rows(2))


def test_a_segment_or_journal_with_another_number_of_features_is_not_used(tmp_path):
    store = write(tmp_path, rows(1))
    narrow = FeatureStore(tmp_path / "narrow", SPEC)
    few = rows(2, 3)
    few = replace(few, features=np.ascontiguousarray(few.features[:, :4]))
    for finish in (False, True):
        with narrow.writer(print) as writer:
            writer.begin(np.ascontiguousarray(PROBES[:, :4]), PRODUCER)
            writer.append(few)
            if finish:
                writer.finish()
        if not finish:
            shutil.copy(narrow.path / "journal", store.path)
            assert same_rows(store, 1)
            write(tmp_path)
            assert same_rows(store, 1)
    shutil.copy(segment_of(narrow), store.path)
    (error,) = open_segments(store.path).damaged.values()
    assert "has another number of features per image than" in str(error)
