"""Columns of samples and file states behave like sequences of their objects, in little memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from featx.source import Entries, Entry, ImageFile, ImageFiles, LocalFolder
from featx.table import (
    BLOCK,
    Categorical,
    FileState,
    FileStates,
    Memo,
    Sample,
    Samples,
    Stamp,
    Texts,
    find_rows,
    stamps_fit,
)

NAMES = ["a/1.png", "", "käse/שלום.png", "a/\udcff\n.png", "\ud800", "b/" + "x" * 300]
STATES = [
    FileState(10, 20, bytes(range(32)), "ok", "", 640, 480, "Canon", "2024-01-05", 5, 6),
    FileState(0, -1, b"", "skipped", "empty file (0 bytes)"),
    FileState(2**62, 2**62, bytes(31) + b"\1", "ignored", inode=2**62),
    FileState(10, 20, bytes(31) + b"\1", "lacking", camera="Nikon"),
]


def test_texts_come_back_whatever_their_characters(tmp_path):
    names = [f"{name}{i}" for i in range(2 * BLOCK // len(NAMES)) for name in NAMES]  # more than two blocks
    texts = Texts.of(iter(names))
    assert texts == names == list(texts)
    assert (texts[-1], texts[4], texts[3:9], texts[9:3], texts[::-1000]) == (
        names[-1], names[4], names[3:9], [], names[::-1000],
    )  # fmt: skip
    with pytest.raises(IndexError):
        texts[len(names)]
    at = np.random.default_rng(0).permutation(len(names))
    assert texts.take(at) == [names[i] for i in at]
    assert texts.take(at[:0]) == []
    assert texts.take(slice(3, 9)) == names[3:9]
    assert texts.take(slice(9, 3)) == []
    assert Texts.join([texts.take(slice(5)), Texts.of([]), texts.take(slice(5, None))]) == texts
    assert texts != Texts.of(names[:-1])
    assert texts != [*names[:-1], "other"]
    assert Texts.of(["a\0b", "c"]) == ["a\N{REPLACEMENT CHARACTER}b", "c"]


def test_a_column_is_represented_by_its_first_rows():
    assert repr(Texts.of("abcd")) == "Texts('a', 'b', 'c', ... (4 in all))"
    assert repr(Categorical.of([None, "a"])) == "Categorical(None, 'a')"


def test_columns_of_few_values():
    rows = ["b", None, "a", "b", None, "b"]
    column = Categorical.of(rows)
    assert column == rows
    assert (column.counts(), column.to_array().tolist()) == ({"b": 3, None: 2, "a": 1}, rows)
    assert column.where(lambda value: value == "b").tolist() == [True, False, False, True, False, True]
    short = column.changed(lambda value: value or "a")
    assert short == ["b", "a", "a", "b", "a", "b"]
    assert len(short.values) == 2
    some = column.take(np.array([2, 0, 2]))
    assert (some, some.in_order().values, some.in_order()) == (["a", "b", "a"], ("a", "b"), ["a", "b", "a"])
    other = Categorical.of(["c", "a"])
    assert Categorical.join([column, other]) == [*rows, "c", "a"]
    assert Categorical.of([]).in_order() == Categorical.of([]).to_array().tolist() == []


def test_a_column_grows_beyond_the_numbers_of_its_type():
    many = [f"value {i}" for i in range(70_000)]
    column = Categorical.constant("", len(many))
    for start in range(0, len(many), 100):
        column.assign(start, many[start : start + 100])
    assert column == many
    halves = [Categorical.of(many[:200]), Categorical.of(many[100:400])]
    assert Categorical.join(halves) == [*many[:200], *many[100:400]]


def test_samples_come_back_with_their_further_columns():
    rows = [
        Sample(name, label, group, split, (("plate", f"P{i}"), ("day", "")))
        for i, (name, label, group, split) in enumerate(
            zip(NAMES, "aabbcc", [None, "g", *["h"] * 4], ["train", None, "val", "test", None, "train"], strict=True)
        )
    ]
    samples = Samples.of(rows)
    assert samples == rows
    assert samples.take(np.array([4, 1])) == [rows[4], rows[1]]
    assert samples.are_training().tolist() == [row.is_training for row in rows]
    more = samples.with_columns({"camera": Categorical.constant("Canon", len(rows))})
    assert more[2] == replace(rows[2], others=(*rows[2].others, ("camera", "Canon")))
    assert Samples.unlabelled(Texts.of("ab")) == [Sample("a"), Sample("b")]
    assert Samples.of([]) == []


def test_states_come_back_and_can_be_replaced():
    states = FileStates.of(STATES)
    assert states == STATES
    assert states.are("skipped").tolist() == [False, True, False, False]
    assert states.take(states.are("ok")) == STATES[:1]
    assert FileStates.join([states, FileStates.blank(0), states.take(slice(1, 3))]) == [*STATES, *STATES[1:3]]
    states.assign(1, [STATES[3], STATES[0]])
    assert states == [STATES[0], STATES[3], STATES[0], STATES[3]]
    ignored = FileStates.ignored(np.array([[1, 2, 3, 4]]))
    assert ignored == [FileState(1, 2, status="ignored", inode=3, ctime_ns=4)]


def test_images_and_entries_come_back(tmp_path):
    sources = LocalFolder(tmp_path), LocalFolder(tmp_path / "b")
    rows = [ImageFile(Sample(n, "a"), sources[i % 2], i, 2, 3, 4, "x" * i) for i, n in enumerate(NAMES)]
    images = ImageFiles.of(rows)
    assert images == rows
    assert images.take(np.array([3, 0])) == [rows[3], rows[0]]
    entries = [Entry(name, i, 2, 3, 4, "unreadable" * (i == 2)) for i, name in enumerate(NAMES)]
    assert Entries.of(entries) == entries
    assert Entries.of([]) == ()


@pytest.mark.parametrize(
    "changed", [(9, 2, 3, 4), (1, 9, 3, 4), (1, 2, 9, 4), (1, 2, 3, 9), (1, 2, 0, 4), (1, 2, 3, 4)]
)
def test_stamps_are_compared_as_one_by_one(changed):
    one = Stamp(1, 2, 3, 4)
    assert stamps_fit(np.array([one]), np.array([changed])).tolist() == [one.fits(Stamp(*changed))]
    assert stamps_fit(np.array([changed]), np.array([one])).tolist() == [Stamp(*changed).fits(one)]


def test_a_memo_finds_names_in_any_order():
    names = [f"{i % 7}/{i}.png" for i in range(10_000)]
    memo = Memo(Texts.of(names), FileStates.of(FileState(i, 1) for i in range(len(names))))
    at = np.random.default_rng(0).permutation(len(names))[:5_000]
    wanted = [names[i] for i in at]
    wanted[3:3] = ["new/1.png"]
    assert memo.find(Texts.of(wanted)).tolist() == [*at[:3], -1, *at[3:]]
    assert memo.find(Texts.of(names[:9])).tolist() == list(range(9))  # the first names, as in most runs
    assert (memo["3/10.png"].size, memo.get("new/1.png"), len(memo)) == (10, None, len(names))
    assert memo.take(memo.states.stamps[:, 0] < 2) == {"0/0.png": FileState(0, 1), "1/1.png": FileState(1, 1)}
    nothing = Memo.of({})
    assert (nothing.find(Texts.of(["a"])).tolist(), nothing.get("a"), nothing == {}) == ([-1], None, True)


def test_a_name_with_the_hash_of_another_is_not_taken_for_it(monkeypatch):
    monkeypatch.setattr("featx.table.states.hash", lambda name: 7, raising=False)
    memo = Memo(Texts.of(["a", "b"]), FileStates.of([FileState(1, 1), FileState(2, 2)]))
    found = memo.find(Texts.of(["c", "b", "a"])).tolist()
    assert all(at == -1 or memo.names[at] == name for at, name in zip(found, "cba", strict=True))
    assert memo.get("c") is None


def test_rows_of_bytes_are_found_by_all_of_their_bytes():
    known = np.zeros((4, 32), np.uint8)
    known[:, 31], known[:, 0] = [0, 1, 0, 2], [1, 0, 1, 0]
    wanted = np.concatenate([known[[1, 0]], np.full((1, 32), 9, np.uint8), np.zeros((1, 32), np.uint8)])
    assert find_rows(wanted, known).tolist() == [1, 2, -1, -1]  # the last of two equal rows
    assert find_rows(wanted, known[:0]).tolist() == [-1] * 4
    assert find_rows(wanted[:0], known).tolist() == []


def test_many_images_take_little_memory(tmp_path):
    n = 100_000
    tracemalloc.start()
    try:
        names = Texts.of(f"class/{i:07}.png" for i in range(n))
        source = Categorical.constant(LocalFolder(tmp_path), n)
        images = ImageFiles(Samples.unlabelled(names), source, np.zeros((n, 4), np.int64), Categorical.constant("", n))
        assert sum(image.size for image in images) == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 120 * n
