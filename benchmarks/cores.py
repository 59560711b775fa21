"""Measure how an extraction uses the CPU cores: ``python -m benchmarks.cores DIR [--cores 2,16] [--backbones NAMES]``.

The photographs of a folder are multiplied to different files of the same pixels (6 times, or ``--copies``). For each
backbone and number of cores, separate processes restricted to these cores measure

- the engine alone: images per second, and core-seconds per image;
- reading and decoding on one core: core-seconds per image;
- files to cache, as ``featx extract`` does it, with the graph of the backbone in the cache: images per second, and
  the ratio to the bound, which is cores / (core-seconds of the engine + core-seconds of decoding per image).

Then, for the first backbone and each number of cores: the CPU time of the Python threads of the main process per image
(the slope between 1,000 and 8,000 images), and the memory of all processes together (proportional set size, the largest
of samples every 0.2 s). Last, 16 readers and an engine that only wait show how many images per second pass through the
main process.

Print Markdown tables, then JSON. ``--skip`` leaves out parts: engine, threads, memory, waiting.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import median, print_head, print_json, print_row, run_worker

_BACKBONES = "efficientnet-lite0,mobilenetv2"
_SMALL, _LARGE = 1_000, 8_000
_WAITING_READERS = 16
_WAIT_SECONDS = 0.003
"""Time that a waiting reader takes for an image; 16 readers then offer at most 5,333 images per second."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cores", default=str(len(os.sched_getaffinity(0))))
    parser.add_argument("--backbones", default=_BACKBONES)
    parser.add_argument("--copies", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip", default="")
    parser.add_argument("--cache", type=Path, help="cache with converted backbones, on a machine without TensorFlow")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        how = json.loads(arguments.worker)
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: how.pop("cores")])
        print(json.dumps(_MEASURES[how.pop("measure")](**how)))
        return
    cores = [int(word) for word in arguments.cores.split(",")]
    skipped = set(arguments.skip.split(","))
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        n = multiply(arguments.folder, images, arguments.copies)
        print(f"{n:,} files", file=sys.stderr)
        scene = {"images": str(images), "folder": folder}
        if arguments.cache is not None:
            shutil.copytree(arguments.cache, Path(folder) / "cache")
        backbones = arguments.backbones.split(",")
        if "engine" not in skipped:
            results["bound"] = _bound(backbones, cores, arguments.rounds, scene)
        else:
            _work("convert", max(cores), backbone=backbones[0], **scene)
        if "threads" not in skipped:
            results["threads"] = [_threads(backbones[0], c, scene) for c in cores]
        if "memory" not in skipped:
            results["memory"] = [_memory(backbones[0], c, n, scene) for c in cores]
    if "waiting" not in skipped:
        found = _work("waiting", max(cores), n=40_000)
        print_head("simulated: readers and an engine that only wait", "images per second")
        print_row(f"{_WAITING_READERS} readers, {_WAIT_SECONDS * 1e3:g} ms for each image", found["rate"])
        results["waiting"] = found
    print_json(results)


def multiply(folder: Path, target: Path, copies: int) -> int:
    """Write each JPEG file several times with different bytes after its end; return the number of files."""
    n = 0
    for file in sorted(folder.rglob("*.jp*g")):
        place = target / file.parent.name
        place.mkdir(parents=True, exist_ok=True)
        data = file.read_bytes()
        for copy in range(copies):
            (place / f"{copy}_{file.name}").write_bytes(data + bytes([copy]) * copy)
            n += 1
    return n


def _work(measure: str, cores: int, **how: Any) -> dict[str, Any]:
    return run_worker("benchmarks.cores", "-", "--worker", json.dumps({"measure": measure, "cores": cores, **how}))


def _bound(backbones: list[str], cores: list[int], rounds: int, scene: dict[str, str]) -> list[dict[str, Any]]:
    print_head(
        "backbone",
        "cores",
        "engine alone, images/s",
        "engine, core-ms",
        "decoding, core-ms",
        "files to cache, images/s",
        "bound, images/s",
        "ratio",
    )
    rows = []
    for backbone in backbones:
        _work("convert", max(cores), backbone=backbone, **scene)
        for c in cores:
            rows_here = []
            for _ in range(rounds):
                engine = _work("engine", c, backbone=backbone, **scene)
                decoding = _work("decoding", 1, **scene)
                extract = _work("extract", c, backbone=backbone, n=0, **scene)
                bound = c / (engine["seconds"] + decoding["seconds"])
                rows_here.append(
                    (engine["rate"], engine["seconds"] * 1e3, decoding["seconds"] * 1e3, extract["rate"], bound)
                )
                rows_here[-1] += (extract["rate"] / bound,)
            row = [median(values) for values in zip(*rows_here, strict=True)]
            print_row(backbone, c, *row)
            names = ("engine_rate", "engine_ms", "decoding_ms", "rate", "bound", "ratio")
            rows.append({"backbone": backbone, "cores": c, **dict(zip(names, row, strict=True)), "rounds": rows_here})
    return rows


