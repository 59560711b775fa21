"""Files that change between the scan and the reading, and images that only some feature specs can read."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import save_image
from PIL import Image
from test_images_decode import deep_rgb_png

from featx.errors import DatasetError
from featx.extraction import extract
from featx.lookup import latest
from featx.readers.job import Wanted
from featx.runtime import Runtime
from featx.source import OUTPUT_TAG


def run(fake, data, **options):
    return extract(data, "quadrants", **{"runtime": fake.runtime, **options})


def reasons(table) -> dict[str, str]:
    return {skipped.path: skipped.reason for skipped in table.extraction.skipped}


def after_the_scan(fake, change) -> Runtime:
    """Return a runtime that changes files after the scan of the data set and before the first read."""

    def notice(text: str) -> None:
        if "classes (by folder)" in text:
            change()

    return replace(fake.runtime, notice=notice)


def test_files_that_vanish_or_become_folders_after_the_scan(fake, images):
    def change() -> None:
        (images / "red" / "red-01.png").unlink()
        (images / "red" / "red-02.png").unlink()
        (images / "red" / "red-02.png").mkdir()
        (images / "red" / "red-03.png").unlink()
        (images / "red" / "red-03.png").symlink_to("red-03.png")

    table = run(fake, images, runtime=after_the_scan(fake, change))
    assert {path: reason.split(":")[0] for path, reason in reasons(table).items()} == {
        "red/red-01.png": "no such file",
        "red/red-02.png": "a folder, not a file",
        "red/red-03.png": "cannot be read",
    }
    assert len(table) == 21


def test_a_file_changed_after_the_scan_is_the_file_that_was_decoded(fake, images, tmp_path):
    target = images / "red" / "red-01.png"
    changed = save_image(tmp_path / "new" / "new.png", (10, 250, 10), seed=99)
    table = run(fake, images, runtime=after_the_scan(fake, lambda: shutil.copy(changed, target)))
    assert not table.extraction.skipped
    alone = run(fake, changed.parent, runtime=Runtime(tmp_path / "other"))
    new = alone.sample_ids.tolist().index("new.png")
    np.testing.assert_array_equal(table.X[table.sample_ids.tolist().index("red/red-01.png")], alone.X[new])
    again = run(fake, images)
    assert again.extraction.n_computed == 0


def test_a_whole_folder_that_vanishes_after_the_scan(fake, images):
    table = run(fake, images, runtime=after_the_scan(fake, lambda: shutil.rmtree(images / "red")))
    assert len(table) == 12
    assert set(reasons(table).values()) == {"no such file"}


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes, devices and links")
def test_irregular_files_are_listed_and_do_not_stop_a_run(fake, images):
    odd = images / "red"
    os.mkfifo(odd / "pipe.png")
    os.mkfifo(odd / "pipe")
    os.symlink("/dev/zero", odd / "zero.png")
    os.symlink("circle.png", odd / "circle.png")
    os.symlink("/proc/self/mem", odd / "memory.png")
    os.symlink("/proc", odd / "system")
    (odd / "hole.png").touch()
    os.truncate(odd / "hole.png", 10**11)
    (odd / "hole").touch()
    os.truncate(odd / "hole", 10**11)
    (images / "sorted").mkdir()
    (images / "sorted" / OUTPUT_TAG).touch()
    shutil.copy(odd / "red-00.png", images / "sorted")
    for _ in range(2):
        extraction = run(fake, images).extraction
        given = {path.removeprefix("red/"): reason for path, reason in reasons(run(fake, images)).items()}
        assert given == {
            "pipe.png": "a named pipe, not a file",
            "zero.png": "a device, not a file",
            "circle.png": "cannot be read: Too many levels of symbolic links",
            "memory.png": "empty file (0 bytes)",
            "system": "the folder cannot be read: it leads to /proc, which belongs to a virtual file system",
            "hole.png": (
                "cannot be read: 100,000,000,000 bytes are more than the limit of 864,000,000; "
                "increase `max_pixels` to read the file"
            ),
        }
        record = extraction.to_dict()
        assert record["own_folders"] == [{"path": "sorted", "n_files": 1, "reason": "an output of featx"}]
        assert (record["n_images"], record["n_skipped"], record["n_ignored"]) == (24, 6, 3)
        assert "left out   sorted: 1 file, an output of featx" in fake.notices
    assert latest(fake.runtime).extraction.own_folders == extraction.own_folders


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs folders without read permission")
def test_folders_that_may_not_be_read(fake, images):
    for name, mode in (("closed", 0), ("unsearchable", 0o600)):
        (images / name).mkdir()
        save_image(images / name / "1.png", (1, 2, 3))
        (images / name).chmod(mode)
    try:
        assert reasons(run(fake, images)) == {
            "closed": "the folder cannot be read: Permission denied",
            "unsearchable/1.png": "cannot be read: Permission denied",
        }
        with pytest.raises(DatasetError, match="cannot be read: Permission denied"):
            run(fake, images / "unsearchable" / "1.csv")
    finally:
        for name in ("closed", "unsearchable"):
            (images / name).chmod(0o700)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs files without read permission")
def test_files_that_may_not_be_read(fake, images):
    (images / "red" / "red-01.png").chmod(0)
    assert reasons(run(fake, images)) == {"red/red-01.png": "cannot be read: Permission denied"}


def deep(path, top: int) -> None:
    values = np.random.default_rng(0).integers(0, top + 1, (32, 32)).astype(np.uint16)
    values[0, 0] = top
    Image.fromarray(values).save(path)


def test_16_bit_images_that_would_be_nearly_black_stop_before_any_work(fake, tmp_path):
    for number, top in enumerate((900, 3000, 4000)):
        folder = tmp_path / "dark" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        deep(folder / f"{number}.{('png', 'tif', 'png')[number]}", top)
    with pytest.raises(DatasetError) as stopped:
        run(fake, tmp_path / "dark")
    assert str(stopped.value) == (
        "3 16-bit images would be nearly black: no pixel value exceeds 4,095. Add `white=4095`"
    )
    assert not list(fake.runtime.cache.glob("features/*/*.h5"))
    table = run(fake, tmp_path / "dark", white=4095)
    assert table.X.max() > 0.4
    assert table.spec.white == 4095
    deep(tmp_path / "dark" / "a" / "9.png", 65535)
    assert len(run(fake, tmp_path / "dark")) == 4  # one bright image determines the value of white
    (tmp_path / "dark" / "a" / "9.png").unlink()
    assert len(run(fake, tmp_path / "dark")) == 3  # a data set that was read once is not checked again


def test_reasons_depend_on_the_feature_spec(fake, tmp_path):
    folder = tmp_path / "set" / "a"
    save_image(folder / "one.png", (10, 200, 30))
    frames = [Image.new("RGB", (20, 20), (0, 0, level)) for level in (50, 200)]
    frames[0].save(folder / "two.tif", save_all=True, append_images=frames[1:])
    assert run(fake, tmp_path / "set").extraction.notes == {"first of 2 frames": 1}
    for _ in range(2):
        second = run(fake, tmp_path / "set", page=2)
        assert reasons(second) == {"a/one.png": "`page=2`, but the image has 1 page"}
        assert second.X[0][2] == pytest.approx(200 / 255)
        assert not reasons(run(fake, tmp_path / "set"))
    small = replace(fake.runtime, max_pixels=500)
    assert reasons(run(fake, tmp_path / "set", runtime=small, resize="pad")) == {
        "a/one.png": "40 x 40 is more than 500 pixels; increase `max_pixels` to read the image"
    }
    assert not reasons(run(fake, tmp_path / "set", resize="pad"))


def test_few_dark_images_are_only_reported(fake, images):
    Image.fromarray(np.zeros((32, 32), np.uint16)).save(images / "red" / "black.png")
    assert len(run(fake, images)) == 25
    assert not [
        text for text in fake.notices if "nearly black" in text
    ]  # a black image does not show the value of white
    deep(images / "red" / "dark.png", 4000)
    other = replace(fake.runtime, cache=fake.runtime.cache.with_name("other"))
    assert len(run(fake, images, runtime=other)) == 26
    warning = (
        "the 16-bit image red/dark.png will be nearly black, because no pixel value exceeds 4,095. Add `white=4095`"
    )
    assert f"warning: {warning}" in fake.notices


def test_several_dark_images_are_an_error_among_8_bit_images(fake, images):
    for number in range(3):
        deep(images / "red" / f"dark{number}.tif", 900 + number)
    message = "3 16-bit images would be nearly black: no pixel value exceeds 1,023. Add `white=1023`"
    with pytest.raises(DatasetError, match=f"^{message}$"):
        run(fake, images)
    assert len(run(fake, images, white=1023)) == 27


def test_white_is_not_suggested_for_dark_16_bit_colour(fake, tmp_path):
    for number in range(2):
        path = tmp_path / "colours" / "ab"[number] / "x.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(deep_rgb_png(np.full((32, 32, 3), 4000, np.uint16)))
    with pytest.raises(
        DatasetError, match="no pixel value exceeds 4,095. Export them with 8 bits; `white` applies only to grey images"
    ):
        run(fake, tmp_path / "colours")


def test_damaged_16_bit_images_are_listed_and_do_not_affect_white(fake, images, capfd):
    deep(images / "red" / "deep.tif", 4000)
    Image.open(images / "red" / "deep.tif").save(images / "red" / "deep.tif", compression="tiff_lzw")
    content = bytearray((images / "red" / "deep.tif").read_bytes())
    content[300:900] = bytes(600)
    (images / "red" / "deep.tif").write_bytes(content)
    assert list(reasons(run(fake, images))) == ["red/deep.tif"]
    assert capfd.readouterr().err == ""  # libtiff writes to standard error, but in a child process


def test_a_duplicate_of_an_image_that_cannot_be_read_again_is_skipped_until_the_next_run(fake, images, monkeypatch):
    """The content of red-02 is to be decoded as red-01, which vanishes when a new process reads it again."""
    shutil.copy(images / "red" / "red-01.png", images / "red" / "red-02.png")
    choose = Wanted.choose

    def lose(wanted, read):
        answer = choose(wanted, read)
        return [is_wanted and wanted_hash != lost for is_wanted, (_, wanted_hash) in zip(answer, read, strict=True)]

    lost = hashlib.sha256((images / "red" / "red-01.png").read_bytes()).digest()
    with monkeypatch.context() as patch:
        patch.setattr(Wanted, "choose", lose)
        table = run(fake, images)
    reason = "a file with the same content changed while it was read; the next run tries again"
    assert reasons(table) == {"red/red-01.png": reason, "red/red-02.png": reason}
    again = run(fake, images).extraction
    assert (again.skipped, again.n_computed) == ((), 1)
