"""Measure extraction from archives and object storage: ``python -m benchmarks.remote [--images 1500]``.

Small JPEG files are read with efficientnet-lite0 from a local folder, a zip file, a tar file, an in-process filesystem
of fsspec in which each request takes 50 ms, and a real S3 server on loopback (moto), which runs in a process of its
own on the same cores. Print images per second of a cold run and their ratio to the local folder, seconds of a warm
run, and the CPU time of the client for each object (all processes of featx, without the backbone: content hashes
only). With ``--members``, instead list a zip file and a tar file of that many members, and print seconds and the peak
memory of the process. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.processes import median, peak_megabytes, print_head, print_json, print_row, run_worker, take_turns

_LATENCY = 0.05
BUCKET = "images"
_SIDES = ("folder", "zip", "tar", "50 ms", "S3")
_FOLDER = "FEATX_BENCHMARK_FOLDER"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--members", type=int, default=0)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.members:
        _list_members(arguments.members)
        return
    if arguments.worker and arguments.worker[0] == "list":
        print(json.dumps(_list(arguments.worker[1])))
        return
    if arguments.worker:
        print(json.dumps(_measure(*arguments.worker)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make_images(folder / "set", arguments.images)
        _pack(folder)
        server, environment = start_bucket(folder / "set", ".jpg")
        environment |= {_FOLDER: str(folder), "FEATX_CACHE": str(folder / "cache")}
        places = {"folder": folder / "set", "zip": folder / "set.zip", "tar": folder / "set.tar"}
        places |= {"50 ms": "s3://slow", "S3": f"s3://{BUCKET}/set"}
        try:
            rounds = take_turns(
                arguments.rounds,
                list(_SIDES),
                lambda side: run_worker("benchmarks.remote", "--worker", side, places[side], **environment),
            )
        finally:
            server.kill()
            server.wait()
    print_head("source", "images per second", "ratio to the folder", "warm run, s", "CPU for each object, ms")
    results = []
    for side in _SIDES:
        row = {
            "source": side,
            "rate": median(one[side]["rate"] for one in rounds),
            "ratio": median(one[side]["rate"] / one["folder"]["rate"] for one in rounds),
            "warm": median(one[side]["warm"] for one in rounds),
            "cpu": median(one[side]["cpu"] for one in rounds),
        }
        print_row(*row.values())
        results.append(row)
    print_json(results)


def _list_members(n: int) -> None:
    import io
    import tarfile

    print_head("archive", "members", "seconds to list", "peak memory, MB")
    results = []
    with tempfile.TemporaryDirectory() as name:
        for ending in ("zip", "tar"):
            path = Path(name) / f"set.{ending}"
            names = (f"class {number % 10}/{number:07}.jpg" for number in range(n))
            if ending == "zip":
                with zipfile.ZipFile(path, "w") as packed:
                    for member in names:
                        packed.writestr(zipfile.ZipInfo(member), b"small")
            else:
                with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as other:
                    for member in names:
                        info = tarfile.TarInfo(member)
                        info.size = 5
                        other.addfile(info, io.BytesIO(b"small"))
                        other.members.clear()
            found = run_worker("benchmarks.remote", "--worker", "list", path)
            print_row(ending, found["n"], found["seconds"], found["peak"])
            results.append({"archive": ending, **found})
            path.unlink()
    print_json(results)


def _list(path: str) -> dict[str, float]:
    from featx.dataset import scan

    started = time.perf_counter()
    n = len(scan(path).images)
    return {"n": n, "seconds": time.perf_counter() - started, "peak": peak_megabytes()}


def _make_images(folder: Path, n: int) -> None:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(n):
        path = folder / f"class {number % 10}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((320, 240)).save(path, quality=90)
        os.utime(path, (1_700_000_000,) * 2)


def _pack(folder: Path) -> None:
    import tarfile

    with zipfile.ZipFile(folder / "set.zip", "w") as packed, tarfile.open(folder / "set.tar", "w") as other:
        for path in sorted((folder / "set").rglob("*.jpg")):
            packed.write(path, path.relative_to(folder / "set"))
            other.add(path, path.relative_to(folder / "set"))


def start_bucket(folder: Path, suffix: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start moto in a process, upload the images to :data:`BUCKET`, and set the environment for it."""
    code = (
        "from moto.server import ThreadedMotoServer as S; import time; s = S('127.0.0.1', 0, verbose=False); s.start();"
        "print(s.get_host_and_port()[1], flush=True); time.sleep(10_000)"
    )
    command = [sys.executable, "-c", code]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(server.stdout.readline())}",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    os.environ |= environment
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for path in folder.rglob(f"*{suffix}"):
        client.put_object(Bucket=BUCKET, Key=f"set/{path.relative_to(folder).as_posix()}", Body=path.read_bytes())
    return server, environment


