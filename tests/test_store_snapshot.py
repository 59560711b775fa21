"""Snapshots of data sets: what is stored comes back, nothing is written without need, damage only costs time."""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from featx.errors import DamagedStoreError, NewerFormatError, StoreError
from featx.store import read_snapshot, summarize_snapshot, write_snapshot
from featx.table import Categorical, FileState, FileStates, Sample, Samples, Texts

HEAD = struct.Struct("<17sII")
ONE = [Sample("a.png")], [FileState(1, 2, bytes([7] * 32))]


def write(cache: Path, samples: list[Sample], states: list[FileState], decode: str = "1-ab") -> Path:
    write_snapshot(cache, "0123", Path("/data"), decode, samples, states)
    return cache / "datasets" / "0123.h5"


def edit(path: Path, change: Callable[[dict], None]) -> None:
    """Change the index of a file as an attacker would, with a correct checksum."""
    content = path.read_bytes()
    length = HEAD.unpack(content[: HEAD.size])[1]
    index = json.loads(content[HEAD.size : HEAD.size + length])
    change(index)
    new = json.dumps(index).encode()
    head = HEAD.pack(b"featx hdf5 index\n", len(new), zlib.crc32(new))
    path.write_bytes(head + new + content[HEAD.size + len(new) :])


def overwrite(path: Path, name: str, content: bytes) -> None:
    """Change the bytes of a dataset as an attacker would, with a correct checksum."""
    offsets = []

    def change(index: dict) -> None:
        offsets.append(index["datasets"][name]["offset"])
        index["datasets"][name]["crc"] = zlib.crc32(content)

    edit(path, change)
    with path.open("r+b") as stream:
        stream.seek(offsets[0])
        stream.write(content)


def test_snapshot_round_trip(tmp_path):
    state = FileState(10, 123456789, bytes(range(32)), "ok", "", 640, 480, "Canon EOS 5D", "2024-01-05", 5, 6)
    bad = FileState(0, -1, b"", "skipped", "empty file (0 bytes)")
    samples = [Sample("a/\udcff\n.png", "käse", "g", "train"), Sample("b.png")]
    path = write(tmp_path, samples, [state, bad])
    assert read_snapshot(tmp_path, "0123", "1-ab") == {"a/\udcff\n.png": state, "b.png": bad}
    # Skipped images are read again with a new decoder.
    assert list(read_snapshot(tmp_path, "0123", "2-cd")) == ["a/\udcff\n.png"]
    summary = summarize_snapshot(path)
    assert (summary.n_images, summary.n_skipped, summary.n_ignored) == (1, 1, 0)
    assert summary.content_hashes.tobytes() == bytes(range(32))
    write_snapshot(tmp_path, "empty", Path("/data"), "1-ab", [], [])
    assert read_snapshot(tmp_path, "empty", "1-ab") == {}


def test_other_programs_read_a_snapshot_as_the_documentation_says(tmp_path):
    samples = [Sample("a/1.png", "a"), Sample("a/2.png", "a", split="test"), Sample("é\udcff.png")]
    states = [FileState(3, 4, bytes([n]) * 32, width=5, height=6, inode=8, ctime_ns=9) for n in (1, 2, 3)]
    with h5py.File(write(tmp_path, samples, states)) as file:
        names = file["sample_id"][()].tobytes().decode("utf-8", "surrogatepass").split("\0")[:-1]
        values = file["label_values"][()].tobytes().decode().split("\0")[:-1]
        assert names == ["a/1.png", "a/2.png", "é\udcff.png"]
        assert [values[code] for code in file["label"]] == ["a", "a", ""]
        assert file["stamp"][()].tolist() == [[3, 4, 8, 9]] * 3
        assert file["content_hash"][2].tobytes() == bytes([3]) * 32
        assert (file["width"][0], file["height"][0]) == (5, 6)


def test_a_snapshot_that_has_the_same_content_is_not_written_again(tmp_path):
    samples = [Sample("a/1.png", "a"), Sample("b/2.png", "b")]
    states = [FileState(1, 2, bytes([7] * 32)), FileState(1, 2, bytes([8] * 32), inode=3)]
    path = write(tmp_path, samples, states)
    os.utime(path, (1, 1))
    before = path.stat()
    # The same rows in other columns: with values that no row has, and numbers in another order.
    columns = Samples(
        Texts.of(["a/1.png", "b/2.png"]),
        Categorical(np.array([2, 1], np.uint16), ["c", "b", "a"]),
        *(Categorical.constant(None, 2) for _ in range(2)),
    )
    write_snapshot(tmp_path, "0123", Path("/data"), "1-ab", columns, FileStates.of(states))
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime > 1_000  # the time of the last scan
    for changed in (
        lambda: write(tmp_path, [samples[0], Sample("b/3.png", "b")], states),
        lambda: write(tmp_path, [samples[0], Sample("b/3.png", "c")], states),
        lambda: write(tmp_path, samples, [states[0], FileState(1, 2, bytes([8] * 32), inode=4)]),
        lambda: write(tmp_path, samples[:1], states[:1]),
        lambda: write(tmp_path, samples, states, "2-cd"),
    ):
        before = path.stat().st_ino
        changed()
        assert path.stat().st_ino != before
    content = path.read_bytes()
    path.write_bytes(content[:-40] + bytes(40))  # damage
    write(tmp_path, samples, states, "2-cd")
    assert path.read_bytes() == content


