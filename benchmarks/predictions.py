"""Measure ``featx predict`` on many files: ``python -m benchmarks.predictions [--sizes 1000000] [--folder DIR]``.

Make hard links of ``--contents`` different small JPEG files, in folders of 1,000 files, and a model of
efficientnet-lite0 with images of 32 pixels. Run these predictions as processes, each of which begins with the cache of
the run before:

- ``list``: the paths come from a list on the standard input; no row is known, features are computed once per content
- ``no new image``: ``--only-new`` of the folder, whose states are not in the cache: all files are read
- ``no new image again``: the same; the states of the files are in the cache
- ``200 new images``: the same after 200 files were added
- ``one CSV file``: all images of the folder to one file

Print the wall time, the peak memory of the process and of its largest reader process, the number of images per second
and the number of parts. Print a Markdown table, then JSON. ``--folder`` keeps the files for further runs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.processes import print_head, print_json, print_row, run_worker

_FOLDER = 1_000
_NEW = 200
_TRAINING = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000000")
    parser.add_argument("--contents", type=int, default=2_000, help="number of different files")
    parser.add_argument("--folder", type=Path, help="folder for the files, which is kept")
    parser.add_argument("--only", default="", help="measure only runs whose name contains this text")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        _prepare(Path(arguments.worker[0]), *map(int, arguments.worker[1:]))
        print("{}")
        return
    print_head("images", "run", "seconds", "images per second", "peak memory, MB", "parts")
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        for size in map(int, arguments.sizes.split(",")):
            place = (arguments.folder or Path(temporary)) / str(size)
            if not place.exists():
                # In another process: on Linux, the peak memory of this process is part of that of its children.
                run_worker("benchmarks.predictions", "--worker", place, size, arguments.contents)
            for name, run in _RUNS.items():
                if arguments.only not in name:
                    continue
                if name == "200 new images":
                    _link(place, size, size + _NEW, arguments.contents)
                found = _run(place, *run)
                rate = found["n_images"] / found["seconds"]
                print_row(found["n_images"], name, found["seconds"], rate, found["peak"], found["n_parts"] or "")
                results.append({"run": name, **found})
    print_json(results)


_RUNS: dict[str, tuple[bool, tuple[str, ...]]] = {
    "list": (True, ("--files-from", "-", "-o", "scores")),
    "no new image": (False, ("images", "-o", "scores", "--only-new")),
    "no new image again": (False, ("images", "-o", "scores", "--only-new")),
    "200 new images": (False, ("images", "-o", "scores", "--only-new")),
    "one CSV file": (False, ("images", "-o", "scores.csv", "--overwrite")),
}
"""Whether a run reads the list on the standard input, and its words."""


def _prepare(place: Path, size: int, n_contents: int) -> None:
    import featx
    from featx.runtime import Runtime

    rng = np.random.default_rng(0)
    (place / "contents").mkdir(parents=True)
    for number in range(n_contents + _TRAINING):
        pixels = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize((64, 64))
        folder = place / "contents" if number < n_contents else place / "training" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        pixels.save(folder / f"{number}.jpg")
        os.utime(folder / f"{number}.jpg", (time.time() - 1000,) * 2)
    _link(place, 0, size, n_contents)
    with (place / "list").open("w", encoding="utf-8") as stream:
        stream.writelines(f"{_name(number)}\n" for number in range(size))
    runtime = Runtime(place / "cache")
    featx.fit(featx.extract(place / "training", size=32, runtime=runtime), cv=2, runtime=runtime).save(
        place / "m.featx"
    )


def _name(number: int) -> str:
    return f"images/{number // _FOLDER:05}/image-{number:07}.jpg"


def _link(place: Path, start: int, stop: int, n_contents: int) -> None:
    """Link files; new files are copies, because a link changes the ctime of all other links to the file."""
    for number in range(start, stop):
        path = place / _name(number)
        if number % _FOLDER == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        content = place / "contents" / f"{number % n_contents}.jpg"
        if start:
            shutil.copy2(content, path)
        else:
            os.link(content, path)


def _run(place: Path, reads_list: bool, words: tuple[str, ...]) -> dict[str, Any]:
    """Run ``featx predict``; return its counts, wall time and peak memory."""
    command = [sys.executable, "-m", "featx", "predict", "m.featx", *words, "--cache", "cache", "--json"]
    started = time.perf_counter()
    with (place / "list").open() as listed, (place / "out").open("w+") as out, (place / "err").open("w+") as err:
        given = listed if reads_list else subprocess.DEVNULL
        process = subprocess.Popen(command, stdin=given, stdout=out, stderr=err, cwd=place)
        _, status, used = os.wait4(process.pid, 0)  # not on Windows
        seconds = time.perf_counter() - started
        err.seek(0)
        if status:
            raise SystemExit(err.read())
        out.seek(0)
        result = json.loads(out.read().splitlines()[-1])
    peak = used.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {"seconds": seconds, "peak": peak, **{name: result[name] for name in ("n_images", "n_new", "n_parts")}}


if __name__ == "__main__":
    main()
