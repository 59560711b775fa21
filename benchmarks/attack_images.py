"""Attacks with images."""

from __future__ import annotations

import functools
import io
import signal
import struct
import subprocess
import time
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from benchmarks.scene import N_IMAGES, Attack, Scene, kill_group, require

_DECOYS = ("numpy", "PIL", "featx", "simplejpeg", "json", "struct", "re", "io", "sitecustomize", "usercustomize")
_MAIN_SECONDS = 1.0
"""Limit of the CPU time of the main process for one image, with the start of a reader process, in seconds."""

_READ = """
import sys, time
from pathlib import Path
from featx.readers import Task, read_images
from featx.runtime import Runtime
from featx.source import image_at

before = time.process_time()
(reading,) = read_images(Task("decode", 64), [image_at(sys.argv[1])], Runtime(Path("unused"), workers=1))
took = time.process_time() - before
# Not ru_maxrss, which starts at the memory of the parent process.
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
print(took, peak, reading.state.width if reading.prepared else reading.state.reason)
"""


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8).astype(np.uint8))


def _lzw(side: int = 64) -> bytes:
    return _encoded(_noise(side), "TIFF", compression="tiff_lzw")


def slow_jpeg(n_scans: int, value: int = 90) -> bytes:
    """Return a progressive JPEG of 4 million pixels whose last scan is repeated; each repetition takes 2.5 ms."""
    data = _encoded(Image.new("RGB", (2000, 2000), (value, 90, 90)), "JPEG", progressive=True)
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


def _read_small(scene: Scene, make: Callable[[], bytes]) -> str:
    path = scene.root / "small"
    path.write_bytes(make())
    seconds, peak, what = scene.python(_READ, path, seconds=300).expect(0).stdout.split(maxsplit=2)
    took, megabytes = float(seconds), int(peak) / 1000
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    require(took < _MAIN_SECONDS, f"{size}: {took:.0f} s in the main process, {megabytes:.0f} MB")
    require(megabytes < 500, f"{size}: {megabytes:.0f} MB in the main process")
    return f"{size}: {took:.1f} s and {megabytes:.0f} MB in the main process; {what.strip()[:60]}"


def _interrupt(scene: Scene) -> str:
    for number in range(8):  # of different content
        (scene.root / "set" / "cat" / f"small{number}.jpg").write_bytes(_many_exif_segments() + bytes(number))
        (scene.root / "set" / "cat" / f"pages{number}.tif").write_bytes(_many_pages() + bytes(number))
    process = scene.start("inspect", "set")
    try:
        time.sleep(1)
        require(process.poll() is None, "the command ended before it was interrupted")
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            require(False, "the command is still running 20 s after Ctrl-C")
        took = time.monotonic() - started
    finally:
        kill_group(process)
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
    require(not list((scene.root / "c" / "features").glob("*/*.h5")), "a store was written")
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
    Attack("modules in the data folder, beside an image that is decoded in a reader process", _plant_decoys),
    *(Attack(name, functools.partial(_read_small, make=make)) for name, make in _SMALL.items()),
    Attack("Ctrl-C while hostile metadata is read", _interrupt),
    Attack("one dark 16-bit image among others", functools.partial(_darken, top=4000)),
    Attack("one black 16-bit image among others", functools.partial(_darken, top=0)),
    Attack("a damaged 16-bit TIFF", _damage_deep),
    Attack("a network whose features are not finite", _extract_nan),
    Attack("a network without finite features for one image", _extract_some_nan),
    Attack("thousands of equal images", _inspect_equal),
)
