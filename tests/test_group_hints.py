"""Groups named by the user, and group hints."""

from __future__ import annotations

import re

import pytest

from featx.errors import DatasetError
from featx.group_hints import find_group_hints, in_natural_order, read_groups
from featx.table import Sample


def samples(*ids: str) -> list[Sample]:
    return [Sample(sample_id, sample_id.split("/")[0]) for sample_id in ids]


def test_groups_by_parent_pattern_and_column():
    two = [Sample("a/x/P1_1.png", "a", others=(("plate", "7"),)), Sample("a/y/1.png", "a", others=(("plate", ""),))]
    assert read_groups(two, "parent") == ["a/x", "a/y"]
    assert read_groups(two, r"(P\d+)") == ["P1", None]
    assert read_groups(two, r"P\d") == ["P1", None]
    assert read_groups(two, r"(a)/(.)/") == ["a\0x", "a\0y"]
    assert read_groups(two, "plate") == ["7", None]
    assert read_groups(two, "folder:2") == ["x", "y"]
    assert read_groups(two, "word:2") == ["1", None]
    with pytest.raises(DatasetError, match="`group_by=folder:3`: no image has such a group"):
        read_groups(two, "folder:3")


def test_an_invalid_pattern_or_one_without_a_match_names_the_allowed_values():
    with pytest.raises(
        DatasetError,
        match=r"`group_by=\(P`: not a regular expression \(.*\); expected parent, folder:N, word:N \(N.*\), "
        r"a column of the manifest, camera, day, or a regular expression",
    ):
        read_groups(samples("a/1.png"), "(P")
    with pytest.raises(
        DatasetError,
        match=r"`group_by=plate`: no image has such a group \(first path: 'a/1.png'\); expected parent, folder:N",
    ):
        read_groups(samples("a/1.png"), "plate")
    with pytest.raises(DatasetError, match=r"a column of the manifest \(well\), camera, day, or a regular expression"):
        read_groups([Sample("1.png", "a", others=(("day", "1"), ("well", "A1")))], "plate")


def test_plates_in_names():
    every = samples(*(f"{label}/P{plate:02}_{i}.png" for label in "ab" for plate in range(1, 5) for i in range(3)))
    found = find_group_hints(every)
    assert [(one.name, one.group_by, sorted(set(one.values))) for one in found] == [
        ("name", r"(P\d+)", ["P01", "P02", "P03", "P04"])
    ]


def test_people_before_a_double_underscore():
    every = samples(*(f"{label}/{who}__{label}.{i}.png" for label in "ab" for who in ("ann", "bo") for i in range(5)))
    assert [(one.group_by, set(one.values)) for one in find_group_hints(every)] == [("word:1", {"ann", "bo"})]


def test_folders_beside_the_class_and_columns():
    every = [
        Sample(f"{day}/{label}/{i}.png", label, others=(("camera", "xy"[i % 2]),))
        for day in ("monday", "tuesday")
        for label in "ab"
        for i in range(6)
    ]
    found = find_group_hints(every)
    assert [(one.name, one.group_by) for one in found] == [("camera", "camera"), ("folder", "folder:1")]


@pytest.mark.parametrize(
    "ids",
    [
        [f"{label}/{label}.{i}.png" for label in ("cat", "dog") for i in range(20)],  # the class and a number
        [f"{label}/{label}-{i % 5:02}.png" for label in "ab" for i in range(20)],  # repeated numbers
        [f"{label}/only-{label}-{i}.png" for label in "ab" for i in range(20)],  # one source for each class
        [f"{label}/{label}_{i}.png" for label in "ab" for i in range(20)],
        [f"{label}/IMG_{i}.png" for label in "ab" for i in range(20)],  # one word for all
    ],
)
def test_names_without_group_hints(ids):
    assert find_group_hints(samples(*ids)) == []


