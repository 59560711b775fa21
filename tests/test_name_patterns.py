"""File names give candidate groups: equal except for a change, a number, a word, or what surrounds another name."""

from __future__ import annotations

import numpy as np
import pytest

from featx.duplicates.name_patterns import name_patterns, name_shape


def groups_of(
    names: list[str], places: list[int] | None = None, of_versions: bool | None = None
) -> set[frozenset[str]]:
    """Return all groups of at least two names that some pattern gives."""
    places = places or [0] * len(names)
    groups = set()
    for pattern in name_patterns(names, places):
        if of_versions is not None and pattern.is_of_versions != of_versions:
            continue
        for key in {(place, key) for place, key in zip(places, pattern.keys, strict=True) if key is not None}:
            members = [name for name, *at in zip(names, places, pattern.keys, strict=True) if tuple(at) == key]
            if len(members) > 1:
                groups.add(frozenset(members))
    return groups


@pytest.mark.parametrize(
    "names",
    [
        ["aug_12_0_1234.jpeg", "aug_12_0_77.jpeg"],  # the last number
        ["rose_sepia.jpg", "rose_clahe.jpg"],  # the last word
        ["sepia-rose.jpg", "clahe-rose.jpg"],
        ["3_IMG_17.jpg", "4_IMG_17.jpg"],
        ["out_1_17_9931.jpg", "out_2_17_120.jpg"],  # the number in the middle
        ["rose (1).jpg", "rose (2).jpg"],
        ["IMG_17a.png", "IMG_17b.png"],
        ["rose-1a2b3c4d5e.png", "rose-99ab3c4d5e.png"],  # hexadecimal numbers
        ["rose_12_v_3.png", "rose_14_v_3.png"],
        ["rose.jpg", "new-rose-71-gamma.jpg"],  # another name inside
        ["12.jpg", "aug_12_0_1234.jpg"],
        ["a/rose.jpg", "b/rose.jpg"],
    ],
)
def test_versions_are_candidates(names):
    assert frozenset(names) in groups_of([*names, "lily.jpg", "IMG_99.png"])


def test_words_for_changes_are_only_given_to_versions():
    names = ["img_12_flip.jpg", "img_12_rot90.jpg", "img_13_flip.jpg", "img_13.jpg", "img_14.jpg"]
    assert groups_of(names, of_versions=True) == {frozenset(names[:2]), frozenset(names[2:4])}
    assert groups_of(["a/1.jpg", "b/1.jpg"], of_versions=True) == set()  # without such a word


def keras_names(prefix: str, n: int, versions: int, start: int = 0) -> list[str]:
    rng = np.random.default_rng(0)
    numbers = iter(rng.permutation(10_000)[: n * versions].tolist())
    return [f"{prefix}_{start + i}_{next(numbers)}.jpeg" for i in range(n) for _ in range(versions)]


def test_names_of_keras_are_recognised_by_their_numbers():
    names = keras_names("aug", 10, 5)
    expected = {frozenset(names[i : i + 5]) for i in range(0, 50, 5)}
    assert groups_of(names, of_versions=True) == expected
    assert groups_of(keras_names("", 10, 5), of_versions=True)  # _3_1234.jpeg
    of_classes = [0 if i % 2 else 1 for i in range(10) for _ in range(5)]  # numbered before they were sorted by class
    assert groups_of(names, of_classes, of_versions=True) == expected
    assert len(groups_of([f"IMG_{i}_0_{r}" for i in range(9) for r in (17 * i, 9000 - i)], of_versions=True)) == 9


@pytest.mark.parametrize(
    "names",
    [
        keras_names("plate", 10, 5, start=3),  # does not start at 0
        [f"plate_{i}_{j}" for i in range(10) for j in range(5)],  # numbers that are not random
        [f"patient_{i}_{100 * i + j}" for i in range(10) for j in range(5)],  # one range of numbers for each
        [f"2_{100 * i}_{(i * 7919 + j * 3571) % 9973}" for i in range(10) for j in range(5)],  # gaps
        [f"a_{i}_{(i * 7919) % 9973}" for i in range(10)],  # one image each
        ["a_0_1", "a_0_900"],
    ],
)
def test_other_numbers_are_not_of_keras(names):
    assert groups_of(names, of_versions=True) == set()


def test_names_are_compared_within_their_place():
    names = ["rose_1.jpg", "rose_2.jpg", "rose_3.jpg", "rose_4.jpg"]
    found = groups_of(names, [0, 0, 1, 1])
    assert frozenset(names[:2]) in found
    assert not any(len({name in names[:2] for name in group}) > 1 for group in found)


def test_a_version_of_a_version_has_the_key_of_the_first_name():
    names = ["rose.jpg", "my rose.jpg", "my rose (edited).jpg", "tulip.jpg"]
    assert frozenset(names[:3]) in groups_of(names)


@pytest.mark.parametrize(
    "name", ["", ".jpg", "....", "_", "a/b/.hidden", "x" * 5000, "_".join("abcdefghijklmnop"), "٣_٤_٥", "²_³"]
)
def test_any_name_is_examined(name):
    for pattern in name_patterns([name, name, "rose.jpg"], [0, 0, 0]):
        assert len(pattern.keys) == 3
        assert pattern.keys[0] == pattern.keys[1]


def test_shapes():
    assert name_shape("aug_12_*") == name_shape("aug_7_*") == "aug_#_*"
