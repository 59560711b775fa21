"""Augmented versions of one image are recognized by the names of tools and by a change added to another name."""

from __future__ import annotations

import pytest

from featx.dataset import find_versions, original_stem, stem_without_change

HASH = "6c1e2b7a90f04c55a0b1d3e7c2f4a68"
UUID = "0b8f4c52-5f0e-4a3c-9d2e-6f1a7b8c9d0"


@pytest.mark.parametrize(
    ("name", "original"),
    [
        (f"rose_12_jpg.rf.{HASH}1", "rose_12"),
        (f"IMG-1_JPEG.rf.{HASH}2", "IMG-1"),
        (f"a_png_jpg.rf.{HASH}3", "a_png"),
        (f"cats_original_cat.1.jpg_{UUID}1", "cat.1"),
        ("rose_12", None),
        ("rose_jpg.rf.12", None),
        ("my_original_cat.1.jpg", None),
    ],
)
def test_names_that_tools_give(name, original):
    assert original_stem(name) == original


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("img_12_flip", "img_12"),
        ("img_12_flip_2", "img_12"),
        ("rose_rot_90_3", "rose"),
        ("rose.flip-ROT90deg", "rose"),
        ("aug_rose", "rose"),
        ("rot90_rose", "rose"),
        ("__rose", "rose"),
        ("rose - Copy", "rose"),
        ("rose - Copy (2)", "rose"),
        ("rose (copy 2)", "rose"),
        ("rose_copy_flip", "rose"),
    ],
)
def test_words_for_a_change_are_removed_from_names(name, rest):
    assert stem_without_change(name) == rest


@pytest.mark.parametrize(
    "name", ["photocopy", "copy 2", "rose_2", "aug12_0", "flip_", "_", "IMG_0012", "august_1", "x" * 300]
)
def test_other_names_do_not_change(name):
    assert stem_without_change(name) == name


def found(*sample_ids: str) -> list[set[str]]:
    return [{sample_ids[i] for i in group} for group in find_versions(sample_ids)]


def test_versions_of_tools_are_one_group_for_each_original_and_folder():
    of_rose = {f"train/rose/1_jpg.rf.{HASH}{i}.jpg" for i in range(3)}
    assert found(*sorted(of_rose), "train/rose/1.jpg", "train/rose/2.jpg") == [of_rose | {"train/rose/1.jpg"}]
    apart = [f"{folder}/{i}_jpg.rf.{HASH}{i}.jpg" for folder in ("a", "b") for i in range(9)]
    assert found(*apart) == []  # exported without augmentation
    written = {f"cat/output/cat_original_1.jpg_{UUID}{i}.jpg" for i in range(2)}
    assert found("cat/1.jpg", "cat/2.jpg", *sorted(written)) == [{"cat/1.jpg", *written}]


def test_a_change_added_to_the_name_of_another_file_makes_a_version():
    names = {"1.jpg", "1_flip.jpg", "1_rot90.png", "1-aug-2.jpg", "1_Crop_3.jpg", "1 blurred.jpg", "1_flipLR.jpg"}
    assert found(*sorted(names), "2.jpg", "2_3.jpg") == [names]
    of_a_version = {"x/IMG_0001.jpg", "x/IMG_0001_flip.jpg", "x/IMG_0001_flip_rot90.jpg"}
    assert found(*sorted(of_a_version), "x/IMG.jpg", "y/IMG_0001_aug_1.jpg") == [of_a_version]


@pytest.mark.parametrize(
    "names",
    [
        ["trip_aug_1.jpg", "trip_aug_2.jpg"],  # without the original image
        ["1.jpg", "1_left.jpg", "1_2.jpg"],
        ["rot.jpg", "crop.jpg", "flip_1.jpg"],
        ["1.jpg", "1.png"],
        ["a.b/1", "a.b/2"],
        ["gray_1.jpg", "gray_1_2.jpg"],
        ["_flip.jpg", "flip.jpg", "_.jpg"],
    ],
)
def test_other_names_are_not_versions(names):
    assert found(*names) == []


def test_a_name_that_a_whole_folder_shares_is_not_used():
    """Phones name every image ``image``."""
    names = [f"a/image_jpg.rf.{HASH}{i:04}.jpg" for i in range(101)]
    assert found(*names) == []
    assert len(found(*names[:100])) == 1
