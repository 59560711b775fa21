"""Costly images are decoded in child processes that can be stopped; the pixels are the same."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from featx.children import start_child
from featx.errors import ImageError, NotDecodableHereError
from featx.images import Guard, prepare


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8).astype(np.uint8))


def flat_png(width: int, height: int, colour: int = 2) -> bytes:
    """Return a large image in a small file."""
    channels = {2: 3, 6: 4}[colour]
    packer = zlib.compressobj()
    row = b"\0" + bytes([90]) * (width * channels)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def slow_jpeg() -> bytes:
    """Return a malicious progressive JPEG whose last scan is repeated: each scan costs a pass over the image."""
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


def test_time_limit():
    data = slow_jpeg()
    with Guard(seconds=1.0) as guard:
        with pytest.raises(ImageError, match="decoding takes more than 1 s"):
            guard.prepare(data, size=64)
        assert guard.prepare(encoded(noise(64), "TIFF", compression="tiff_lzw"), size=32).width == 64


@pytest.mark.skipif(sys.platform != "linux", reason="memory limits are enforced only on Linux")
def test_memory_limit():
    with Guard(megabytes=150) as guard:
        with pytest.raises(ImageError, match="decoding needs more than 150 MB of memory"):
            guard.prepare(flat_png(9000, 6000, colour=6), size=64)
        assert guard.prepare(encoded(noise(64), "TIFF", compression="tiff_lzw"), size=32).width == 64


def test_a_limit_above_the_image_librarys_own():
    data = flat_png(14000, 13000)
    with Guard(megabytes=2000) as guard:
        with pytest.raises(ImageError, match="more than 100,000,000 pixels; increase `max_pixels` to read the image"):
            guard.prepare(data, size=32)
        assert guard.prepare(data, size=32, max_pixels=200_000_000).pixels.min() == 90


TIFF = encoded(noise(64), "TIFF", compression="tiff_lzw")


def dying(monkeypatch, *codes: str) -> list[subprocess.Popen[bytes]]:
    """Replace the first processes of a guard by ones that run the given codes; return the list of all processes."""
    started: list[subprocess.Popen[bytes]] = []
    left = list(codes)

    def start_next(*job):
        started.append(_process(left.pop(0)) if left else start_child(*job))
        return started[-1]

    monkeypatch.setattr("featx.images.guard.start_child", start_next)
    return started


def _process(code: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)


def ends_by(number: int) -> str:
    return f"import os; os.read(0, 1); os.kill(os.getpid(), {int(number)})"


posix = pytest.mark.skipif(os.name == "nt", reason="needs Unix signals")


@posix
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"])
def test_a_crash_of_the_decoder_is_a_reason(name, monkeypatch):
    started = dying(monkeypatch, ends_by(getattr(signal, name)))
    with Guard() as guard:
        with pytest.raises(ImageError, match="the decoder crashed on this image") as crashed:
            guard.prepare(TIFF, size=32)
        assert not isinstance(crashed.value, NotDecodableHereError)
        assert guard.prepare(TIFF, size=32).width == 64  # the next image is decoded
    assert len(started) == 2


@posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP"])
def test_a_process_stopped_from_outside_is_no_defect_of_the_image(name, monkeypatch):
    dying(monkeypatch, ends_by(getattr(signal, name)))
    with Guard() as guard:
        assert guard.prepare(TIFF, size=32).width == 64  # the image is tried again
    dying(monkeypatch, *[ends_by(getattr(signal, name))] * 2)
    with (
        Guard() as guard,
        pytest.raises(NotDecodableHereError, match="was stopped from outside; the next run tries again"),
    ):
        guard.prepare(TIFF, size=32)


@posix
def test_a_crash_of_a_used_process_is_no_defect_of_the_image():
    with Guard() as guard:
        guard.prepare(TIFF, size=32)
        (decoder,) = guard._idle
        decoder.process.send_signal(signal.SIGSEGV)
        decoder.process.wait()
        assert guard.prepare(TIFF, size=32).width == 64


def test_no_process_can_be_started(monkeypatch):
    def fail(*job):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("featx.images.guard.start_child", fail)
    with Guard() as guard:
        with pytest.raises(
            NotDecodableHereError, match="no process can be started to decode the image: Resource temporarily"
        ):
            guard.prepare(TIFF, size=32)
        assert guard.prepare(encoded(noise(64), "JPEG"), size=32).width == 64


@posix
def test_time_while_a_process_is_suspended_does_not_count():
    with Guard(seconds=1.0) as guard:
        guard.prepare(TIFF, size=32)
        (decoder,) = guard._idle
        decoder.process.send_signal(signal.SIGSTOP)
        wake = threading.Timer(3.0, decoder.process.send_signal, (signal.SIGCONT,))
        wake.start()
        assert guard.prepare(TIFF, size=32).width == 64
        assert guard._idle == [decoder]  # no other process was started
        wake.join()


def test_leaving_the_context_ends_calls_in_other_threads():
    failed: list[Exception] = []

    def wait(guard: Guard) -> None:
        try:
            guard.prepare(slow_jpeg(), size=32)
        except ImageError as error:
            failed.append(error)

    with Guard() as guard:
        threads = [threading.Thread(target=wait, args=(guard,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(guard._all) < 3:
            time.sleep(0.01)
        time.sleep(0.5)
    for thread in threads:
        thread.join()
    assert [type(error) for error in failed] == [NotDecodableHereError] * 3
    assert {str(error) for error in failed} == {"the run was stopped; the next run tries again"}
    with pytest.raises(NotDecodableHereError, match="the run was stopped"):
        guard.prepare(encoded(noise(64), "JPEG"), size=32)


def test_ended_processes_leave_no_files_open(monkeypatch):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("reads /proc")
    dying(monkeypatch, *[ends_by(9)] * 12)
    with Guard() as guard:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(6):
            with pytest.raises(NotDecodableHereError):
                guard.prepare(TIFF, size=32)
        assert len(os.listdir("/proc/self/fd")) <= before + 4


def test_threads_share_a_guard_and_no_process_remains(monkeypatch):
    started = dying(monkeypatch)
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
