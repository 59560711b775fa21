"""Images without contrast and different files with equal features are reported, and do not train a head."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import save_image
from PIL import Image

from featx import inspect
from featx.contrast import are_equal, find_indistinct
from featx.errors import EvaluationError
from featx.evaluation.procedures import split_train_val_test
from featx.extraction import extract
from featx.finetuning import extract_and_split
from featx.fitting import fit
from featx.options import FeatureOptions, RunOptions, SplitOptions
from featx.rendering import extraction_lines, inspection_lines


def clear(path, level: int):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA", (40, 40), (level, 9, 9, 0)).save(path)


def placeholder(path, text: str):
    image = Image.new("RGB", (40, 40), (200, 200, 200))
    image.paste((20, 20, 20), (8, 12, 30, 22))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG", compress_level=len(text) % 10)


def test_a_data_set_without_problems_is_not_reported(fake, images):
    table = extract(images, "quadrants", runtime=fake.runtime)
    assert (table.extraction.blank, table.extraction.blank_classes, table.extraction.equal_features) == ((), (), ())
    found = find_indistinct(table)
    assert (found.notes(), found.n_images) == ([], 24)


@pytest.mark.parametrize("kind", ["transparent", "empty first page"])
def test_a_data_set_of_blank_images_is_reported_first_and_cannot_be_fitted(fake, tmp_path, kind):
    names = []
    for number in range(24):
        if kind == "transparent":
            path = tmp_path / "set" / "ab"[number % 2] / f"{number:02}.png"
            clear(path, number)
        else:
            path = save_image(tmp_path / "set" / "ab"[number % 2] / f"{number:02}.tif", (90, 9, 9), number)
            page = Image.open(path).convert("L")
            Image.new("L", page.size).save(path, "TIFF", save_all=True, append_images=[page])
        names.append(path.relative_to(tmp_path / "set").as_posix())
    found = inspect(tmp_path / "set")
    assert (set(found.blank), found.blank_classes) == (set(names), ("a", "b"))
    lines = inspection_lines(found.to_dict())
    assert lines[1].startswith("blank      all 24 images show no contrast: fully transparent, of one colour, or an")
    assert not any(line.startswith("problems") for line in lines)
    assert (found.notes == {"fully transparent, shown as white": 24}) == (kind == "transparent")
    table = extract(tmp_path / "set", "quadrants", runtime=fake.runtime)
    assert table.extraction.to_dict()["blank"] == list(found.blank)
    assert extraction_lines(table.extraction.to_dict())[1] == lines[1]
    with pytest.raises(
        EvaluationError, match=r"all 24 images of the training part of set have the same features.*a/00"
    ):
        fit(table, runtime=fake.runtime)


def test_one_colour_with_noise_is_blank(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(6):
        noisy = 100 + rng.integers(0, 2, (96, 96, 3)) + np.full(3, number)
        Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / f"{number}.jpg", quality=95)
    ramp = np.tile(np.linspace(100, 104, 96), (96, 1)).round().astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    found = inspect(tmp_path)
    assert found.blank == tuple(f"{number}.jpg" for number in range(6))


def test_few_blank_images_and_placeholders_are_named(fake, images):
    for number in range(3):
        clear(images / "clear" / f"{number}.png", number)
    clear(images / "red" / "clear.png", 99)
    for text in ("a", "ab", "abc"):
        placeholder(images / "blue" / f"missing-{text}.png", text)
    found = inspect(images)
    assert set(found.blank) == {"clear/0.png", "clear/1.png", "clear/2.png", "red/clear.png"}
    assert found.blank_classes == ("clear",)
    table = extract(images, "quadrants", runtime=fake.runtime)
    missing = tuple(f"blue/missing-{text}.png" for text in ("a", "ab", "abc"))
    assert table.extraction.blank == found.blank
    assert table.extraction.equal_features == (missing,)
    lines = extraction_lines(table.extraction.to_dict())[1:3]
    assert lines[0].startswith("blank      4 images of 31 show no contrast (all of clear): fully transparent")
    assert lines[1] == f"equal      3 different files have equal features: {', '.join(missing)}; if they are " + (
        "placeholders for missing images, remove them"
    )
    model = fit(table, cv=2, runtime=fake.runtime)
    assert [re.sub(r"^\w+ +", "", line) for line in lines] == list(model.evaluation.notes[:2])
    table = extract(images, "quadrants", runtime=fake.runtime)  # a warm run gives the same result
    assert table.extraction.equal_features == (missing,)


def test_a_training_part_of_equal_features_is_an_error(fake, tmp_path):
    """The only image that differs may be in the training part or held out."""
    for number in range(20):
        clear(tmp_path / "set" / "ab"[number % 2] / f"{number:02}.png", number)
    save_image(tmp_path / "set" / "a" / "differs.png", (200, 50, 40))
    table = extract(tmp_path / "set", "quadrants", runtime=fake.runtime)
    differs, groups = table.sample_ids.tolist().index("a/differs.png"), np.arange(len(table))
    is_held_out = []
    for seed in range(12):
        try:
            is_held_out.append(differs not in split_train_val_test(table, groups, seed).train)
            assert not is_held_out[-1]
        except EvaluationError as error:
            assert "images of the training part of set have the same features" in str(error)  # noqa: PT017
            is_held_out.append(True)
    assert set(is_held_out) == {False, True}


def test_training_reports_them_too(fake, images):
    for text in ("a", "ab", "abc"):
        placeholder(images / "blue" / f"missing-{text}.png", text)
    lines = []
    runtime = replace(fake.runtime, notice=lines.append)
    data = extract_and_split(images, "quadrants", FeatureOptions(), RunOptions(), SplitOptions(), runtime)
    assert data.notes[0].startswith("3 different files have equal features: blue/missing-a.png")
    assert data.notes[0] in lines


def test_equal_rows():
    X = np.ones((5000, 3), np.float32)
    assert are_equal(X)
    assert not are_equal(X[:1])
    X[-1, -1] = 2
    assert not are_equal(X)
