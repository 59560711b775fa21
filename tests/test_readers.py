"""Readers: order, bits, limits for each image, and processes that end, hang or cannot be started."""

from __future__ import annotations

import contextlib
import hashlib
import io
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import save_image
from PIL import Image

from featx.errors import ReaderError
from featx.images import prepare
from featx.readers import (
    ReaderPool,
    Task,
    draw_thumbnails,
    memory,
    messages,
    pool,
    process,
    read_images,
    run,
    team,
    worker,
)
from featx.runtime import Runtime
from featx.source import ImageFile, image_at, source_at
from featx.table import Sample

posix = pytest.mark.skipif(os.name == "nt", reason="needs Unix signals")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
RUNTIME = Runtime(Path("unused"), workers=2)
TASK = Task("decode", 32)


@pytest.fixture
def fresh() -> Iterator[None]:
    """Begin and end without processes of earlier tests."""
    team.close_spare()
    yield
    team.close_spare()


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(side: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8))


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


def slow_jpeg(seed: int = 90) -> bytes:
    """Return a malicious progressive JPEG whose last scan is repeated: each scan costs a pass over the image."""
    data = encoded(Image.new("RGB", (2000, 2000), (seed, 90, 90)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 4000 + data[-2:]


def files(folder: Path, *contents: bytes) -> list[ImageFile]:
    """Write files and return them as images."""
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
        (folder / f"{number:03}.img").write_bytes(content)
    source = source_at(folder)
    return [ImageFile(Sample(entry.name), source, *entry.stamp) for entry in source.entries()]


def read(images: list[ImageFile], runtime: Runtime = RUNTIME, *, once: bool = True, **limits) -> list[tuple]:
    """Return the state and the pixels of each image."""
    with ReaderPool(TASK, images, runtime, **limits) as readers:
        found = []
        for chunk in readers.read(once=once):
            found += [(outcome.state, chunk.prepared(at)) for at, outcome in enumerate(chunk.outcomes)]
            chunk.release()
    return found


def busy_process(number: int) -> process.ReaderProcess:
    """Wait for a reader that decodes an image, and return it."""
    while True:
        for each in TEAMS:
            for one in each.present():
                if one.is_busy and _is_decoding(one, number):
                    return one
        time.sleep(0.01)


TEAMS: list = []


@pytest.fixture
def teams(monkeypatch, fresh) -> list:
    """Return the list of the teams of all pools."""
    TEAMS.clear()
    take = pool.take_team

    def note(seconds):
        TEAMS.append(take(seconds))
        return TEAMS[-1]

    monkeypatch.setattr(pool, "take_team", note)
    return TEAMS


def test_the_pixels_are_those_of_the_same_process_in_order(tmp_path):
    contents = [
        encoded(noise(120), "TIFF", compression="tiff_lzw"),
        flat_png(5000, 4000),
        encoded(noise(120), "JPEG"),
        *(encoded(noise(40, seed), "PNG") for seed in range(30)),
    ]
    images = files(tmp_path / "set", *contents)
    found = read(images)
    assert len(found) == len(contents)
    for content, (state, made) in zip(contents, found, strict=True):
        straight = prepare(content, 32)
        np.testing.assert_array_equal(made.pixels, straight.pixels)
        np.testing.assert_array_equal(made.signature, straight.signature)
        assert (made.width, made.height, made.note) == (straight.width, straight.height, straight.note)
        assert (state.status, state.content_hash) == ("ok", hashlib.sha256(content).digest())
        assert (state.width, state.height, state.size) == (straight.width, straight.height, len(content))


@pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (1, 64), (3, 5), (4, 1000)])
def test_bits_depend_neither_on_workers_nor_on_the_batch_size(workers, batch_size, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_BYTES_A_READER", 1)
    images = files(tmp_path / "set", *(encoded(noise(40, seed), "JPEG") for seed in range(40)))
    expected = [made.pixels for _, made in read(images)]
    other = read(images, replace(RUNTIME, workers=workers, batch_size=batch_size))
    np.testing.assert_array_equal([made.pixels for _, made in other], expected)


def test_reasons_come_back_and_the_readers_go_on(tmp_path):
    good = encoded(noise(64), "TIFF", compression="tiff_lzw")
    bad = good[:2000] + bytes(4000) + good[6000:]
    images = files(tmp_path / "set", good, bad, b"", encoded(noise(64), "PNG"))
    (tmp_path / "set" / "002.img").unlink()
    first, second, third, last = read(images)
    assert (first[0].status, last[0].status) == ("ok", "ok")
    assert second[0].reason.startswith(("damaged TIFF", "truncated TIFF"))
    assert third[0].reason == "no such file"
    assert second[1] is third[1] is None


def test_time_limit(tmp_path):
    images = files(tmp_path / "set", encoded(noise(64), "PNG"), slow_jpeg(), encoded(noise(64, 1), "PNG"))
    states = [state for state, _ in read(images, seconds=1.0)]
    assert [state.reason for state in states] == ["", "decoding takes more than 1 s", ""]
    assert states[1].content_hash
    assert states[1].size == images[1].size


@pytest.mark.skipif(sys.platform != "linux", reason="memory limits are enforced only on Linux")
def test_memory_limit(tmp_path):
    contents = [encoded(noise(64), "PNG"), flat_png(9000, 6000, colour=6), encoded(noise(64, 1), "PNG")]
    states = [state for state, _ in read(files(tmp_path / "set", *contents), megabytes=150)]
    assert [state.reason for state in states] == ["", "decoding needs more than 150 MB of memory", ""]


def test_a_limit_above_the_image_librarys_own(tmp_path):
    images = files(tmp_path / "set", flat_png(14000, 13000))
    ((state, _),) = read(images, megabytes=2000)
    assert state.reason.endswith("more than 100,000,000 pixels; increase `max_pixels` to read the image")
    (reading,) = read_images(replace(TASK, max_pixels=200_000_000), images, RUNTIME)
    assert reading.prepared.pixels.min() == 90


def test_contents_are_decoded_once_and_known_contents_never(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_BYTES_A_READER", 1)
    contents = [encoded(noise(40, seed % 7), "PNG") for seed in range(50)]
    images = files(tmp_path / "set", *contents)
    found = read(images, replace(RUNTIME, batch_size=3))
    assert [made is not None for _, made in found].count(True) == 7
    assert {state.content_hash for state, made in found if made is not None} == {s.content_hash for s, _ in found}
    assert all(made is not None for _, made in read(images, once=False))
    known = hashlib.sha256(contents[0]).digest()
    with ReaderPool(TASK, images, RUNTIME) as readers:
        n = 0
        for chunk in readers.read(is_known=lambda hashes: [one == known for one in hashes]):
            n += len(chunk.pixels)
            assert all(outcome.state.content_hash != known for _, outcome in chunk.decoded())
    assert n == 6


def test_without_pixels_files_are_only_hashed(tmp_path):
    images = files(tmp_path / "set", b"not an image", b"neither")
    readings = list(read_images(Task("hash"), images, RUNTIME))
    assert [one.state.content_hash for one in readings] == [
        hashlib.sha256(b"not an image").digest(),
        hashlib.sha256(b"neither").digest(),
    ]
    assert [(one.state.status, one.prepared) for one in readings] == [("ok", None)] * 2


def test_memory_is_bounded_and_a_consumer_may_keep_all_chunks(tmp_path, fresh):
    contents = [encoded(noise(40, seed), "PNG") for seed in range(90)]
    images = files(tmp_path / "set", *contents)
    with ReaderPool(TASK, images, replace(RUNTIME, workers=1, batch_size=2)) as readers:
        kept = list(readers.read())
        assert len(kept) == 45
        assert readers._team.memory.size <= 4096 + 6 * 16384  # six slots of two images
        pixels = np.concatenate([chunk.pixels for chunk in kept])
    np.testing.assert_array_equal(pixels, [prepare(content, 32).pixels for content in contents])


def test_large_images_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_BYTES_A_READER", 1)
    at_once, most = 0, 0
    talk = run.Run._talk
    lock = threading.Lock()

    def count(self, reader, job, numbers, is_large):
        nonlocal at_once, most
        with lock:
            at_once += is_large
            most = max(most, at_once)
        try:
            return talk(self, reader, job, numbers, is_large)
        finally:
            with lock:
                at_once -= is_large

    monkeypatch.setattr(run.Run, "_talk", count)
    images = files(tmp_path / "set", *(flat_png(5000 + number, 4000) for number in range(4)))
    for number in range(3):  # files of more than 64 MB are not even read beside others
        (tmp_path / "set" / f"hole{number}").touch()
        os.truncate(tmp_path / "set" / f"hole{number}", 64_000_001)
        images.append(image_at(tmp_path / "set" / f"hole{number}"))
    found = read(images, replace(RUNTIME, workers=3, batch_size=2))
    assert [state.width for state, _ in found] == [5000, 5001, 5002, 5003, 0, 0, 0]
    assert found[4][0].reason.startswith("not an image")
    assert most == 1


@pytest.fixture
def signals(monkeypatch, fresh) -> list[tuple[int, int]]:
    """Return a list of (number of an image, signal). Each signal goes to the reader that decodes this image."""
    left: list[tuple[int, int]] = []
    send = process.ReaderProcess.send

    def send_then_signal(reader, message):
        send(reader, message)
        if isinstance(message, list) and left:  # the answer after which the reader decodes
            number, sent = left.pop(0)
            while not _is_decoding(reader, number):
                assert reader.is_running, f"the reader ended before it decoded image {number}"
                time.sleep(0.01)
            os.kill(reader.pid, sent)

    monkeypatch.setattr(process.ReaderProcess, "send", send_then_signal)
    return left


def _is_decoding(reader: process.ReaderProcess, number: int) -> bool:
    at, n_begun = messages.read_progress(reader._memory.content, reader._cell)
    return at == number + 1 and n_begun > 0


@posix
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"])
def test_a_crash_on_the_first_image_of_a_process_is_a_reason(name, tmp_path, signals):
    signals.append((0, getattr(signal, name)))
    (first, _), (second, _) = read(files(tmp_path / "set", slow_jpeg(), encoded(noise(64), "PNG")))
    assert not signals
    assert (first.status, first.reason) == ("skipped", "the decoder crashed on this image")
    assert second.status == "ok"


@posix
def test_an_image_is_tried_again_after_a_crash_of_a_process_that_has_decoded_others(tmp_path, signals):
    signals.append((1, signal.SIGSEGV))
    (first, _), (second, _) = read(files(tmp_path / "set", encoded(noise(64), "PNG"), slow_jpeg()), seconds=2.0)
    assert not signals
    assert first.status == "ok"
    assert second.reason == "decoding takes more than 2 s"


@posix
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGUSR1"])  # SIGHUP is ignored under nohup
def test_a_process_stopped_from_outside_is_no_defect_of_the_image(name, tmp_path, signals):
    images = files(tmp_path / "set", slow_jpeg(), encoded(noise(64), "PNG"))
    for times, reason in (
        (1, "decoding takes more than 2 s"),
        (2, "the reader process was stopped from outside; the next run tries again"),
    ):
        signals += [(0, getattr(signal, name))] * times
        (first, _), (second, _) = read(images, seconds=2.0)
        assert not signals
        assert first.reason == reason
        assert second.status == "ok"
    assert first.mtime_ns == -1


@posix
def test_a_short_suspension_does_not_count_and_a_long_one_replaces_the_process(tmp_path, teams, monkeypatch):
    images = files(tmp_path / "set", slow_jpeg())
    monkeypatch.setattr(process, "_STOPPED_SECONDS", 3.0)
    seen: list[int] = []

    def suspend(seconds: float | None) -> None:
        target = busy_process(0)
        seen.append(target.pid)
        os.kill(target.pid, signal.SIGSTOP)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(target.pid, signal.SIGCONT)

    for seconds in (1.0, None) if sys.platform == "linux" else (1.0,):
        helper = threading.Thread(target=suspend, args=(seconds,))
        helper.start()
        with ReaderPool(TASK, images, RUNTIME, seconds=2.0) as readers:
            (chunk,) = readers.read()
            assert chunk.states[0].reason == "decoding takes more than 2 s"
        helper.join()
    assert len(set(seen)) == 2


def test_no_process_can_be_started(tmp_path, monkeypatch, fresh):
    def fail(*job, **options):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("featx.readers.process.start_child", fail)
    with pytest.raises(ReaderError) as failed:
        read(files(tmp_path / "set", encoded(noise(64), "PNG")))
    assert str(failed.value) == (
        "no process can be started to read images: Resource temporarily unavailable; use fewer `workers`, or raise the "
        "limits of the system"
    )


def test_with_one_process_all_images_are_read(tmp_path, monkeypatch, fresh):
    monkeypatch.setattr(pool, "_BYTES_A_READER", 1)
    start, started = process.start_child, []

    def start_one(*job, **options):
        if started:
            raise OSError(11, "Resource temporarily unavailable")
        started.append(start(*job, **options))
        return started[0]

    monkeypatch.setattr("featx.readers.process.start_child", start_one)
    images = files(tmp_path / "set", *(encoded(noise(40, seed), "PNG") for seed in range(40)))
    found = read(images, replace(RUNTIME, workers=4, batch_size=4))
    assert [state.status for state, _ in found] == ["ok"] * 40


def test_processes_that_end_at_once_are_an_error(tmp_path, monkeypatch, fresh):
    def start_wrong(*job, inherited):
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], stdin=-1, stdout=-1)

    monkeypatch.setattr("featx.readers.process.start_child", start_wrong)
    with pytest.raises(
        ReaderError, match=r"the reader processes end before they read an image \(exit code 3\); check the limits"
    ):
        read(files(tmp_path / "set", encoded(noise(64), "PNG")))


