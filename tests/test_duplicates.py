"""Groups that must not be torn apart."""

from __future__ import annotations

import numpy as np

from featx.duplicates import group_samples


def contents(*numbers: int) -> np.ndarray:
    return np.array([np.full(32, n) for n in numbers], np.uint8)


def test_every_picture_alone():
    assert group_samples(contents(5, 3, 4), [None] * 3).tolist() == [0, 1, 2]


def test_copies_are_one_group():
    assert group_samples(contents(5, 3, 5, 3), [None] * 4).tolist() == [0, 1, 0, 1]


def test_named_groups():
    assert group_samples(contents(1, 2, 3, 4), ["b", "a", "b", None]).tolist() == [0, 1, 0, 2]


def test_a_copy_ties_two_groups_together():
    assert group_samples(contents(1, 2, 3, 1, 4), ["a", "a", "b", "b", "c"]).tolist() == [0, 0, 0, 0, 1]


def test_long_chains():
    n = 3000
    names = [f"g{i // 2}" for i in range(n)]
    hashes = np.array([np.frombuffer(((i + 1) // 2).to_bytes(32, "big"), np.uint8) for i in range(n)])
    assert set(group_samples(hashes, names).tolist()) == {0}
