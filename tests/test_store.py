"""The feature store: sorted rows, reproducible exports, safe against damage and a second writer."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from featx.errors import DamagedStoreError, NewerFormatError, StoreError
from featx.spec import FeatureSpec
from featx.store import (
    FeatureStore,
    Rows,
    keys_of,
    list_files,
    open_store,
    read_agreements,
    read_input_sizes,
    read_latest,
    read_quantized_name,
    remember_agreement,
    remember_input_size,
    remember_quantized_name,
    write_latest,
)
from featx.store.files import write_cache_file
from featx.store.hdf5 import StoredFile
from featx.store.segments import open_segment, open_segments, segment_paths

SPEC = FeatureSpec("quadrants", "ab" * 32, "none", 32, "1-000000000000", "tensorflow", "float32")
PROBES = np.arange(12, dtype=np.float32).reshape(2, 6)
PRODUCER = {"engine": "test 1"}


def rows(*numbers: int) -> Rows:
    hashes = [hashlib.sha256(b"%d" % n).digest() for n in numbers]
    keys = keys_of(np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32))
    signatures = np.array([np.full((64, 64), n % 256) for n in numbers], np.uint8)
    features = np.array([[n, n + 0.5, -n, 0, 1e-30, 1e30] for n in numbers], np.float32)
    return Rows(keys, signatures, features)


def write(cache: Path, *parts: Rows, finish: bool = True) -> FeatureStore:
    store = FeatureStore(cache, SPEC)
    with store.writer(lambda text: None) as writer:
        writer.begin(PROBES, PRODUCER)
        for part in parts:
            writer.append(part)
        if finish:
            writer.finish()
    return store


def segment_of(store: FeatureStore) -> Path:
    (path,) = segment_paths(store.path)
    return path


def exported(store: FeatureStore, path: Path) -> bytes:
    store.snapshot().export(path, lambda done, total: None)
    return path.read_bytes()


def test_rows_come_back_by_key_in_the_order_asked(tmp_path):
    store = write(tmp_path, rows(1, 2, 3), rows(4, 5))
    found = store.snapshot().rows(rows(5, 1, 5).keys)
    np.testing.assert_array_equal(found.features, rows(5, 1, 5).features)
    np.testing.assert_array_equal(found.signatures, rows(5, 1, 5).signatures)
    assert store.snapshot().contains(rows(2, 9).keys).tolist() == [True, False]
    with pytest.raises(DamagedStoreError, match="1 row is missing from .*; extract the data set again"):
        store.snapshot().rows(rows(9).keys)


def test_bytes_do_not_depend_on_order_runs_or_time(tmp_path):
    one = exported(write(tmp_path / "one", rows(*range(10_000))), tmp_path / "one.h5")
    time.sleep(1.1)  # HDF5 time stamps, if there were any, have a resolution of one second
    several = tmp_path / "several"
    write(several, rows(*range(9_999, 5_000, -1)))
    write(several, rows(*range(0, 4_000)), finish=False)
    write(several, rows(*range(3_000, 5_001)), finish=False)
    assert exported(write(several), tmp_path / "several.h5") == one


def test_rows_are_sorted_by_key(tmp_path):
    with h5py.File(segment_of(write(tmp_path, rows(*range(100))))) as file:
        keys = [key.tobytes() for key in file["key"][()]]
    assert keys == sorted(keys)
    assert len(set(keys)) == 100


def test_journal_is_read_before_it_is_merged(tmp_path):
    write(tmp_path, rows(1))
    store = write(tmp_path, rows(2, 3), finish=False)
    assert (store.path / "journal").exists()
    np.testing.assert_array_equal(store.snapshot().rows(rows(3, 1).keys).features, rows(3, 1).features)
    assert len(write(tmp_path).snapshot().keys()) == 3
    assert not (store.path / "journal").exists()


def test_incomplete_last_row_of_the_journal_is_removed(tmp_path):
    store = write(tmp_path, rows(1, 2, 3), finish=False)
    journal = store.path / "journal"
    journal.write_bytes(journal.read_bytes()[:-7])
    assert store.snapshot().contains(rows(1, 2, 3).keys).tolist() == [True, True, False]
    write(tmp_path, rows(3))
    np.testing.assert_array_equal(store.snapshot().rows(rows(1, 2, 3).keys).features, rows(1, 2, 3).features)


@pytest.mark.parametrize("keep", [0, 5, 39])
def test_a_journal_with_an_incomplete_header_is_empty(tmp_path, keep):
    store = write(tmp_path, rows(1), finish=False)
    journal = store.path / "journal"
    journal.write_bytes(journal.read_bytes()[:keep])
    assert len(store.snapshot().keys()) == 0
    assert len(write(tmp_path, rows(1)).snapshot().keys()) == 1


def test_journal_of_another_feature_spec_is_not_read(tmp_path):
    store = write(tmp_path, rows(1), finish=False)
    journal = store.path / "journal"
    other = FeatureStore(tmp_path / "other", FeatureSpec(**{**SPEC.__dict__, "pooling": "max"}))
    with other.writer(print) as writer:
        writer.begin(PROBES, PRODUCER)
        writer.append(rows(1))
    journal.write_bytes((other.path / "journal").read_bytes())
    assert len(store.snapshot().keys()) == 0


@pytest.mark.parametrize("name", ["signature", "features"])
def test_a_flipped_byte_damages_only_its_row(tmp_path, name):
    store = write(tmp_path, rows(1, 2, 3))
    path = segment_of(store)
    victim = flip_row(path, name, 1)
    stored = store.snapshot()
    with pytest.raises(
        DamagedStoreError, match=r"1 row of .*\.h5 is damaged; the next extract or predict recomputes damaged rows"
    ):
        stored.rows(rows(1, 2, 3).keys)
    others = [n for n in (1, 2, 3) if rows(n).keys.tobytes() != victim]
    np.testing.assert_array_equal(stored.rows(rows(*others).keys).features, rows(*others).features)
    assert path.with_suffix(".suspect").exists()
    notices: list[str] = []
    with store.writer(notices.append):
        assert store.snapshot().contains(rows(*others).keys).all()
        assert len(store.snapshot().keys()) == 2
    assert notices == [f"1 rows of {SPEC.id} were damaged; they are recomputed"]
    assert not path.exists()
    assert not path.with_suffix(".suspect").exists()


def test_a_damaged_row_that_another_file_also_has_is_read_from_there(tmp_path):
    store = write(tmp_path, rows(1, 2, 3))
    path = segment_of(store)
    journal = (write(tmp_path / "twin", rows(1, 2, 3), finish=False).path / "journal").read_bytes()
    (store.path / "journal").write_bytes(journal)  # as if the run was killed before it deleted the journal
    flip_row(path, "features", 1)
    np.testing.assert_array_equal(store.snapshot().rows(rows(1, 2, 3).keys).features, rows(1, 2, 3).features)
    write(tmp_path)
    assert len(store.snapshot().rows(rows(1, 2, 3).keys)) == 3


def flip_row(path: Path, name: str, row: int) -> bytes:
    """Flip a bit in a column of a row, and return the key of the row."""
    with h5py.File(path) as file:
        offset = file[name].id.get_offset() + file[name][()].nbytes // len(file[name]) * row + 1
        victim = file["key"][row].tobytes()
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)
    return victim


@pytest.mark.parametrize("name", ["key", "crc"])
def test_a_flipped_byte_in_the_index_sets_its_segment_aside_alone(tmp_path, name):
    first = segment_of(write(tmp_path, rows(1, 2, 3)))
    store = write(tmp_path, rows(4, 5))
    flip_row(first, name, 1)
    assert store.snapshot().contains(rows(1, 2, 3, 4, 5).keys).tolist() == [False] * 3 + [True] * 2
    assert store.snapshot().damaged == (first,)
    notices: list[str] = []
    with store.writer(notices.append) as writer:
        assert first.with_suffix(".h5.damaged").exists()
        writer.begin(PROBES, PRODUCER)
        writer.append(rows(1, 2, 3))
        writer.finish()
    assert f"{first.name} was damaged and has been renamed to {first.name}.damaged" in notices[0]
    np.testing.assert_array_equal(store.snapshot().rows(rows(5, 1).keys).features, rows(5, 1).features)


def test_a_damaged_row_in_a_cache_that_cannot_be_marked(tmp_path, monkeypatch):
    store = write(tmp_path, rows(1, 2, 3))
    flip_row(segment_of(store), "features", 0)

    def refuse(path: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("featx.store.segments.open_new", refuse)
    with pytest.raises(DamagedStoreError, match="the cache cannot be written, so that no row can be computed again"):
        store.snapshot().rows(rows(1, 2, 3).keys)


def test_a_flipped_byte_in_the_journal_damages_only_its_row(tmp_path):
    store = write(tmp_path, rows(1, 2, 3), finish=False)
    journal = store.path / "journal"
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 0x10
    journal.write_bytes(content)
    assert len(store.snapshot().keys()) == 2
    notices: list[str] = []
    with store.writer(notices.append):
        pass
    assert notices == [f"1 rows of {SPEC.id} were damaged; they are recomputed"]


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "another format"])
def test_unreadable_segment_is_set_aside(tmp_path, damage):
    store = write(tmp_path, rows(1, 2, 3))
    path = segment_of(store)
    content = path.read_bytes()
    if damage == "another format":
        edit_index(path, lambda index: index["attrs"].update(format="photographs"))
    else:
        path.write_bytes({"garbage": b"x" * 5000, "truncated": content[:3000], "empty": b""}[damage])
    assert list(open_segments(store.path).damaged) == [path]
    assert len(store.snapshot().keys()) == 0
    with pytest.raises(DamagedStoreError):
        open_store(store.path)
    assert len(write(tmp_path, rows(1)).snapshot().keys()) == 1
    assert path.with_suffix(".h5.damaged").exists()


def test_newer_format_is_an_error_and_is_not_replaced(tmp_path):
    store = write(tmp_path, rows(1))
    path = segment_of(store)
    edit_index(path, lambda index: index["attrs"].update(format_version=4))
    for do in (store.snapshot, store.header, lambda: write(tmp_path, rows(2))):
        with pytest.raises(NewerFormatError, match="has format 4; this version of featx reads format 3. Update featx"):
            do()
    assert path.exists()


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("features", {"dtype": "<f8"}, "features is <f8 of shape"),
        ("features", {"shape": [2, 2**40]}, "features is <f4 of shape"),
        ("features", {"shape": "two"}, "has no dataset 'features'"),
        ("features", {"offset": -8}, "is truncated: features is outside the file"),
        ("features", {"offset": 2**62}, "is truncated: features is outside the file"),
        ("features", {"offset": None}, "is truncated: features is outside the file"),
        ("crc", {"shape": [2**50]}, "key is .* expected u1 of"),
        ("probes", {"shape": [2**30, 2**30]}, "probes has the invalid shape"),
        ("probes", {"crc": 1}, "probes is damaged"),
        ("probes", {"shape": [6]}, "probes has the invalid shape"),
        ("probes", {"dtype": "|O"}, "probes is .O of shape"),
        ("probes", {"dtype": 4}, "has no dataset 'probes'"),
        ("probes", {"shape": [-1, 6]}, "has no dataset 'probes'"),
        ("probes", {"shape": [2.0, 6.0]}, "has no dataset 'probes'"),
        ("probes", {"shape": [True, 6]}, "has no dataset 'probes'"),
        ("probes", {"shape": [0, 6]}, "probes has the invalid shape"),
        ("probes", {"shape": [2, 0]}, "probes has the invalid shape"),
        ("features", {"shape": [2, 6, 1]}, "features is <f4 of shape"),
        ("features", {"offset": "9"}, "is truncated: features is outside the file"),
        ("features", {"offset": 8}, "is damaged: features overlaps the index"),
        ("features", {"crc": "x"}, "features is damaged"),
        ("crc", {"shape": [-2]}, "has no dataset 'crc'"),
        ("crc", {"shape": []}, "crc has the invalid shape"),
        ("crc", {"crc": None}, "the index has no checksum"),
        ("key", {"crc": 7}, "key is damaged"),
    ],
)
def test_an_invalid_index_is_an_error_without_allocation(tmp_path, name, change, message):
    store = write(tmp_path, rows(1, 2))
    path = segment_of(store)
    edit_index(path, lambda index: index["datasets"][name].update(change))
    with pytest.raises(DamagedStoreError, match=message):
        open_segment(path)
    assert len(store.snapshot().keys()) == 0


def test_datasets_that_overlap_are_an_error(tmp_path):
    store = write(tmp_path, rows(1, 2))

    def change(index):
        index["datasets"]["features"]["offset"] = index["datasets"]["signature"]["offset"] + 100

    edit_index(segment_of(store), change)
    with pytest.raises(DamagedStoreError, match="features overlaps signature"):
        open_segment(segment_of(store))


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": "1"},
        {"format_version": 0},
        {"format_version": True},
        {"producers": 3},
        {"producers": "[1]"},
        {"producers": "[]"},
        {"producers": "{}"},
        {"producers": '[{"engine": 1}]'},
        {"producers": "[" * 100_000},
        {"spec": 7},
        {"spec": "\ud800"},
        {"format": None},
        {"sequence": "7"},
        {"replaces": 7},
        {"replaces": "[7]"},
        {"replaces": "[" * 100_000},
    ],
)
def test_invalid_attributes_are_an_error(tmp_path, change):
    store = write(tmp_path, rows(1))
    path = segment_of(store)
    edit_index(path, lambda index: index["attrs"].update(change))
    assert path in open_segments(store.path).damaged
    with pytest.raises(DamagedStoreError):
        open_store(store.path)
    write(tmp_path, rows(2))
    assert path.with_suffix(".h5.damaged").exists()


def test_a_file_that_is_replaced_while_it_is_read_keeps_its_content(tmp_path):
    store = write(tmp_path, rows(1, 2))
    file = StoredFile(segment_of(store))
    other = segment_of(write(tmp_path / "other", rows(*range(3, 300))))
    other.replace(segment_of(store))
    assert sorted(map(bytes, file.mapped("key", "u1", (2, 36)))) == sorted(map(bytes, rows(1, 2).keys))


def test_an_index_is_a_json_object_with_the_checksum_of_its_bytes(tmp_path):
    store = write(tmp_path, rows(1))
    path = segment_of(store)
    whole = path.read_bytes()
    for content in (b"[]", b"7", b"[" * 100_000, b'{"attrs": 3, "datasets": {}}', b'{"datasets": {}}', b"\xff"):
        path.write_bytes(head_of(content) + content + whole[len(content) :])
        with pytest.raises(DamagedStoreError, match="is damaged, or was not written by featx"):
            open_segment(path)
    path.write_bytes(whole.replace(b'"shape"', b'"shabe"', 1))
    with pytest.raises(DamagedStoreError, match="is damaged, or was not written by featx"):
        open_segment(path)


def test_other_programs_read_a_store_as_hdf5(tmp_path):
    store = write(tmp_path, rows(1, 2, 3))
    found = store.snapshot().rows(store_keys(store))
    with h5py.File(segment_of(store)) as file:
        assert json.loads(file.attrs["spec"])["backbone"] == "quadrants"
        np.testing.assert_array_equal(file["key"], store_keys(store))
        np.testing.assert_array_equal(file["features"], found.features)
        np.testing.assert_array_equal(file["probes"], PROBES)


def test_links_to_other_files_are_not_followed(tmp_path):
    store = write(tmp_path, rows(1))
    other = segment_of(write(tmp_path / "other", rows(1)))
    before = store.snapshot().rows(rows(1).keys).features
    with h5py.File(segment_of(store), "r+") as file:
        del file["features"]
        file["features"] = h5py.ExternalLink(str(other), "features")
    np.testing.assert_array_equal(store.snapshot().rows(rows(1).keys).features, before)  # featx uses its own index


def store_keys(store: FeatureStore) -> np.ndarray:
    return np.frombuffer(store.snapshot().keys().tobytes(), np.uint8).reshape(-1, 36)


_HEAD = struct.Struct("<17sII")


def head_of(index: bytes) -> bytes:
    return _HEAD.pack(b"featx hdf5 index\n", len(index), zlib.crc32(index))


def edit_index(path: Path, change) -> None:
    """Change the index of a file as an attacker would, with a correct checksum."""
    content = path.read_bytes()
    length = _HEAD.unpack(content[: _HEAD.size])[1]
    index = json.loads(content[_HEAD.size : _HEAD.size + length])
    change(index)
    new = json.dumps(index).encode()
    path.write_bytes(head_of(new) + new + content[_HEAD.size + len(new) :])


def test_a_store_under_another_name_is_an_error(tmp_path):
    store = write(tmp_path, rows(1))
    twin = FeatureStore(tmp_path, FeatureSpec(**{**SPEC.__dict__, "pooling": "max"}))
    store.path.rename(twin.path)
    assert len(twin.snapshot().keys()) == 0
    assert twin.header() is None
    (error,) = open_segments(twin.path).damaged.values()
    assert "does not match the name of its folder" in str(error)
    with pytest.raises(DamagedStoreError, match="does not match the name of this folder"):
        open_store(twin.path)


def test_other_features_of_the_probes_stop_the_writer(tmp_path):
    store = write(tmp_path, rows(1))
    with store.writer(lambda text: None) as writer:
        with pytest.raises(
            StoreError,
            match=r"cannot be reproduced on this machine: .* cosine similarity of 0\.\d+; at least 0\.9999 is",
        ):
            writer.begin(PROBES[:, ::-1], PRODUCER)
        with pytest.raises(StoreError, match="has 6 features per image; this backbone gives 3"):
            writer.begin(PROBES[:, :3], PRODUCER)


def test_a_machine_with_slightly_different_features_is_recorded(tmp_path):
    store = write(tmp_path, rows(1))
    notices: list[str] = []
    with store.writer(notices.append) as writer:
        writer.begin(PROBES * np.float32(1 + 1e-6), {"engine": "test 2"})
        writer.append(rows(2))
        writer.finish()
    assert re.search(r"differ slightly from the features in the cache \(cosine similarity 1\.000000\)", notices[0])
    header = store.header()
    assert header.producers == (PRODUCER, {"engine": "test 2"})
    np.testing.assert_array_equal(header.probes, PROBES)


def test_a_store_may_consist_of_a_journal(tmp_path):
    store = write(tmp_path, rows(1), finish=False)
    assert segment_paths(store.path) == []
    assert open_store(store.path).spec == SPEC
    np.testing.assert_array_equal(store.header().probes, PROBES)
    assert len(write(tmp_path, rows(2)).snapshot().keys()) == 2


def test_leftovers_of_killed_writers_are_deleted(tmp_path):
    store = write(tmp_path, rows(1))
    leftover = store.path / f".{'a' * 16}.h5.0123456789abcdef.tmp"
    leftover.write_bytes(b"half a file")
    write(tmp_path, rows(2))
    assert not leftover.exists()


def test_rows_appended_before_an_exception_are_kept(tmp_path):
    store = FeatureStore(tmp_path, SPEC)
    with pytest.raises(KeyboardInterrupt), store.writer(lambda text: None) as writer:
        writer.begin(PROBES, PRODUCER)
        writer.append(rows(1, 2))
        raise KeyboardInterrupt
    assert len(store.snapshot().keys()) == 2


def test_commits_come_every_2_seconds(tmp_path, monkeypatch):
    synced: list[int] = []
    clock = [100.0]
    with FeatureStore(tmp_path, SPEC).writer(lambda text: None) as writer:
        monkeypatch.setattr("featx.store.journal.os.fsync", synced.append)
        monkeypatch.setattr("featx.store.journal.time.monotonic", lambda: clock[0])
        writer.begin(PROBES, PRODUCER)
        before = len(synced)
        writer.append(rows(*range(200)))
        clock[0] += 1.9
        writer.append(rows(300))
        assert len(synced) == before
        clock[0] += 0.2
        writer.append(rows(301))
        assert len(synced) == before + 1


def _hold(cache: Path, ready, go) -> None:
    with FeatureStore(cache, SPEC).writer(lambda text: None) as writer:
        writer.begin(PROBES, PRODUCER)
        writer.append(rows(1))
        ready.set()
        go.wait(30)
        writer.finish()


def test_a_second_writer_waits_and_then_reads_all_rows(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, ready, go))
    other.start()
    assert ready.wait(60)
    notices: list[str] = []

    def notice(text: str) -> None:
        notices.append(text)
        go.set()

    store = FeatureStore(tmp_path, SPEC)
    with store.writer(notice):
        assert store.snapshot().contains(rows(1).keys).all()
    other.join(30)
    assert other.exitcode == 0
    assert notices == [f"another run is writing {SPEC.id}; waiting for it to finish"]


def test_a_killed_writer_releases_the_lock_and_loses_no_committed_row(tmp_path):
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_store as t\n"
        "with t.FeatureStore(Path(sys.argv[2]), t.SPEC).writer(print) as w:\n"
        "    w.begin(t.PROBES, t.PRODUCER); w.append(t.rows(*range(300)))\n"
        "    os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)], check=False)
    assert done.returncode == 9
    assert len(write(tmp_path).snapshot().keys()) == 300


def test_write_cache_file_keeps_the_old_file_if_writing_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="file cannot be written: No space left on device"):
        write_cache_file(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_unwritable_cache(tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with (
        pytest.raises(StoreError, match="cache cannot be written: .*; choose another `cache`"),
        FeatureStore(tmp_path / "cache", SPEC).writer(print),
    ):
        pass


def test_latest(tmp_path):
    assert read_latest(tmp_path) is None
    write_latest(tmp_path, {"data": "x"})
    assert read_latest(tmp_path) == {"data": "x"}
    for text in ("[", "[" * 100_000, '{"a": ' * 100_000, '{"a": NaN}', '{"a": -Infinity}', "7", "1" * 5000, ""):
        (tmp_path / "latest.json").write_text(text)
        assert read_latest(tmp_path) is None
    with (tmp_path / "latest.json").open("wb") as stream:
        stream.truncate(1 << 40)
    assert read_latest(tmp_path) is None
    write_latest(tmp_path, {"data": "x"})
    assert read_latest(tmp_path) == {"data": "x"}


def _add_notes(cache: Path, who: int) -> None:
    for i in range(8):
        remember_agreement(cache, "a" * 16, f"{who} {i}", 0.5)
        remember_quantized_name(cache, "a" * 16, f"{who} {i}", "graph")
        remember_input_size(cache, f"{who} {i}", 224)


def test_no_note_is_lost_if_processes_and_threads_write_at_the_same_time(tmp_path):
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_add_notes, args=(tmp_path, who)) for who in range(2)]
    for other in others:
        other.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda who: _add_notes(tmp_path, who), range(2, 5)))
    for other in others:
        other.join(60)
    names = {f"{who} {i}" for who in range(5) for i in range(8)}
    assert set(read_agreements(tmp_path, "a" * 16)) == names
    assert set(read_input_sizes(tmp_path)) == names
    assert {name for name in names if read_quantized_name(tmp_path, "a" * 16, name) == "graph"} == names
    assert {file.kind for file in list_files(tmp_path)} == {"mark", "note"}  # no temporary file, nothing foreign


def test_notes_contain_only_valid_numbers(tmp_path):
    remember_agreement(tmp_path, "a" * 16, "bfloat16", float("nan"))
    assert read_agreements(tmp_path, "a" * 16) == {"bfloat16": None}
    (tmp_path / "graphs" / f"{'a' * 16}.json").write_text('{"a": 1e999, "b": "x", "c": 0.5, "d": null}')
    assert read_agreements(tmp_path, "a" * 16) == {"c": 0.5, "d": None}
    (tmp_path / "networks.json").write_text('{"a": 1e3, "b": true, "c": -1, "d": 224, "e": %s}' % ("9" * 4000))
    assert read_input_sizes(tmp_path) == {"d": 224}
