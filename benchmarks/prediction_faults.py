"""Kill runs of ``featx predict`` at random times: ``python -m benchmarks.prediction_faults [--tries 20]``.

The images are those of ``data/``, with the default backbone; blocks have 8 images, so that a folder of parts has many
parts. After each fault, the same run is repeated without faults, and the rows of the table are compared with those of
an undisturbed run. Print a Markdown table, then JSON.

- a folder of parts: a first run is killed. Complete parts must not be written again, and the marker must be there only
  if all rows are there.
- ``only_new``: 200 images are in the table; 100 images are added and 10 changed; the run that extends the table is
  killed. The table must have the old or the new rows; for a folder of parts, if its marker is there.
- two runs at once: two runs extend the same table.

Columns of the table: ``lost``: number of missing rows. ``doubled``: number of rows whose path is in the table twice,
and of complete parts that were written again. ``wrong``: number of rows that differ, of tables that are neither the old
nor the new one, and of runs that end with an error. ``cut`` in the remarks: number of runs that were killed after they
had written something and before they were finished.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.extraction_runs import FaultCounts
from benchmarks.processes import print_head, print_json, print_row

_DATA = Path(__file__).parent.parent / "data"
_N_OLD, _N_CHANGED = 200, 10
_Rows = list[tuple[Any, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="random seed of the times")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        _predict(*arguments.worker)
        return
    rng, results = random.Random(arguments.seed), []
    print_head("fault", "tries", "lost", "doubled", "wrong", "remarks")
    with tempfile.TemporaryDirectory() as folder:
        place = _Place(Path(folder))
        few = max(2, arguments.tries // 4)
        faults: dict[str, Callable[[], FaultCounts]] = {
            "a folder of parts, kill -9 at a random time": lambda: _first(place, arguments.tries, rng, computes=False),
            "only_new, CSV file, kill -9 at a random time": lambda: _extended(place, "t.csv", arguments.tries, rng),
            "only_new, folder of parts, kill -9 at a random time": lambda: _extended(place, "t", arguments.tries, rng),
            "only_new, CSV file, two runs at once": lambda: _at_once(place, "t.csv", few),
            "only_new, folder of parts, two runs at once": lambda: _at_once(place, "t", few),
            "only_new, Parquet file, kill -9 at a random time": lambda: _extended(
                place, "t.parquet", arguments.tries, rng
            ),
            "a folder of parts, kill -9 while features are computed": lambda: _first(
                place, arguments.tries, rng, computes=True
            ),
        }
        for fault, do in faults.items():
            counts = do()
            print_row(fault, counts.tries, counts.lost, counts.doubled, counts.wrong, counts.remark)
            results.append({"fault": fault, **vars(counts)})
    print_json(results)


class _Place:
    """A model, its images, a cache with their features, and a cache with the graph of the backbone alone."""

    def __init__(self, root: Path) -> None:
        import featx
        from featx.runtime import Runtime

        self.root = root
        self.images = root / "images"
        shutil.copytree(_DATA, self.images)
        runtime = Runtime(root / "cache")
        featx.fit(featx.extract(self.images, runtime=runtime), cv=3, runtime=runtime).save(root / "m.featx")
        shutil.copytree(root / "cache" / "graphs", root / "empty" / "graphs")
        shutil.copy(root / "cache" / "CACHEDIR.TAG", root / "empty")
        self.seconds = {name: self.timed(name) for name in ("cache", "empty")}

    def timed(self, cache: str) -> float:
        copy = shutil.copytree(self.root / cache, self.root / "timed")
        started = time.monotonic()
        self.end(self.start(self.images, self.root / "whole", copy))
        seconds = time.monotonic() - started
        shutil.rmtree(copy)
        self.whole = read_table(self.root / "whole")
        shutil.rmtree(self.root / "whole")
        return seconds

    def start(self, images: Path, table: Path, cache: Path, how: str = "all") -> subprocess.Popen[str]:
        words = [str(images), str(table), str(cache), how]
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.prediction_faults", "--worker", *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def end(self, running: subprocess.Popen[str]) -> int:
        """Wait for a run to end; return 1 if it failed."""
        errors = running.communicate()[1]
        if running.returncode > 0:
            print(errors, file=sys.stderr)
        return int(running.returncode > 0)

    def kill(self, running: subprocess.Popen[str], rng: random.Random, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(rng.uniform(0.4, 1.05) * seconds)
        running.kill()
        running.communicate()


def _first(place: _Place, tries: int, rng: random.Random, *, computes: bool) -> FaultCounts:
    """Kill runs that write a folder of parts, then continue."""
    counts, n_cut = FaultCounts(tries), 0
    name = "empty" if computes else "cache"
    for _ in range(tries):
        cache, table = shutil.copytree(place.root / name, place.root / "killed"), place.root / "t"
        place.kill(place.start(place.images, table, cache), rng, place.seconds[name])
        before = {path: path.stat().st_ino for path in table.glob("part-*.parquet")}
        is_complete = (table / "_SUCCESS").exists()
        n_cut += len(before) > 0 and not is_complete
        counts.wrong += is_complete and read_table(table) != place.whole
        if not is_complete:
            counts.wrong += place.end(place.start(place.images, table, cache))
        counts.doubled += sum(path.stat().st_ino != inode for path, inode in before.items())
        counts.wrong += not (table / "_SUCCESS").exists()
        _compare(read_table(table), place.whole, counts)
        shutil.rmtree(table)
        shutil.rmtree(cache)
    counts.remark = f"{n_cut} cut"
    return counts


def _extended(place: _Place, name: str, tries: int, rng: random.Random) -> FaultCounts:
    """Kill runs that extend a table, then run again."""
    counts, n_cut, n_done = FaultCounts(tries), 0, 0
    cache = place.root / "cache"
    images, old, new, seconds = _prepare(place, name)
    for _ in range(tries):
        table = _copied(place, name)
        running = place.start(images, table, cache, "new")
        place.kill(running, rng, seconds)
        rows = read_table(table)
        is_consistent = table.suffix != "" or (table / "_SUCCESS").exists()
        counts.wrong += is_consistent and rows not in (old, new)
        n_done += rows == new
        n_cut += rows == old and _has_begun(table)
        counts.wrong += place.end(place.start(images, table, cache, "new"))
        _compare(read_table(table), new, counts)
    counts.remark = f"{n_cut} cut, {n_done} of the others had finished"
    return counts


def _at_once(place: _Place, name: str, tries: int) -> FaultCounts:
    counts = FaultCounts(tries, remark="the second run waited, and found nothing new")
    images, _, new, _ = _prepare(place, name)
    for _ in range(tries):
        table = _copied(place, name)
        running = [place.start(images, table, place.root / "cache", "new") for _ in range(2)]
        counts.wrong += sum(place.end(one) for one in running)
        _compare(read_table(table), new, counts)
    return counts


def _prepare(place: _Place, name: str) -> tuple[Path, _Rows, _Rows, float]:
    """Write a table of 200 images to ``old``, then add and change images; return the rows before and after."""
    from PIL import Image

    for folder in ("grown", "old", "used"):
        shutil.rmtree(place.root / folder, ignore_errors=True)
    images, old = place.root / "grown", place.root / "old"
    paths = sorted(path for path in place.images.rglob("*") if path.is_file())
    first = [paths[i] for i in range(0, len(paths), 3)] + [paths[i] for i in range(1, len(paths), 3)]
    _copy(first[:_N_OLD], place.images, images)
    old.mkdir()
    place.end(place.start(images, old / name, place.root / "cache", "new"))
    rows = read_table(old / name)
    _copy([path for path in paths if path not in first[:_N_OLD]], place.images, images)
    for number, path in enumerate(first[:_N_CHANGED]):
        Image.new("RGB", (40, 40), (number, 90, 200)).save(images / path.relative_to(place.images), "PNG")
    table = _copied(place, name)
    place.end(place.start(images, table, place.root / "cache", "new"))  # computes the features
    table = _copied(place, name)
    started = time.monotonic()
    place.end(place.start(images, table, place.root / "cache", "new"))
    return images, rows, read_table(table), time.monotonic() - started


def _copy(paths: list[Path], root: Path, target: Path) -> None:
    for path in paths:
        copy = target / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def _copied(place: _Place, name: str) -> Path:
    shutil.rmtree(place.root / "used", ignore_errors=True)
    return Path(shutil.copytree(place.root / "old", place.root / "used")) / name


def _has_begun(table: Path) -> bool:
    """Return whether a killed run has left temporary files."""
    folder = table if table.is_dir() else table.parent
    return any(folder.glob(".*.tmp"))


def _compare(rows: _Rows, expected: _Rows, counts: FaultCounts) -> None:
    n_by_path = Counter(row[0] for row in rows)
    counts.doubled += sum(n - 1 for n in n_by_path.values())
    counts.lost += sum(row[0] not in n_by_path for row in expected)
    right = set(expected)
    counts.wrong += sum(row not in right for row in rows)


def read_table(table: Path) -> _Rows:
    """Return the rows of a table, sorted."""
    if table.suffix == ".csv":
        with table.open(encoding="utf-8", newline="") as stream:
            return sorted(map(tuple, list(csv.reader(stream))[1:]))
    import pyarrow.parquet

    parts = sorted(table.glob("part-*.parquet")) if table.suffix == "" else [table]
    return sorted(tuple(row.values()) for part in parts for row in pyarrow.parquet.ParquetFile(part).read().to_pylist())


def _predict(images: str, table: str, cache: str, how: str) -> None:
    """Predict in this process, in blocks of 8 images."""
    import featx
    from featx.extraction import featurizing
    from featx.runtime import Runtime

    featurizing.IMAGES_A_BLOCK = 8
    model = Path(cache).parent / "m.featx"
    featx.predict(model, images, table, only_new=how == "new", runtime=Runtime(Path(cache), workers=2))


if __name__ == "__main__":
    main()