def test_no_thread_and_no_memory(tmp_path, monkeypatch, fresh):
    images = files(tmp_path / "set", encoded(noise(64), "PNG"))

    def fail(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(ReaderError, match="no thread can be started to read images: can't start new thread"):
            read(images)

    def grow(self, size):
        raise OSError(12, "Cannot allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(memory.SharedMemory, "grow", grow)
        with pytest.raises(
            ReaderError, match=r"no memory for decoded images \(\d MB\): Cannot allocate memory; use fewer"
        ):
            read(images)


@linux
def test_leaving_a_pool_abandons_its_work_and_the_next_pool_uses_idle_processes(tmp_path, teams, interruptible):
    stopped: list[process.ReaderProcess] = []

    def interrupt() -> None:
        stopped.append(busy_process(0))
        os.kill(os.getpid(), signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        read(files(tmp_path / "slow", slow_jpeg(), encoded(noise(40), "PNG")))
    helper.join()
    assert not stopped[0].is_running
    quick = files(tmp_path / "quick", encoded(noise(64), "PNG"))
    pids = []
    for _ in range(3):
        assert [state.status for state, _ in read(quick)] == ["ok"]
        pids += [one.pid for one in teams[-1].present()]
    assert len(set(pids)) == 1


@linux
def test_chunks_of_an_abandoned_read_are_never_written_again(tmp_path, fresh):
    images = files(tmp_path / "set", *(encoded(noise(200, seed), "PNG") for seed in range(200)))
    runtime = replace(RUNTIME, batch_size=8)
    expected = [prepare(Path(image.address).read_bytes(), 32).pixels for image in images[:8]]
    with ReaderPool(TASK, images, runtime) as readers:
        for _ in range(10):
            with contextlib.closing(readers.read()) as chunks:
                np.testing.assert_array_equal(next(chunks).pixels, expected)


@linux
@pytest.mark.parametrize("how", ["kill", "exit"])
def test_readers_end_with_their_parent(how, tmp_path):
    files(tmp_path / "set", slow_jpeg(), encoded(noise(40), "PNG"))
    code = f"""
        import os, threading, time
        from pathlib import Path
        from featx.readers import ReaderPool, Task
        from featx.runtime import Runtime
        from featx.source import image_at
        images = [image_at(path) for path in sorted(Path({str(tmp_path / "set")!r}).iterdir())]
        def work():
            with ReaderPool(Task("decode", 32), images, Runtime(Path("unused"), workers=1)) as readers:
                for chunk in readers.read():
                    pass
        threading.Thread(target=work, daemon=True).start()
        pids = []
        while not pids:
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    words = (folder / "stat").read_text().rpartition(")")[2].split()
                    if int(words[1]) == os.getpid() and int(words[11]) > 50:  # it has begun to decode
                        pids.append(int(folder.name))
                except OSError:
                    pass
        print(*pids, flush=True)
        {"time.sleep(60)" if how == "kill" else "os._exit(0)"}
    """
    words = [sys.executable, "-P", "-c", textwrap.dedent(code)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        children = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
        parent.wait()
    assert children
    end = time.monotonic() + 30
    while any(map(_is_alive, children)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [child for child in children if _is_alive(child)]


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


SCRIPT = """
from pathlib import Path
from featx.readers import ReaderPool, Task
from featx.runtime import Runtime
from featx.source import image_at
print("begin", flush=True)
images = [image_at(path) for path in sorted(Path(FOLDER).iterdir())]
with ReaderPool(Task("decode", 32), images, Runtime(Path("unused"), workers=WORKERS)) as readers:
    for chunk in readers.read():
        print(len(chunk.pixels), flush=True)
"""


def test_a_script_needs_no_guard(tmp_path):
    files(tmp_path / "set", encoded(noise(40), "PNG"))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("FOLDER", repr(str(tmp_path / "set"))).replace("WORKERS", "2"))
    for words, text in (([script], None), (["-"], script.read_text())):
        ran = subprocess.run([sys.executable, "-P", *words], input=text, capture_output=True, text=True, check=False)
        assert (ran.stdout, ran.stderr) == ("begin\n1\n", "")


def _read_in_daemon(folder: Path, sender) -> None:
    images = [image_at(path) for path in sorted(folder.iterdir())]
    sender.send([state.status for state, _ in read(images)])


@posix
def test_a_daemonic_process_and_a_fork_have_their_own_readers(tmp_path, fresh):
    images = files(tmp_path / "set", encoded(noise(40), "PNG"))
    assert read(images)[0][0].status == "ok"  # the parent keeps a process
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()
    daemon = context.Process(target=_read_in_daemon, args=(tmp_path / "set", sender), daemon=True)
    daemon.start()
    assert receiver.recv() == ["ok"]
    daemon.join()
    assert read(images)[0][0].status == "ok"


@linux
def test_few_file_descriptors(tmp_path):
    folder = tmp_path / "set"
    files(folder, *(encoded(noise(200, seed), "PNG") for seed in range(100)))
    code = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
    code += "from featx.readers import pool; pool._BYTES_A_READER = 1\n"
    code += SCRIPT.replace("FOLDER", repr(str(folder))).replace("WORKERS", "40")
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert sum(map(int, ran.stdout.split()[1:])) == 100


@linux
def test_without_anonymous_memory_a_deleted_file_is_shared(tmp_path, monkeypatch, fresh):
    def forbidden(*arguments):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "memfd_create", forbidden)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    images = files(tmp_path / "set", encoded(noise(40), "PNG"))
    assert [state.status for state, _ in read(images)] == ["ok"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_an_idle_reader_ends(monkeypatch):
    monkeypatch.setattr(worker, "_IDLE_SECONDS", 0.05)
    source, target = os.pipe()
    with os.fdopen(source, "rb", buffering=0) as stream:
        assert not worker._has_work(stream)
        os.write(target, b"x")
        assert worker._has_work(stream)
    os.close(target)


def test_a_reader_that_has_ended_while_idle_is_replaced(tmp_path, teams):
    images = files(tmp_path / "set", encoded(noise(40), "PNG"))
    for _ in range(2):
        assert [state.status for state, _ in read(images)] == ["ok"]
        (one,) = teams[-1].present()
        one._process.stdin.close()
        one._process.wait()


@linux
def test_ended_processes_leave_no_files_open(tmp_path, teams):
    images = files(tmp_path / "set", encoded(noise(40), "PNG"))
    read(images)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        (one,) = teams[-1].present()
        one.kill()
        del one
        read(images)
    assert len(os.listdir("/proc/self/fd")) <= before


@linux
def test_numerical_libraries_use_one_thread_in_readers(tmp_path, teams):
    read(files(tmp_path / "set", encoded(noise(40), "PNG")))
    (one,) = teams[-1].present()
    environment = Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0")
    assert {b"OMP_NUM_THREADS=1", b"OPENBLAS_NUM_THREADS=1"} <= set(environment)
    assert len(os.listdir(f"/proc/{one.pid}/task")) == 2  # the reader and the watch for the end of its parent


def test_decoders_do_not_write_to_the_terminal(tmp_path, capfd):
    good = encoded(noise(64), "TIFF", compression="tiff_lzw")
    (state, _), _ = read(files(tmp_path / "set", good[:2000] + bytes(4000) + good[6000:], good))
    assert state.reason
    assert capfd.readouterr() == ("", "")


def test_thumbnails_are_in_order_and_failures_have_a_reason(tmp_path):
    paths = []
    for i in range(30):
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB", (200, 100), (8 * i, 0, 0)).save(paths[-1])
    paths[3].write_bytes(paths[3].read_bytes()[:-60])
    paths[4].unlink()
    thumbnails = list(draw_thumbnails(list(map(image_at, paths)), 50, RUNTIME))
    reds = [None if thumbnail.pixels is None else int(thumbnail.pixels[10, 10, 0]) for thumbnail in thumbnails]
    assert reds == [0, 8, 16, None, None, *(8 * i for i in range(5, 30))]
    assert thumbnails[0].pixels.shape == (25, 50, 3)
    assert thumbnails[0].content_hash == hashlib.sha256(paths[0].read_bytes()).digest()
    assert thumbnails[3].reason.startswith("truncated PNG")
    assert thumbnails[4].reason == "no such file"
    assert thumbnails[4].content_hash == b""


def test_orientation_page_and_white_are_applied_to_thumbnails(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40), (200, 0, 0)).save(tmp_path / "turned.jpg", exif=exif)
    pages = [Image.fromarray(np.full((20, 20), value, np.uint16)) for value in (100, 2000)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    (turned,) = draw_thumbnails([image_at(tmp_path / "turned.jpg")], 40, RUNTIME)
    assert turned.pixels.shape == (40, 20, 3)
    (second,) = draw_thumbnails([image_at(tmp_path / "pages.tif")], 40, RUNTIME, white=4000, page=2)
    assert 126 <= second.pixels.mean() <= 129
    (large,) = draw_thumbnails([image_at(tmp_path / "turned.jpg")], 40, replace(RUNTIME, max_pixels=3000))
    assert large.reason == "80 x 40 is more than 3,000 pixels; increase `max_pixels` to read the image"


def test_a_changed_working_folder_does_not_matter(tmp_path, monkeypatch):
    save_image(tmp_path / "set" / "one.png", (10, 20, 30))
    monkeypatch.chdir(tmp_path)
    source = source_at(Path("set"))
    images = [ImageFile(Sample(entry.name), source, *entry.stamp) for entry in source.entries()]
    assert [state.status for state, _ in read(images)] == ["ok"]
