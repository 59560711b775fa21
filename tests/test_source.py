"""Sources list, query and open image files: only regular files, and within limits."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.errors import DatasetError, DatasetNotFoundError
from featx.files import NotRegularError, OutsideError, TooLargeError
from featx.images import decode
from featx.prediction import sorting
from featx.readers import draw_thumbnails
from featx.runtime import Runtime
from featx.source import (
    Addresses,
    BrokenLinkError,
    Entry,
    ImageFile,
    LocalFolder,
    OpenFile,
    Source,
    dataset_source,
    image_at,
    read_image,
    source_at,
    source_beside,
    source_from,
)
from featx.source.source import UNKNOWN, most_bytes
from featx.table import Sample, Stamp


def hole(path: Path, size: int) -> Path:
    path.touch()
    os.truncate(path, size)
    return path


def read(path: Path, max_pixels: int = 1000) -> bytes:
    with image_at(path).open() as file:
        return read_image(file, max_pixels)


def test_an_uncompressed_image_of_the_largest_size_is_read(tmp_path):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.zeros((40, 25), np.uint16)).save(path)
    assert decode(read(path)).image.size == (25, 40)
    assert most_bytes(1000) == 64_008_000
    assert len(read(hole(tmp_path / "most.tif", 64_008_000))) == 64_008_000
    with pytest.raises(TooLargeError) as stopped:
        read(hole(tmp_path / "more.tif", 64_008_001))
    assert stopped.value.strerror == (
        "64,008,001 bytes are more than the limit of 64,008,000; increase `max_pixels` to read the file"
    )


def test_a_file_that_grows_is_read_no_further_than_when_it_was_opened(tmp_path):
    path = tmp_path / "log.png"
    path.write_bytes(b"x" * 1000)
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab") as stream:
            while not stop.is_set():
                stream.write(b"y" * 100_000)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        assert len(read(path, 100_000)) < most_bytes(100_000)
    except TooLargeError:
        pass  # the file exceeded the limit before its size was determined
    finally:
        stop.set()
        writer.join()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes, devices and links")
def test_pipes_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("/dev/zero", tmp_path / "zero.png")
    os.symlink("circle.png", tmp_path / "circle.png")
    paths = [tmp_path / name for name in ("pipe.png", "zero.png", "circle.png", "a\0b.png", "\ud800.png")]
    with pytest.raises(NotRegularError):
        read(paths[0])
    images = list(map(image_at, paths))
    assert [thumbnail.reason for thumbnail in draw_thumbnails(images, 8, Runtime(tmp_path / "cache"))] == [
        "a named pipe, not a file",
        "a device, not a file",
        "cannot be read: Too many levels of symbolic links",
        *["the name does not lead to a file inside its folder"] * 2,
    ]


def test_the_source_of_a_path_is_the_folder_or_the_folder_of_the_file(tmp_path):
    (tmp_path / "list.csv").touch()
    assert source_at(tmp_path) == dataset_source(tmp_path) == LocalFolder(tmp_path)
    assert source_at(tmp_path / "list.csv") is None
    assert source_beside(tmp_path / "list.csv") == LocalFolder(tmp_path)
    assert dataset_source(tmp_path / "list.csv") == Addresses(LocalFolder(tmp_path))
    assert image_at(tmp_path / "a.png") == ImageFile(Sample("a.png"), LocalFolder(tmp_path))
    with pytest.raises(DatasetNotFoundError, match="no such file or folder: .*gone"):
        source_at(tmp_path / "gone")
    with pytest.raises(DatasetError, match="cannot be read: the name contains a character"):
        source_at(tmp_path / "a\0b")


def test_a_local_folder_lists_queries_and_opens_its_files(tmp_path):
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "1.png").write_bytes(b"one")
    source = LocalFolder(tmp_path)
    (entry,) = source.entries()
    assert (entry.name, entry.size, source.name) == ("a/1.png", 3, str(tmp_path))
    assert entry.stamp == source.stat("a/1.png") == Stamp.of(os.stat(tmp_path / "a" / "1.png"))
    assert source.stat("a/2.png") == source.stat("../x") == source.stat("a\0b") == UNKNOWN
    assert source.address("a/1.png") == f"{tmp_path.as_posix()}/a/1.png"
    assert (source.folders_in(""), source.folders_in("a"), source.folders_in("a", ["a/empty"])) == (
        ["a"],
        ["a/empty"],
        [],
    )
    assert (sorted(source.names_in("a")), source.names_in("gone")) == (["1.png", "empty"], [])
    with source.open("a/1.png") as file:
        assert (file.stamp(), file.stream.read()) == (entry.stamp, b"one")
    assert file.stream.closed


def test_errors_of_opening_a_file_of_a_local_folder(tmp_path):
    (tmp_path / "dangling.png").symlink_to("gone.png")
    source = LocalFolder(tmp_path)
    for name, expected in (
        ("dangling.png", BrokenLinkError),
        ("gone.png", FileNotFoundError),
        (".", OutsideError),
        ("../a.png", OutsideError),
    ):
        with pytest.raises(expected) as stopped, source.open(name):
            pass
        assert type(stopped.value) is expected


class Memory(Source):
    """Source of two files in memory."""

    name = "memory"

    def __init__(self) -> None:
        stream = io.BytesIO()
        Image.new("RGB", (20, 10), (200, 0, 0)).save(stream, "PNG")
        self._files = {"torn.png": stream.getvalue()[:40], "whole.png": stream.getvalue()}

    def entries(self, leave_out=None):
        yield from (Entry(name, *self.stat(name)) for name in self._files)

    def stat(self, sample_id):
        return Stamp(len(self._files[sample_id]), 1) if sample_id in self._files else UNKNOWN

    def address(self, sample_id):
        return f"memory:{sample_id}"

    def folders_in(self, parent, known=()):
        return []

    def names_in(self, folder):
        return list(self._files)

    def describe(self):
        return {"kind": "memory"}

    def open(self, sample_id):
        stamp = self.stat(sample_id)
        return OpenFile(io.BytesIO(self._files[sample_id]), lambda: stamp)


def test_a_source_is_made_again_from_its_description(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "one.png").write_bytes(b"one")
    monkeypatch.chdir(tmp_path)
    description = json.loads(json.dumps(LocalFolder(Path("set")).describe()))
    monkeypatch.chdir("/")
    with source_from(description).open("one.png") as file:
        assert file.stream.read() == b"one"


def test_an_image_of_another_source_is_sorted(tmp_path, monkeypatch):
    source = Memory()
    monkeypatch.setattr(sorting, "image_at", lambda path: ImageFile(Sample(path.name), source))
    sorter = sorting.Sorter(tmp_path / "sorted", ["red"], [], link=False, overwrite=False)
    sorter.begin([])
    place = sorter.place(Path("memory/whole.png"), "red")
    with source.open("whole.png") as file:
        assert place.read_bytes() == file.stream.read()
