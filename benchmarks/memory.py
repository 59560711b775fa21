"""Measure memory and time as data sets grow: ``python -m benchmarks.memory DIR [--sizes 1000,10000,60000]``.

Extract the first N images of a folder in a separate process with a separate cache, and print the peak resident memory
of this process, its time and its images per second. The graph of the backbone is built beforehand. Print a Markdown
table, then JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.processes import peak_megabytes, print_head, print_json, print_row, run_worker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", default="1000,10000,60000")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_extract(arguments.folder, Path(arguments.worker))))
        return
    files = sorted(path for path in arguments.folder.rglob("*.*") if path.is_file())
    print_head("images", "peak memory, MB", "seconds", "images per second", "cache, MB")
    results = []
    for size in map(int, arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            one, images, cache = (Path(folder) / name for name in ("one", "images", "cache"))
            _copy(files[:1], one)
            run_worker("benchmarks.memory", one, "--worker", cache)  # builds the graph, with TensorFlow
            shutil.rmtree(cache / "features")
            _copy(files[:size], images)
            found = run_worker("benchmarks.memory", images, "--worker", cache)
            stored = sum(path.stat().st_size for path in (cache / "features").glob("*/*.h5")) / 1e6
        rate = found["n"] / found["seconds"]
        print_row(found["n"], found["peak"], found["seconds"], rate, stored)
        results.append({**found, "stored": stored})
    print_json(results)


def _copy(files: list[Path], folder: Path) -> None:
    folder.mkdir()
    for number, path in enumerate(files):
        shutil.copy(path, folder / f"{number:06}{path.suffix}")


def _extract(images: Path, cache: Path) -> dict:
    import time

    from featx.extraction import extract
    from featx.runtime import Runtime

    started = time.perf_counter()
    table = extract(images, runtime=Runtime(cache))
    seconds = time.perf_counter() - started
    return {"n": len(table), "seconds": seconds, "peak": peak_megabytes()}


if __name__ == "__main__":
    main()