def _threads(backbone: str, cores: int, scene: dict[str, str]) -> dict[str, Any]:
    few, many = (_work("extract", cores, backbone=backbone, n=n, **scene) for n in (_SMALL, _LARGE))
    slope = {name: 1e3 * (many[name] - few[name]) / (many["n"] - few["n"]) for name in ("main", "others")}
    print_head("Python threads of the main process", "cores", "main, ms/image", "others, ms/image", "together")
    print_row(backbone, cores, slope["main"], slope["others"], sum(slope.values()))
    return {"cores": cores, **slope}


def _memory(backbone: str, cores: int, n: int, scene: dict[str, str]) -> list[dict[str, Any]]:
    print_head("memory of all processes", "cores", "images", "MB")
    rows = []
    for size in (_SMALL, n):
        found = _work("extract", cores, backbone=backbone, n=size, sample=True, **scene)
        print_row(backbone, cores, found["n"], found["megabytes"])
        rows.append({"cores": cores, "n": found["n"], "megabytes": found["megabytes"]})
    return rows


def _extract(backbone: str, n: int, images: str, folder: str, sample: bool = False) -> dict[str, Any]:
    """Extract the first images of a folder (0: all) with an empty store."""
    from featx.extraction import extract
    from featx.runtime import Runtime

    data = Path(images)
    if n:
        data = Path(folder) / f"first-{n}"
        if not data.exists():
            data.mkdir()
            for file in sorted(Path(images).rglob("*.jp*g"))[:n]:
                (data / f"{file.parent.name}-{file.name}").hardlink_to(file)
    weights = _weights(backbone)
    with tempfile.TemporaryDirectory() as place, _thread_times() as times, _sampled(sample) as memory:
        cache = _new_cache(Path(place), Path(folder))
        started = time.thread_time()
        table = extract(data, backbone, weights=weights, engine="openvino", runtime=Runtime(cache))
        main = time.thread_time() - started
    seconds = table.extraction.seconds
    return {
        "n": len(table),
        "rate": len(table) / seconds,
        "main": main,
        "others": sum(times),
        "megabytes": max(memory, default=0.0),
    }


def _new_cache(place: Path, folder: Path) -> Path:
    """Return a cache without features, but with the converted backbones of the first run."""
    cache, first = place / "cache", folder / "cache"
    if first.exists():
        shutil.copytree(first, cache, ignore=shutil.ignore_patterns("features", "datasets", "latest.json"))
    return cache


@contextlib.contextmanager
def _thread_times() -> Iterator[list[float]]:
    """Collect the CPU time of each Python thread that ends in this context."""
    times: list[float] = []
    run = threading.Thread.run

    def timed(self: threading.Thread) -> None:
        run(self)
        if self.name.startswith("featx-"):
            times.append(time.thread_time())

    threading.Thread.run = timed  # type: ignore[method-assign]
    try:
        yield times
    finally:
        threading.Thread.run = run  # type: ignore[method-assign]


@contextlib.contextmanager
def _sampled(wanted: bool) -> Iterator[list[float]]:
    """Collect the memory of this process and its children in MB, every 0.2 s."""
    samples: list[float] = []
    end = threading.Event()

    def sample() -> None:
        while not end.wait(0.2):
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            samples.append(sum(_megabytes(pid) for pid in ("self", *children)))

    thread = threading.Thread(target=sample)
    if wanted:
        thread.start()
    yield samples
    end.set()
    if wanted:
        thread.join()


def _megabytes(pid: str) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1e3
    return 0.0


def _convert(backbone: str, images: str, folder: str) -> dict[str, Any]:
    """Convert a backbone, and choose the precision."""
    from featx.extraction import extract
    from featx.runtime import Runtime

    with tempfile.TemporaryDirectory() as place:
        data = Path(place) / "data"
        data.mkdir()
        shutil.copy(next(Path(images).rglob("*.jp*g")), data)
        extract(data, backbone, weights=_weights(backbone), engine="openvino", runtime=Runtime(Path(folder) / "cache"))
    return {}


def _weights(backbone: str) -> str:
    return "imagenet" if backbone.startswith("efficientnet-lite") else "random:0"