def _measure(side: str, place: str) -> dict[str, float]:
    import shutil

    from featx.extraction import extract
    from featx.readers import Task, process, read_images
    from featx.runtime import Runtime

    if side == "50 ms":
        _install_slow_files()
        start = process.start_child
        process.start_child = lambda module, function, *words, **named: start(
            "benchmarks.remote", "serve_slowly", *words, **named
        )
    cache = Path(os.environ["FEATX_CACHE"])
    folder = Path(os.environ[_FOLDER])
    extract(folder / "set" / "class 0", runtime=Runtime(cache))  # builds the graph, imports libraries
    for name in ("features", "datasets"):
        shutil.rmtree(cache / name)
    started = time.perf_counter()
    table = extract(place, runtime=Runtime(cache))
    rate = len(table) / (time.perf_counter() - started)
    started = time.perf_counter()
    assert extract(place, runtime=Runtime(cache)).extraction.n_computed == 0
    warm = time.perf_counter() - started
    return {"rate": rate, "warm": warm, "cpu": _cpu_of_reading(place, read_images, Task, Runtime(cache))}


def _cpu_of_reading(place: str, read_images: Any, task: Any, runtime: Any) -> float:
    """Return the CPU time, in ms, of reading and hashing an object, in this process and in the readers."""
    from featx.dataset import scan
    from featx.readers.team import close_spare

    images = scan(place).images
    close_spare()
    before = os.times()
    n = sum(1 for one in read_images(task("hash"), images, runtime) if one.state.content_hash)
    close_spare()
    after = os.times()
    assert n == len(images)
    spent = sum(after[i] - before[i] for i in range(4))  # user and system time, also of the children
    return 1000 * spent / n


def _install_slow_files() -> None:
    """Replace the filesystem of s3:// by one that reads local files and takes 50 ms for each request."""
    import asyncio

    from fsspec.asyn import AsyncFileSystem

    from featx.source import remote

    root = Path(os.environ[_FOLDER]) / "set"

    class SlowFiles(AsyncFileSystem):
        def _local(self, path: str) -> Path:
            return root / path.removeprefix("slow").lstrip("/")

        async def _info(self, path: str, **_: Any) -> dict[str, Any]:
            await asyncio.sleep(_LATENCY)
            return self._described(self._local(path))

        async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[dict[str, Any]]:
            await asyncio.sleep(_LATENCY)
            return [self._described(one) for one in self._local(path).iterdir()]

        async def _cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> bytes:
            await asyncio.sleep(_LATENCY)
            return self._local(path).read_bytes()[start:end]

        def _described(self, path: Path) -> dict[str, Any]:
            status = path.stat()
            name = "/".join(("slow", *path.relative_to(root).parts))
            kind = "directory" if path.is_dir() else "file"
            return {"name": name, "type": kind, "size": status.st_size, "ETag": str(status.st_mtime_ns)}

    import fsspec

    fsspec.register_implementation("s3", SlowFiles, clobber=True)
    remote._CLIENTS["s3"] = (remote.Client, "fsspec", {})


def serve_slowly(cell: str, seconds: str) -> None:
    """Run a reader process with the slow filesystem."""
    from featx.readers.worker import serve

    _install_slow_files()
    serve(cell, seconds)


if __name__ == "__main__":
    main()
