"""Measure runs with nothing new over many files: ``python -m benchmarks.scan [--sizes 100000,1000000]``.

Make hard links of 20 or more small images (no file system allows a million links to one file), in folders of 1,000
files (``--folder``) and ten classes. Run ``featx extract`` with the default backbone and an own cache as a process:
the first run, which reads and hashes every file and computes a row for each image; runs with nothing new; and a run
after 1,000 files were added. Print the wall time, the CPU time and the peak memory of each process, the size of the
snapshot, and the seconds of the steps of one more run, which stops if TensorFlow is imported. Print a Markdown table,
then JSON. ``--profile`` also prints a profile of a run with nothing new.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.processes import median, peak_megabytes, print_head, print_json, print_row, run_worker

_CONTENTS = 20
_CLASSES = 10
_ADDED = 1_000
_MOST_LINKS = 60_000
_AGE_SECONDS = 1_000


_STEPS = {
    "read the snapshot": ("featx.lookup.listing", "read_snapshot"),
    "list": ("featx.lookup.listing", "scan"),
    "compare and look up": ("featx.pipeline.images", "recall"),
    "write the snapshot": ("featx.lookup.snapshot", "write_snapshot"),
    "make the table": ("featx.extraction.extracting", "dataset_table"),
}
"""Functions that are timed: the module that calls each function, and its name."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100000,1000000")
    parser.add_argument("--folder", type=int, default=1_000, help="files in each folder")
    parser.add_argument("--rounds", type=int, default=3, help="runs with nothing new")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_steps(*arguments.worker)))
        return
    print_head("files", "run", "seconds", "CPU seconds", "peak memory, MB", "snapshot, MB")
    results = []
    for size in map(int, arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            data, cache = Path(folder) / "data", Path(folder) / "cache"
            contents = _make_contents(Path(folder) / "contents", size)
            # A link changes the ctime of its file, and with it all other links: new files need contents of their own.
            later = _make_contents(Path(folder) / "later", _ADDED)
            _link(contents, data, 0, size, arguments.folder)
            results.append(_row(size, "first", [_run(data, cache)], cache))
            results.append(_row(size, "nothing new", [_run(data, cache) for _ in range(arguments.rounds)], cache))
            steps = run_worker("benchmarks.scan", "--worker", data, cache)
            print(", ".join(f"{step} {seconds:.2f}" for step, seconds in steps.items()))
            if arguments.profile:
                _profile(data, cache)
            _link(later, data, size, size + _ADDED, arguments.folder)
            results.append(_row(size + _ADDED, "1,000 new files", [_run(data, cache)], cache))
            results.append({"files": size, "steps": steps})
    print_json(results)


def _make_contents(folder: Path, size: int) -> list[Path]:
    """Write the images that are linked, with times that are old enough to be trusted."""
    folder.mkdir()
    rng = np.random.default_rng(size)
    paths = []
    for number in range(max(_CONTENTS, -(-2 * size // _MOST_LINKS))):
        path = folder / f"{number}.jpg"
        Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((320, 240)).save(path)
        os.utime(path, (time.time() - _AGE_SECONDS,) * 2)
        paths.append(path)
    return paths


def _link(contents: list[Path], data: Path, start: int, stop: int, size: int) -> None:
    for number in range(start, stop):
        folder = data / f"class {number // size % _CLASSES}" / f"{number // size:04}"
        if number in (start, number // size * size):
            folder.mkdir(parents=True, exist_ok=True)
        os.link(contents[number % len(contents)], folder / f"image-{number:07}.jpg")


def _run(data: Path, cache: Path) -> dict[str, float]:
    """Run ``featx extract``; return its wall time, CPU time and peak memory."""
    started = time.perf_counter()
    with (cache.parent / "output").open("w+") as output:
        process = subprocess.Popen(_command(data, cache), stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)  # not on Windows
        seconds = time.perf_counter() - started
        output.seek(0)
        if status:
            raise SystemExit(output.read())
    peak = used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "peak": peak}


def _command(data: Path, cache: Path) -> list[str]:
    return [sys.executable, "-m", "featx", "extract", str(data), "--cache", str(cache)]


def _profile(data: Path, cache: Path) -> None:
    worker = ["-m", "cProfile", "-s", "tottime", "-m", "benchmarks.scan", "--worker", str(data), str(cache)]
    done = subprocess.run([sys.executable, *worker], capture_output=True, text=True, check=True)
    print("\n".join(done.stdout.splitlines()[:60]))


def _steps(data: str, cache: str) -> dict[str, float]:
    """Extract in this process; return the seconds of each step."""
    from featx.extraction import extract
    from featx.rendering import extraction_lines
    from featx.runtime import Runtime

    spent: dict[str, float] = {}

    def timed(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*given, **named)
            finally:
                spent[step] = spent.get(step, 0.0) + time.perf_counter() - started

        return run

    for step, (module, name) in _STEPS.items():
        calling = importlib.import_module(module)
        setattr(calling, name, timed(step, getattr(calling, name)))
    started = time.perf_counter()
    table = extract(data, runtime=Runtime(Path(cache)))
    extraction_lines(table.extraction.to_dict())
    spent["other"] = time.perf_counter() - started - sum(spent.values())
    if "tensorflow" in sys.modules:
        raise SystemExit("TensorFlow was imported")
    return spent | {"peak memory, MB": peak_megabytes()}


def _row(size: int, name: str, runs: list[dict[str, float]], cache: Path) -> dict[str, Any]:
    snapshot = sum(path.stat().st_size for path in (cache / "datasets").iterdir()) / 1e6
    found = {key: median(run[key] for run in runs) for key in ("seconds", "cpu", "peak")}
    print_row(size, name, found["seconds"], found["cpu"], found["peak"], snapshot)
    return {"files": size, "run": name, **found, "snapshot": snapshot}


if __name__ == "__main__":
    main()
