"""Attacks with images, and failures of the processes that decode images."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import struct
import subprocess
import time
import zlib
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.scene import N_IMAGES, Attack, Scene, require

_DECOYS = ("numpy", "PIL", "featx", "simplejpeg", "json", "struct", "re", "io", "sitecustomize", "usercustomize")
_MAIN_SECONDS = 3.0
"""Limit of the CPU time of the main process for one image, including opening it, in seconds."""

_PREPARE = """
import sys, time
from pathlib import Path
from featx.readers import read_file
from featx.images import Guard
try:
    from featx.source import image_at
    opened = image_at(sys.argv[1]).open()
except ImportError:
    from featx.images import open_image
    opened = open_image(sys.argv[1])
with opened as file:
    before = time.process_time()
    data, _ = read_file(file)
with Guard(seconds=float(sys.argv[2])) as guard:
    try:
        what = str(guard.prepare(data, size=64).width)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
    # Not ru_maxrss, which starts at the memory of the parent process.
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    print(time.process_time() - before, peak, what)
"""

_STOPPED = """
import os, signal, sys, threading, time
from pathlib import Path
from featx.images import Guard

def children():
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if folder.name.isdigit() and int(parent) == os.getpid():
                found.append(int(folder.name))
        except OSError:
            pass
    return found

def stop():
    while not children():
        time.sleep(0.02)
    time.sleep(0.5)
    for number in ("SIGSTOP", "SIGCONT"):
        for child in children():
            os.kill(child, getattr(signal, number))
        time.sleep(4)

threading.Thread(target=stop, daemon=True).start()
with Guard(seconds=3.0) as guard:
    try:
        print("width", guard.prepare(Path(sys.argv[1]).read_bytes(), size=64).width)
    except ValueError as error:
        print("refused:", error)