def _engine(backbone: str, images: str, folder: str) -> dict[str, Any]:
    """Run the engine alone on 64 prepared images, again and again for about 6 s."""
    from featx.execution import start
    from featx.extraction import extract
    from featx.images import prepare
    from featx.runtime import Runtime

    files = sorted(Path(images).rglob("*.jp*g"))[:64]
    with tempfile.TemporaryDirectory() as place:
        cache, data = _new_cache(Path(place), Path(folder)), Path(place) / "data"
        data.mkdir()
        for number, file in enumerate(files):
            (data / f"{number}.jpg").hardlink_to(file)
        weights = _weights(backbone)
        runtime = Runtime(cache)
        spec = extract(data, backbone, weights=weights, engine="openvino", runtime=runtime).spec
        runner = start(spec, lambda: None, runtime)
        batch = np.stack([prepare(file.read_bytes(), spec.size).pixels for file in files])
        for _ in runner.run([batch] * 4):
            pass

        def batches(end: float) -> Iterator[np.ndarray]:
            while time.perf_counter() < end:
                yield batch

        n, started, cpu = 0, time.perf_counter(), time.process_time()
        for features in runner.run(batches(started + 6)):
            n += len(features)
        seconds, used = time.perf_counter() - started, time.process_time() - cpu
    return {"rate": n / seconds, "seconds": used / n}


def _decoding(images: str, folder: str) -> dict[str, Any]:
    """Read and prepare 1,400 files in one thread."""
    from featx.images import prepare
    from featx.readers.files import read_file
    from featx.source import image_at

    files = sorted(Path(images).rglob("*.jp*g"))[:: max(1, len(list(Path(images).rglob("*.jp*g"))) // 1_400)]
    for file in files[:64]:
        prepare(file.read_bytes(), 224)
    cpu = time.process_time()
    for file in files:
        with image_at(file).open() as opened:
            prepare(read_file(opened)[0], 224)
    return {"seconds": (time.process_time() - cpu) / len(files)}


def _waiting(n: int) -> dict[str, Any]:
    """Pass images through the main process with readers and an engine that only wait."""
    from unittest import mock

    from featx.backbones.table import BACKBONES
    from featx.images import decode_version
    from featx.pipeline import fill
    from featx.readers import pool, process, team
    from featx.runtime import Runtime
    from featx.source import ImageFile, LocalFolder
    from featx.spec import FeatureSpec
    from featx.store import FeatureStore
    from featx.table import Sample

    row = BACKBONES["efficientnet-lite0"]
    spec = FeatureSpec(row.name, "random-0", "tf", 224, decode_version(), "openvino", "float32")
    images = [ImageFile(Sample(f"{i}.jpg"), LocalFolder(Path("/")), 50_000, 1) for i in range(n)]
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(process, "start_child", _start_waiting),
        mock.patch.object(sys.modules["featx.pipeline.images"], "start", mock.Mock(return_value=_WaitingRunner())),
        mock.patch.object(pool, "_spare_descriptors", return_value=1_000),
    ):
        store = FeatureStore(Path(folder), spec)
        runtime = Runtime(Path(folder), workers=_WAITING_READERS)
        started = time.perf_counter()
        done = fill(images, {}, store, lambda: None, runtime)
        seconds = time.perf_counter() - started
        assert done.n_computed == n, done.n_computed
        team.close_spare()
    return {"n": n, "seconds": seconds, "rate": n / seconds}


class _WaitingRunner:
    """Engine that computes nothing."""

    name, precision, device, n_features = "openvino", "float32", "cpu", 1280
    producer: dict[str, str] = {"engine": "none"}  # noqa: RUF012

    def run(self, batches: Any) -> Iterator[np.ndarray]:
        for pixels in batches:
            yield np.ones((len(pixels), 1280), np.float32)


def _start_waiting(module: str, function: str, *words: str, inherited: Any = ()) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _READER, str(_WAIT_SECONDS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


_READER = """
import hashlib, json, struct, sys, time
source, target = sys.stdin.buffer, sys.stdout.buffer
def send(message):
    content = json.dumps(message).encode()
    target.write(struct.pack("<Q", len(content)) + content)
    target.flush()
def receive():
    return json.loads(source.read(struct.unpack("<Q", source.read(8))[0]))
while True:
    job = receive()
    numbers = [image[0] for image in job["images"]]
    time.sleep(float(sys.argv[1]) * len(numbers))
    hashes = [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers]
    send({"read": [[number, [50000, 1, one, "", "", 1, 1]] for number, one in zip(numbers, hashes)]})
    receive()
    made = {"width": 500, "height": 375, "note": "", "shape": [224, 224]}
    send({"done": [[number, {**made, "row": row}] for row, number in enumerate(numbers)], "postponed": []})
"""
"""Code of a reader that waits instead of reading, and leaves the shared memory as it is."""


_MEASURES = {
    "convert": _convert,
    "engine": _engine,
    "decoding": _decoding,
    "extract": _extract,
    "waiting": _waiting,
}


if __name__ == "__main__":
    main()