def test_patients_of_one_class_each():
    """The classic leak: each patient is either ill or healthy, and has images on both sides of a split."""
    every = samples(
        *(f"{label}/patient{label}{who:02}_{i}.png" for label in "ab" for who in range(6) for i in range(3))
    )
    (found,) = find_group_hints(every)
    assert found.group_by == "word:1"
    assert len(set(found.values)) == 12
    assert read_groups(every, found.group_by) == list(found.values)


def test_sources_may_be_numbers():
    n = 24
    column = [Sample(f"{i}.png", "ab"[i % 2], others=(("patient_id", str(1000 + i // 4)),)) for i in range(n)]
    assert [one.name for one in find_group_hints(column)] == ["patient_id"]
    folders = samples(*(f"{label}/{1000 + who}/{i}.png" for label in "ab" for who in range(4) for i in range(3)))
    (found,) = find_group_hints(folders)
    assert (found.name, set(found.values)) == ("folder", {"1000", "1001", "1002", "1003"})
    names = samples(*(f"{label}/{1000 + who}_{i}.png" for label in "ab" for who in range(4) for i in range(3)))
    assert [(one.name, one.group_by) for one in find_group_hints(names)] == [("name", "word:1")]


def test_days_are_sources_although_they_are_numbers():
    every = samples(*(f"{label}/{day}-{i}.png" for label in "ab" for day in (20240105, 20240311) for i in range(5)))
    assert [set(one.values) for one in find_group_hints(every)] == [{"20240105", "20240311"}]


def test_suffixes_added_by_a_tool_are_not_hints():
    every = samples(*(f"{c}/{n}_{i % 4}_jpg.rf.{n}{i:031x}.jpg" for c in "ab" for n in "78" for i in range(12)))
    assert [(one.group_by, set(one.values)) for one in find_group_hints(every)] == [("word:1", {"7", "8"})]


def test_no_samples():
    assert find_group_hints([]) == []


@pytest.mark.parametrize(
    "name",
    [
        "_{plate}_{label}_{i}.png",
        "__{plate}-{label}-{i}.png",
        "{label}_{i:03}_{plate}.png",
        "exp 4.{plate}.{label}.{i}.png",
        "{label}/{plate}/{i}.png",
        "{plate}/{label}/{i}.png",
        "{label}/{i}/{plate}_a.png",
        "{label}/IMG{i}_{plate}_.png",
    ],
)
@pytest.mark.parametrize("plates", [("P01", "P02", "P03"), ("north", "south", "east"), ("A1", "B2", "C3")])
def test_a_suggested_group_by_is_short_and_gives_the_same_groups(name, plates):
    """For any names, the short value gives the same groups again: at least 2, at most half the number of images."""
    every = [
        Sample(name.format(plate=plate, label=label, i=number), label)
        for number, (label, plate) in enumerate((label, plate) for label in "ab" for plate in plates for _ in range(6))
    ]
    found = find_group_hints(every)
    assert set(plates) in [set(source.values) for source in found]
    for source in found:
        assert re.fullmatch(r"(folder|word):\d|\([A-Za-z]+\\d\+\)", source.group_by), source.group_by
        assert read_groups(every, source.group_by) == list(source.values)
        assert 2 <= len(set(source.values)) <= len(every) / 2


def test_a_pattern_with_the_prefix_is_suggested_only_if_it_gives_the_same_groups():
    """The pattern would match the folder P2, which comes first in the path."""
    every = samples(*(f"{label}/P2/P{plate}_{i}.png" for label in "ab" for plate in range(1, 4) for i in range(4)))
    (found,) = find_group_hints(every)
    assert (found.group_by, sorted(set(found.values))) == ("word:1", ["P1", "P2", "P3"])


def test_names_are_in_natural_order():
    names = ["Platte 10", "Platte 9", "Platte 1", "B", "A02", "A10", "7", "x" + "1" * 5000]
    assert in_natural_order(names) == ["7", "A02", "A10", "B", "Platte 1", "Platte 9", "Platte 10", names[-1]]
