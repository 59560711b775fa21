"""Image files are read within limits, and large ones one at a time."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.files import NotRegularError, TooLargeError
from featx.images import decode, draw_thumbnails, most_bytes, open_image, read_image


def hole(path: Path, size: int) -> Path:
    path.touch()
    os.truncate(path, size)
    return path


def read(path: Path, max_pixels: int = 1000) -> bytes:
    with open_image(path) as stream:
        return read_image(stream, max_pixels)


def test_an_uncompressed_image_of_the_largest_size_is_read(tmp_path):
    path = tmp_path / "deep.tif"
    Image.fromarray(np.zeros((40, 25), np.uint16)).save(path)
    assert decode(read(path)).image.size == (25, 40)
    assert most_bytes(1000) == 64_008_000
    assert len(read(hole(tmp_path / "most.tif", 64_008_000))) == 64_008_000
    with pytest.raises(TooLargeError) as stopped:
        read(hole(tmp_path / "more.tif", 64_008_001))
    assert stopped.value.strerror == (
        "64,008,001 bytes are more than the 64,008,000 that are read; `max_pixels` allows more"
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
        pass  # it grew faster than it was opened
    finally:
        stop.set()
        writer.join()


def test_large_files_are_held_one_at_a_time_and_small_ones_do_not_wait(tmp_path):
    large = [hole(tmp_path / f"{i}.tif", 64_000_001) for i in range(4)]
    held, most_held = 0, 0
    lock = threading.Lock()

    def hold(path: Path) -> None:
        nonlocal held, most_held
        with open_image(path):
            with lock:
                held += 1
                most_held = max(held, most_held)
            time.sleep(0.02)
            with lock:
                held -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hold, large))
    assert most_held == 1
    with open_image(large[0]), ThreadPoolExecutor(1) as pool:
        pool.submit(hold, hole(tmp_path / "small.tif", 64_000_000)).result(timeout=20)


@pytest.mark.skipif(os.name == "nt", reason="pipes, devices and links as POSIX has them")
def test_pipes_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink("/dev/zero", tmp_path / "zero.png")
    os.symlink("circle.png", tmp_path / "circle.png")
    paths = [tmp_path / name for name in ("pipe.png", "zero.png", "circle.png", "a\0b.png", "\ud800.png")]
    with pytest.raises(NotRegularError):
        read(paths[0])
    reasons = [thumbnail.reason for thumbnail in draw_thumbnails(paths, 8)]
    assert reasons == [
        "cannot be read: a named pipe, not a file",
        "cannot be read: a device, not a file",
        "cannot be read: Too many levels of symbolic links",
        *["cannot be read: the name has a character that no file name can have"] * 2,
    ]
