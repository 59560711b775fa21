"""Inspection reports the problems of a data set without a backbone."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance
from typer.testing import CliRunner

from featx import inspect, inspection
from featx.cli.app import app
from featx.duplicates.near import NearDuplicates
from featx.errors import DatasetNotFoundError
from featx.images import prepare
from featx.rendering import inspection_lines
from featx.runtime import Runtime


def scene(path, seed: int, side: int = 96) -> Image.Image:
    """Write an image of smooth shapes, different for each seed."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8).astype(np.uint8))
    image = small.resize((side, side), Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return image


def versions_of_scenes(folder, name, n: int = 20):
    """Write three versions, shifted, brighter and noisy, of each of ``n`` scenes of class a: ``name(i, v)``."""
    for i in range(n):
        whole = np.asarray(scene(folder / "whole.png", 1000 + i, 108)).astype(float)
        for v in range(3):
            rng = np.random.default_rng([i, v])
            y, x = rng.integers(0, 13, 2)
            changed = whole[y : y + 96, x : x + 96] * (1, 0.9, 1.1)[v] + rng.normal(0, 6, (96, 96, 3))
            path = folder / "a" / name(i, v)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(changed.clip(0, 255).astype(np.uint8)).save(path)
    (folder / "whole.png").unlink()


@pytest.fixture
def scenes(tmp_path):
    """Return a folder of two classes, 12 different scenes each."""
    for number in range(24):
        scene(tmp_path / "set" / "ab"[number % 2] / f"{number:02}.png", number)
    return tmp_path / "set"


def test_a_data_set_without_problems(scenes):
    found = inspect(scenes)
    assert (found.n_images, found.classes) == (24, {"a": 12, "b": 12})
    problems = (found.invalid, found.duplicates, found.near_duplicates, found.conflicts, found.across_splits)
    assert problems == ((), (), (), (), ())
    assert (found.tiny, found.dark, found.ignored) == ((), None, ())


def test_duplicates_near_duplicates_and_conflicts(scenes):
    shutil.copy(scenes / "a" / "00.png", scenes / "a" / "copy.png")
    shutil.copy(scenes / "b" / "01.png", scenes / "a" / "wrong.png")
    with Image.open(scenes / "b" / "03.png") as image:
        image.resize((70, 70)).save(scenes / "a" / "small.jpg", quality=80)
        image.rotate(90).save(scenes / "b" / "turned.png")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(scenes / "b" / "mirrored.png")
    found = inspect(scenes)
    assert set(found.duplicates) == {("a/00.png", "a/copy.png"), ("a/wrong.png", "b/01.png")}
    near_duplicates = ("a/small.jpg", "b/03.png", "b/mirrored.png", "b/turned.png")
    assert found.near_duplicates == (near_duplicates,)
    assert found.duplicate_conflicts == (("a/wrong.png", "b/01.png"),)
    assert found.near_duplicate_conflicts == (near_duplicates,)
    assert found.conflicts == found.duplicate_conflicts + found.near_duplicate_conflicts
    lines = [text for text in inspection_lines(found.to_dict()) if text.startswith("conflict ")]
    assert lines == [
        "conflict   duplicates (the same bytes) with different labels: a/wrong.png, b/01.png",
        f"conflict   near-duplicates (similar images) with different labels: {', '.join(near_duplicates)}",
    ]


def test_a_class_too_alike_is_reported_as_by_fit(scenes, monkeypatch):
    monkeypatch.setattr(
        "featx.inspection.find_near_duplicates",
        lambda *given, **marks: NearDuplicates([(i, i + 1) for i in range(6)] + [(20, 21)], None),
    )
    found = inspect(scenes)
    assert found.too_alike == ("a",)
    assert found.near_duplicates == (("b/17.png", "b/19.png"),)
    similar = "images of these classes are so similar that only duplicates, not near-duplicates, are found"
    assert f"too alike  a: {similar}" in inspection_lines(found.to_dict())


def test_recordings_are_reported_and_are_not_near_duplicates(scenes):
    still = np.asarray(scene(scenes / "still.png", 99)).astype(int)
    for number in range(12):
        still = still + np.random.default_rng(number).normal(0, 4, still.shape)
        Image.fromarray(still.clip(0, 255).astype(np.uint8)).save(scenes / "a" / f"frame{number}.png")
    moved = np.roll(still, 40, axis=1)
    for number in range(12, 24):
        moved = np.roll(moved, 2, axis=0)
        Image.fromarray(moved.clip(0, 255).astype(np.uint8)).save(scenes / "a" / f"frame{number}.png")
    (scenes / "still.png").unlink()
    found = inspect(scenes)
    assert sorted(len(recording) for recording in found.recordings) == [12, 12]
    assert found.near_duplicates == ()
    assert "12 frames of one recording: a/frame0.png to a/frame11.png" in "\n".join(inspection_lines(found.to_dict()))


def test_versions_are_reported_and_are_not_near_duplicates(scenes):
    for name in ("rose", "rose_bright", "rose_dark_2"):
        scene(scenes / "a" / f"{name}.png", 99)
    with Image.open(scenes / "a" / "rose.png") as image:
        ImageEnhance.Brightness(image).enhance(1.1).save(scenes / "a" / "rose_bright.png")
        ImageEnhance.Brightness(image).enhance(0.9).save(scenes / "a" / "rose_dark_2.png")
    found = inspect(scenes)
    assert found.versions == (("a/rose.png", "a/rose_bright.png", "a/rose_dark_2.png"),)
    assert found.near_duplicates == ()
    lines = inspection_lines(found.to_dict())
    assert (
        "versions   versions of one image, recognised by their names: a/rose.png, a/rose_bright.png, a/rose_dark_2.png"
    ) in lines


def test_versions_with_similar_names_are_reported_if_they_are_alike(scenes):
    words = ("clahe", "plain", "sepia")
    versions_of_scenes(scenes, lambda i, v: f"{words[v]}-{chr(97 + i)}.png")
    expected = tuple(tuple(f"a/{word}-{chr(97 + i)}.png" for word in words) for i in range(20))
    assert inspect(scenes).versions == expected


def test_images_with_similar_names_that_differ_are_not_versions(scenes):
    for i in range(20):
        for v in range(3):
            scene(scenes / "a" / f"plate{chr(97 + i)}-well{v}.png", 1000 + 3 * i + v)
    assert inspect(scenes).versions == ()


def test_a_near_duplicate_of_two_duplicates_is_in_the_second_list_of_conflicts(scenes):
    shutil.copy(scenes / "a" / "00.png", scenes / "b" / "same.png")
    with Image.open(scenes / "a" / "00.png") as image:
        image.save(scenes / "b" / "again.jpg", quality=70)
    found = inspect(scenes)
    assert found.duplicates == (("a/00.png", "b/same.png"),)
    assert found.near_duplicates == (("a/00.png", "b/again.jpg", "b/same.png"),)
    assert (found.duplicate_conflicts, found.near_duplicate_conflicts) == (found.duplicates, found.near_duplicates)


def test_duplicates_across_splits(tmp_path):
    for number in range(12):
        scene(tmp_path / ("train", "test")[number % 2] / "ab"[number // 6] / f"{number}.png", number)
    shutil.copy(tmp_path / "train" / "a" / "0.png", tmp_path / "test" / "a" / "leak.png")
    found = inspect(tmp_path)
    assert found.across_splits == (("test/a/leak.png", "train/a/0.png"),)
    assert found.conflicts == ()


def test_unreadable_files_tiny_classes_and_notes(scenes):
    (scenes / "a" / "empty.jpg").write_bytes(b"")
    (scenes / "a" / "torn.png").write_bytes((scenes / "a" / "00.png").read_bytes()[:900])
    shutil.copy(scenes / "a" / "torn.png", scenes / "b" / "torn.png")
    (scenes / "notes.txt").write_text("no image")
    frames = [Image.new("RGB", (30, 30), (level, 0, 0)) for level in (20, 90)]
    (scenes / "rare").mkdir()
    frames[0].save(scenes / "rare" / "moving.gif", save_all=True, append_images=frames[1:])
    found = inspect(scenes)
    assert {one.path: one.reason for one in found.invalid} == {
        "a/empty.jpg": "empty file (0 bytes)",
        "a/torn.png": "truncated PNG: the file ends before the image does",
        "b/torn.png": "truncated PNG: the file ends before the image does",
    }
    assert (found.tiny, found.ignored) == (("rare",), ("notes.txt",))
    assert found.notes == {"first of 2 frames": 1}


def test_flat_images_of_different_colours_are_not_near_duplicates(tmp_path):
    for level in range(0, 250, 10):
        path = tmp_path / "flat" / f"{level}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), (level, level, level)).save(path)
    assert inspect(tmp_path).near_duplicates == ()


def test_similar_scenes_of_low_contrast_are_not_near_duplicates(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(40):  # different images of a sea with small waves
        waves = 60 + rng.normal(0, 12, (96, 96, 3))
        (tmp_path / "sea").mkdir(exist_ok=True)
        Image.fromarray(waves.clip(0, 255).astype(np.uint8)).save(tmp_path / "sea" / f"{number}.png")
    assert inspect(tmp_path).near_duplicates == ()


def test_dark_16_bit_images_are_reported(tmp_path):
    values = np.random.default_rng(0).integers(0, 4000, (20, 20)).astype(np.uint16)
    (tmp_path / "a").mkdir()
    Image.fromarray(values).save(tmp_path / "a" / "deep.png")
    found = inspect(tmp_path)
    assert "would be nearly black: no pixel value exceeds 4,095. Add `white=4095`" in found.dark
    assert (found.white, inspect(tmp_path, white=4095).dark) == (4095, None)
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path)]).output
    assert shown.splitlines()[-1] == f"next       featx extract {tmp_path} --white 4095"


@pytest.mark.parametrize("is_blank", [True, False])
def test_no_next_command_if_no_head_can_be_trained(tmp_path, is_blank):
    for name in ("a.png", "b.png"):
        if is_blank:
            Image.new("RGB", (20, 20)).save(tmp_path / name)
        else:
            (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1")
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert shown.exit_code == 0
    assert ("no contrast" if is_blank else "run git lfs pull to fetch the images") in shown.output
    assert not any(line.startswith("next ") for line in shown.output.splitlines())


def test_command(scenes):
    shutil.copy(scenes / "b" / "01.png", scenes / "a" / "wrong.png")
    (scenes / "a" / "empty.jpg").write_bytes(b"")
    shown = CliRunner().invoke(app, ["inspect", str(scenes)])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[2:5] == [
        "conflict   duplicates (the same bytes) with different labels: a/wrong.png, b/01.png",
        "invalid    a/empty.jpg: empty file (0 bytes)",
        "duplicates files with the same bytes: a/wrong.png, b/01.png",
    ]
    assert lines[-1] == f"next       featx extract {scenes}"
    summary = json.loads(CliRunner().invoke(app, ["inspect", str(scenes), "--json"]).stdout)
    assert summary["n_images"] == 25
    assert summary["conflicts"] == summary["duplicate_conflicts"] == [["a/wrong.png", "b/01.png"]]
    assert summary["near_duplicate_conflicts"] == []
    assert summary["invalid"] == [{"path": "a/empty.jpg", "reason": "empty file (0 bytes)"}]
    with pytest.raises(DatasetNotFoundError, match="no such file or folder"):
        inspect(scenes / "nowhere")


def test_odd_labels_and_empty_folders_are_problems(scenes):
    (scenes / "c").mkdir()
    (scenes / "b").rename(scenes / "A")
    found = inspect(scenes)
    assert found.remarks == (
        "classes 'A' and 'a' differ only in spelling; if they are the same class, give the folders one name",
        "no image in c, next to the class folders",
    )
    lines = inspection_lines(found.to_dict())
    assert "labels     no image in c, next to the class folders" in lines
    assert not any(text.startswith("problems") for text in lines)


def test_progress_of_the_comparison(scenes):
    reported = []
    inspect(scenes, runtime=Runtime(progress=lambda *at: reported.append(at)))
    compared = [at[1:] for at in reported if at[0] == "finding near-duplicates"]
    assert (compared[0], compared[1], compared[-2], compared[-1]) == ((0, 0), (24, 432), (288, 288), (1, 1))


def test_scans_that_were_saved_smaller_are_near_duplicates(tmp_path):
    rng = np.random.default_rng(0)
    home = tmp_path / "set" / "a"
    home.mkdir(parents=True)
    names = dict(zip("abcdefghijklmnop", "xykwqtzurnvsmlji", strict=True))  # which say nothing
    for scan, small in names.items():
        page = Image.new("L", (1700, 2200), 250)
        draw = ImageDraw.Draw(page)
        for y in range(150, 2050, 44):
            for x in range(150, int(rng.integers(300, 1550)), 16):
                if rng.random() < 0.8:
                    draw.line((x, y + int(rng.integers(0, 28)), x + 12, y + int(rng.integers(0, 28))), fill=20, width=3)
        page.save(home / f"{scan}.jpg", quality=90)
        page.resize((255, 330), Image.Resampling.LANCZOS).save(home / f"small-{small}.jpg", quality=85)
    found = {frozenset(group) for group in inspect(tmp_path / "set").near_duplicates}
    assert found == {frozenset((f"a/{scan}.jpg", f"a/small-{small}.jpg")) for scan, small in names.items()}


@pytest.mark.parametrize("size", [(200, 150), (520, 390), (1023, 1500), (2400, 1800), (4000, 700)])
def test_thumbnails_are_those_of_fit(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG", quality=90)
    inspected = prepare(stream.getvalue(), inspection._DECODED_SIDE, "squash").signature
    assert np.array_equal(inspected, prepare(stream.getvalue(), 224, "crop").signature)