"""


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8).astype(np.uint8))


def _lzw(side: int = 64) -> bytes:
    return _encoded(_noise(side), "TIFF", compression="tiff_lzw")


def _slow(n_scans: int) -> bytes:
    """Return a progressive JPEG of 4 million pixels whose last scan is repeated; each repetition takes 2.5 ms."""
    data = _encoded(Image.new("RGB", (2000, 2000), (90, 90, 90)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * n_scans + data[-2:]


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _many_exif_segments() -> bytes:
    data = _encoded(_noise(64), "JPEG")
    long, short = _segment(0xE1, b"Exif\0\0" + bytes(65_000)), _segment(0xE1, b"Exif\0\0x")
    return data[:2] + long * 25 + short * 80_000 + data[2:]


def _many_segments() -> bytes:
    data = _encoded(_noise(64), "JPEG")
    return data[:2] + _segment(0xE2, b"") * 3_000_000 + data[2:]


def _claiming_exif() -> bytes:
    data = _encoded(_noise(64), "JPEG")
    entries = b"".join(struct.pack("<HHLL", 0x9000 + i, 7, 60_000, 8) for i in range(5_000))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + entries
    return data[:2] + _segment(0xE1, exif + bytes(65_000 - len(exif))) + data[2:]


def _many_pages() -> bytes:
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 8), (279, 64)]
    page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    size, n = len(page) + 4, 60_000
    links = [struct.pack("<L", 72 + (i + 1) * size if i < n - 1 else 0) for i in range(n)]
    return b"II*\0" + struct.pack("<L", 72) + bytes(range(64)) + b"".join(page + link for link in links)


def _many_frames() -> bytes:
    data = _encoded(Image.new("P", (16, 16), 1), "GIF")
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
    return data[:-1] + frame * 1_000_000 + b"\x3b"


def _many_chunks() -> bytes:
    data = _encoded(_noise(64), "PNG")
    return data[:33] + _chunk(b"prVt", b"") * 2_000_000 + data[33:]


def _unpacked_pixels() -> bytes:
    """Return a black PNG whose pixel data have 8 GB when they are decompressed."""
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(64 * 193)) + packer.flush(zlib.Z_FULL_FLUSH)
    more = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", start + more * 8_000) + _chunk(b"IEND", b"")


def _plant_decoys(scene: Scene) -> str:
    folder = scene.root / "set"
    (folder / "cat" / "scan.tif").write_bytes(_lzw())
    mark = scene.root / "mark"
    for name in _DECOYS:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write({name!r} + ' ')\n")
    cache = scene.root / "cache"
    for words in (
        ("inspect", "."),
        ("extract", ".", "--cache", cache),
        ("predict", "../m.featx", ".", "-o", "../s.csv", "--cache", cache),
    ):
        scene.featx(*words, folder=folder, PYTHONPATH="").expect(0)
        require(not mark.exists(), f"{words[0]} ran {mark.read_text() if mark.exists() else ''}of the data folder")
    return f"{len(_DECOYS)} modules beside a TIFF: inspect, extract and predict ran none of them"


def _leave_orphan(scene: Scene, number: signal.Signals) -> str:
    (scene.root / "set" / "cat" / "slow.jpg").write_bytes(_slow(20_000))
    process = scene.start("extract", "set")
    try:
        child = _reader(process)
        process.send_signal(number)
        process.wait(30)
        took = _seconds_until_gone(child, 10)
    finally:
        _end(process)
    require(took < 2, f"the decoder process is still running {took:.0f} s after {number.name}")
    return f"{number.name}: the decoder process ended {took:.1f} s after its parent"


def _kill_reader(scene: Scene, times: int) -> str:
    slow = scene.root / "set" / "cat" / "slow.jpg"
    slow.write_bytes(_slow(1500))
    os.utime(slow, (time.time() - 3600,) * 2)
    process = scene.start("extract", "set", "--json")
    try:
        known: set[int] = set()
        for _ in range(times):
            child = _reader(process, known)
            known.add(child)
            time.sleep(0.7)
            os.kill(child, signal.SIGKILL)
        output, errors = process.communicate(timeout=120)
    finally:
        _end(process)
    require(process.returncode == 0, f"exit code {process.returncode}: {errors[-200:]}")
    if times > 1:
        require("next run tries again" in output, f"no such reason in {output[-300:]}")
    again = scene.featx("extract", "set", "--json").expect(0).result
    require(again["n_images"] == N_IMAGES + 1, f"the failure was remembered: {again['skipped']}")
    return f"killed {times} times: the image was decoded by {'the next run' if times > 1 else 'a new process'}"


def _stop_reader(scene: Scene) -> str:
    path = scene.root / "slow.jpg"
    path.write_bytes(_slow(300))
    output = scene.python(_STOPPED, path).expect(0).stdout.strip()
    require(output == "width 2000", f"suspended for longer than its limit: {output}")
    return "the image was decoded after the process was resumed"


def _prepare_small(scene: Scene, make: Callable[[], bytes]) -> str:
    path = scene.root / "small"
    path.write_bytes(make())
    seconds, peak, what = scene.python(_PREPARE, path, 60, seconds=300).expect(0).stdout.split(maxsplit=2)
    took, megabytes = float(seconds), int(peak) / 1000
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    require(took < _MAIN_SECONDS, f"{size}: {took:.0f} s in the main process, {megabytes:.0f} MB")
    require(megabytes < 500, f"{size}: {megabytes:.0f} MB in the main process")
    return f"{size}: {took:.1f} s and {megabytes:.0f} MB in the main process; {what.strip()[:60]}"


def _interrupt(scene: Scene) -> str:
    (scene.root / "set" / "cat" / "small.jpg").write_bytes(_many_exif_segments())
    (scene.root / "set" / "cat" / "pages.tif").write_bytes(_many_pages())
    process = scene.start("inspect", "set")
    try:
        time.sleep(4)
        require(process.poll() is None, "the command ended before it was interrupted")
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            require(False, "the command is still running 20 s after Ctrl-C")
        took = time.monotonic() - started
    finally:
        _end(process)
    require(took < 4, f"the command ended {took:.0f} s after Ctrl-C")  # 2 s, and 2 s more for a busy machine
    return f"the command ended {took:.1f} s after Ctrl-C"


def _darken(scene: Scene, top: int) -> str:
    values = np.random.default_rng(0).integers(0, top + 1, (64, 64)).astype(np.uint16)
    Image.fromarray(values).save(scene.root / "set" / "cat" / "dark.png")
    result = scene.featx("extract", "set", "--json", "--cache", "new").expect(0).result
    require(result["n_images"] == N_IMAGES + 1, f"{result['n_images']} images")
    return f"one 16-bit image with values up to {top} among {N_IMAGES}: no command stopped"


def _damage_deep(scene: Scene) -> str:
    values = np.random.default_rng(0).integers(0, 4000, (400, 400)).astype(np.uint16)
    data = bytearray(_encoded(Image.fromarray(values), "TIFF", compression="tiff_lzw"))
    data[3000:9000] = bytes(6000)
    (scene.root / "set" / "cat" / "bad.tif").write_bytes(data)
    ended = scene.featx("extract", "set", "--cache", "new").expect(0)
    written = ended.stdout + ended.stderr
    require("tempfile" not in written and "LZW" not in written, f"libtiff wrote to the terminal: {written[:200]!r}")
    return "damaged 16-bit TIFF: skipped, without messages of libtiff on the terminal"


_NAN = """
import sys
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 32])
w = numpy_helper.from_array(np.float32([[float(sys.argv[1])]]), "w")
nodes = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2], keepdims=0)]
nodes += [helper.make_node("Add", ["m", "w"], ["a"]), helper.make_node("Log", ["a"], ["y"])]
graph = helper.make_graph(nodes, "g", [x], [y], [w])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), "nan.onnx")
"""


def _extract_nan(scene: Scene) -> str:
    scene.python(_NAN, -300).expect(0)
    words = ("extract", "set", "--backbone", "nan.onnx", "--preprocess", "none", "--cache", "c")
    scene.featx(*words).expect(1, "no finite features", "nan.onnx")
    require(not list((scene.root / "c" / "features").glob("*.h5")), "a store was written")
    return "a network of logarithms of negative values: an error that names it, and nothing is stored"


def _extract_some_nan(scene: Scene) -> str:
    scene.python(_NAN, -12).expect(0)
    Image.new("RGB", (48, 48), (9, 9, 9)).save(scene.root / "set" / "cat" / "black.png")
    words = ("extract", "set", "--backbone", "nan.onnx", "--preprocess", "none", "--cache", "c", "--json")
    for n_computed in (N_IMAGES, 0):
        result = scene.featx(*words).expect(0).result
        require([each["path"] for each in result["skipped"]] == ["cat/black.png"], f"skipped: {result['skipped']}")
        require(result["n_computed"] == n_computed, f"{result['n_computed']} computed")
    new = scene.root / "set" / "cat" / "new.png"
    new.write_bytes((scene.root / "set" / "cat" / "cat000.png").read_bytes() + b"\n")
    require(scene.featx(*words).expect(0).result["n_computed"] == 1, "an image that was added later is not computed")
    return "a network without finite features for one image: that image is skipped, the others are kept"


def _inspect_equal(scene: Scene) -> str:
    row = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1))
    data = _encoded(Image.fromarray(row).convert("RGB"), "PNG")
    n = 3_000
    for i in range(n):
        path = scene.root / "blank" / "ab"[i % 2] / f"f{i:05}x.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[:33] + _chunk(b"tEXt", b"n\0%d" % i) + data[33:])
    ended = scene.featx("inspect", "blank", "--json", megabytes=4_000, seconds=300).expect(0)
    require(ended.result["n_images"] == n, f"{ended.result['n_images']} images")
    return f"{n:,} equal images: {ended.seconds:.0f} s in 4 GB of address space"


def _reader(process: subprocess.Popen[str], known: Collection[int] = ()) -> int:
    """Return the id of the decoder process of a command, after it has started; ids in `known` are ignored."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        require(process.poll() is None, "the command ended before it started a decoder process")
        for folder in Path("/proc").iterdir():
            try:
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                is_reader = "featx.images.guard" in (folder / "cmdline").read_text()
            except OSError:
                continue
            if is_reader and int(status[1]) == process.pid and int(folder.name) not in known:
                time.sleep(1)
                return int(folder.name)
        time.sleep(0.05)
    require(False, "the command started no decoder process")
    return -1


