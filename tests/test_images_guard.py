"""What may take long, or much memory, is decoded where it can be stopped; the pixels are the same."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from featx.errors import ImageError
from featx.images import Guard, prepare


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8).astype(np.uint8))


def flat_png(width: int, height: int, colour: int = 2) -> bytes:
    """Return a large picture in a small file."""
    channels = {2: 3, 6: 4}[colour]
    packer = zlib.compressobj()
    row = b"\0" + bytes([90]) * (width * channels)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def slow_jpeg() -> bytes:
    """Return a progressive JPEG whose last scan is repeated, as attackers do: each costs a pass over the picture."""
    data = encoded(Image.new("RGB", (2000, 2000), (90, 90, 90)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 4000 + data[-2:]


def test_the_pixels_are_those_of_the_same_process():
    tiff = encoded(noise(120), "TIFF", compression="tiff_lzw")
    with Guard() as guard:
        for data in (tiff, encoded(noise(120), "JPEG"), flat_png(5000, 4000)):
            made, straight = guard.prepare(data, size=64, resize="pad"), prepare(data, 64, "pad")
            np.testing.assert_array_equal(made.pixels, straight.pixels)
            np.testing.assert_array_equal(made.signature, straight.signature)
            assert (made.width, made.height, made.note) == (straight.width, straight.height, straight.note)


def test_reasons_come_back_and_the_process_goes_on():
    good = encoded(noise(64), "TIFF", compression="tiff_lzw")
    bad = good[:2000] + bytes(4000) + good[6000:]
    with Guard() as guard:
        for _ in range(3):
            with pytest.raises(ImageError, match="(damaged|truncated) TIFF"):
                guard.prepare(bad, size=32)
            assert guard.prepare(good, size=32).width == 64


def test_what_takes_too_long_is_stopped_and_the_next_file_is_read():
    data = slow_jpeg()
    with Guard(seconds=1.0) as guard:
        started = time.monotonic()
        with pytest.raises(ImageError, match="it takes more than 1 s to decode"):
            guard.prepare(data, size=64)
        assert time.monotonic() - started < 20  # it would take minutes
        assert guard.prepare(encoded(noise(64), "TIFF", compression="tiff_lzw"), size=32).width == 64


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its memory")
def test_what_takes_too_much_memory_is_stopped():
    with Guard(megabytes=150) as guard:
        with pytest.raises(ImageError, match="more than 150 MB of memory are needed to decode it"):
            guard.prepare(flat_png(9000, 6000, colour=6), size=64)
        assert guard.prepare(encoded(noise(64), "TIFF", compression="tiff_lzw"), size=32).width == 64


def test_a_limit_above_the_image_librarys_own():
    data = flat_png(14000, 13000)
    with Guard(megabytes=2000) as guard:
        with pytest.raises(ImageError, match="more than 100,000,000 pixels; --max-pixels allows more"):
            guard.prepare(data, size=32)
        assert guard.prepare(data, size=32, max_pixels=200_000_000).pixels.min() == 90


def test_a_crash_of_the_decoder_is_a_reason(monkeypatch):
    monkeypatch.setattr(Guard, "_start", lambda self: _process("import os; os.abort()"))
    with Guard() as guard, pytest.raises(ImageError, match="the decoder crashed on it"):
        guard.prepare(encoded(noise(64), "TIFF", compression="tiff_lzw"), size=32)


def _process(code: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)


def test_threads_share_it_and_no_process_stays(monkeypatch):
    started = []
    start = Guard._start
    monkeypatch.setattr(Guard, "_start", lambda self: started.append(start(self)) or started[-1])
    data = encoded(noise(64), "TIFF", compression="tiff_lzw")
    with Guard() as guard:
        threads = [threading.Thread(target=lambda: [guard.prepare(data, size=32) for _ in range(5)]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 1 <= len(started) <= 2
    assert all(process.poll() is not None for process in started)


def test_libtiff_does_not_write_to_the_terminal(tmp_path):
    good = encoded(noise(64), "TIFF", compression="tiff_lzw")
    (tmp_path / "bad.tif").write_bytes(good[:2000] + bytes(4000) + good[6000:])
    code = (
        "import sys; from featx.images import Guard; from featx.errors import ImageError\n"
        "with Guard() as guard:\n"
        "    try: guard.prepare(open(sys.argv[1], 'rb').read(), size=32)\n"
        "    except ImageError: print('a reason')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "bad.tif"], capture_output=True, text=True, check=True, env=os.environ
    )
    assert (ran.stdout, ran.stderr) == ("a reason\n", "")