def test_one_long_path_and_one_long_reason_do_not_enlarge_the_other_rows(tmp_path):
    n, long = 20_000, "x" * 4_000
    samples = [*(Sample(f"{i:05}.png", "a") for i in range(n)), Sample(f"{long}.png", "a")]
    states = [*(FileState(1, 2, i.to_bytes(32)) for i in range(1, n + 1)), FileState(0, -1, b"", "skipped", long)]
    path = write(tmp_path, samples, states)
    assert path.stat().st_size < 100 * n
    assert read_snapshot(tmp_path, "0123", "1-ab")[f"{long}.png"] == states[-1]


def test_a_snapshot_of_many_files_is_read_and_written_in_little_memory(tmp_path):
    n = 200_000
    hashes = np.random.default_rng(0).integers(1, 256, (n, 32), np.uint8)
    states = FileStates.blank(n).replaced(content_hashes=hashes)
    samples = Samples.unlabelled(Texts.of(f"folder/{i}.png" for i in range(n)))
    tracemalloc.start()
    try:
        write_snapshot(tmp_path, "0123", Path("/data"), "1-ab", samples, states)
        known = read_snapshot(tmp_path, "0123", "1-ab")
        assert len(known.find(samples.sample_ids)) == n
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150 * n  # a dictionary of FileState takes 600 bytes a row


def test_a_snapshot_of_an_earlier_or_later_format_is_not_used(tmp_path):
    path = write(tmp_path, *ONE)
    edit(path, lambda index: index["attrs"].update(format_version=1))
    assert read_snapshot(tmp_path, "0123", "1-ab") == {}
    with pytest.raises(DamagedStoreError, match="has format 1, .*; extract the data set again, or delete the file"):
        summarize_snapshot(path)
    edit(path, lambda index: index["attrs"].update(format_version=3))
    assert read_snapshot(tmp_path, "0123", "1-ab") == {}
    with pytest.raises(NewerFormatError, match="has format 3; this version of featx reads format 2. Update featx"):
        summarize_snapshot(path)


@pytest.mark.parametrize("name", ["sample_id", "stamp", "content_hash", "status", "status_values"])
def test_states_of_a_snapshot_with_a_flipped_byte_are_not_used(tmp_path, name):
    path = write(tmp_path, *ONE)
    content = bytearray(path.read_bytes())
    length = HEAD.unpack(content[: HEAD.size])[1]
    at = json.loads(content[HEAD.size : HEAD.size + length])["datasets"][name]["offset"]
    content[at] ^= 1
    path.write_bytes(content)
    assert read_snapshot(tmp_path, "0123", "1-ab") == {}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"root": "/data\0"}, None),
        ({"root": "\ud800"}, None),
        ({"root": 7}, None),
        ({"shape": [-1]}, "stamp"),
        ({"shape": [2**40]}, "sample_id"),
        ({"shape": [2**40]}, "width"),
        ({"dtype": "|S0"}, "label"),
        ({"dtype": "<i8"}, "status"),
        ({"dtype": "|S9"}, "sample_id"),
        ({"dtype": "<f8"}, "stamp"),
    ],
)
def test_an_invalid_snapshot_is_damaged_and_its_states_are_not_used(tmp_path, change, name):
    path = write(tmp_path, *ONE)
    edit(path, lambda index: (index["attrs"] if name is None else index["datasets"][name]).update(change))
    with pytest.raises(DamagedStoreError):
        summarize_snapshot(path)
    if name != "label":  # read_snapshot does not read labels
        assert read_snapshot(tmp_path, "0123", "1-ab") == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [("sample_id", b"a\0png\0"), ("sample_id", b"a.pngx"), ("status", b"\x01")],
)
def test_texts_and_codes_that_do_not_fit_are_damage(tmp_path, name, content):
    path = write(tmp_path, *ONE)
    overwrite(path, name, content)
    with pytest.raises(DamagedStoreError):
        summarize_snapshot(path)
    assert read_snapshot(tmp_path, "0123", "1-ab") == {}


def test_names_that_are_not_utf8_match_no_file(tmp_path):
    path = write(tmp_path, *ONE)
    overwrite(path, "sample_id", b"\xff.png\0")
    assert list(read_snapshot(tmp_path, "0123", "1-ab")) == ["\N{REPLACEMENT CHARACTER}.png"]


@pytest.mark.parametrize("state", [FileState(1, 2), FileState(1, 2, bytes([7] * 32), "odd")])
def test_a_snapshot_with_invalid_states_is_damaged(tmp_path, state):
    path = write(tmp_path, [Sample("a.png")], [state])
    assert read_snapshot(tmp_path, "0123", "1-ab") == {}
    with pytest.raises(DamagedStoreError, match="a file has an invalid status"):
        summarize_snapshot(path)


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_an_unreadable_snapshot_has_no_states(tmp_path, content):
    if content is not None:
        (tmp_path / "datasets").mkdir()
        (tmp_path / "datasets" / "0123.h5").write_bytes(content)
    assert read_snapshot(tmp_path, "0123", "1-ab") == {}


def test_a_file_that_is_no_snapshot_is_not_summarized(tmp_path):
    with pytest.raises(FileNotFoundError):
        summarize_snapshot(tmp_path / "gone.h5")
    path = write(tmp_path, *ONE)
    edit(path, lambda index: index["attrs"].update(format="photographs"))
    with pytest.raises(StoreError, match="is not the snapshot of a data set"):
        summarize_snapshot(path)