def _seconds_until_gone(pid: int, most: float) -> float:
    started = time.monotonic()
    while time.monotonic() - started < most:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
        except OSError:
            break
        time.sleep(0.05)
    return time.monotonic() - started


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a command and its child processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


_SMALL: dict[str, Callable[[], bytes]] = {
    "EXIF data in 80,000 segments": _many_exif_segments,
    "3 million segments": _many_segments,
    "EXIF data whose 5,000 tags claim 60 kB each": _claiming_exif,
    "a TIFF of 60,000 pages": _many_pages,
    "a GIF of a million frames": _many_frames,
    "a PNG of 2 million chunks": _many_chunks,
    "a PNG with pixel data beyond its size": _unpacked_pixels,
}

ATTACKS: tuple[Attack, ...] = (
    Attack("modules in the data folder, beside an image that is decoded in a separate process", _plant_decoys),
    *(
        Attack(
            f"{number.name} to a command while its decoder process decodes",
            functools.partial(_leave_orphan, number=number),
        )
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
    ),
    Attack("a decoder process is killed", functools.partial(_kill_reader, times=1)),
    Attack(
        "a decoder process is killed, and the process that replaces it too", functools.partial(_kill_reader, times=2)
    ),
    Attack("a decoder process is suspended for longer than its time limit", _stop_reader),
    *(Attack(name, functools.partial(_prepare_small, make=make)) for name, make in _SMALL.items()),
    Attack("Ctrl-C while hostile metadata is read", _interrupt),
    Attack("one dark 16-bit image among others", functools.partial(_darken, top=4000)),
    Attack("one black 16-bit image among others", functools.partial(_darken, top=0)),
    Attack("a damaged 16-bit TIFF", _damage_deep),
    Attack("a network whose features are not finite", _extract_nan),
    Attack("a network without finite features for one image", _extract_some_nan),
    Attack("thousands of equal images", _inspect_equal),
)
