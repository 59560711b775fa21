"""Measure extraction on a Dask cluster: ``python -m benchmarks.cluster DIR [--limit 8000] [--rows 1000000]``.

``DIR`` is a folder of class folders with images. First, the overhead: the default backbone in one process, and on two
workers of one core on the same machine, in turn, in new caches; ``new workers`` includes the imports and the
start of the engine in the workers, ``same workers`` does not. Then, rows through one writer: two workers return rows
of 1,280 features from a fake engine, without images; the client is killed at half and continues. Print Markdown tables,
then JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cluster_runs import DaskCluster, dask_cluster
from benchmarks.processes import median, peak_megabytes, print_head, print_json, print_row, run_worker
from featx.cluster import Call, Done, connect, distribute
from featx.pipeline.chunks import prefixes_of
from featx.runtime import Runtime
from featx.spec import FeatureSpec
from featx.store import FeatureStore, Rows, as_bytes, keys_of
from featx.table import SIGNATURE_SHAPE

_N_FEATURES = 1280
_SPEC = FeatureSpec("vgg16", "ab" * 32, "none", 32, "1-000000000000", "tensorflow", "float32")
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=8000, help="maximum number of images; 0 leaves this part out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000, help="number of rows; 0 leaves this part out")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cluster", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_WORKERS[arguments.worker](arguments)))
        return
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        if arguments.limit:
            results += _overhead(arguments, Path(folder))
        if arguments.rows:
            results += _rows(arguments, Path(folder))
    print_json(results)


def _overhead(arguments: argparse.Namespace, root: Path) -> list[dict[str, Any]]:
    images = _some_images(arguments.folder, root / "images", arguments.limit)
    cache = root / "cache"
    _extract(images, cache, "")  # makes the graph
    sides: dict[str, list[float]] = {"one process": [], "new workers": [], "same workers": []}
    for number in range(arguments.rounds):
        sides["one process"].append(_extract(images, cache, ""))
        with dask_cluster(root / f"cluster{number}", "a", "b") as cluster:
            sides["new workers"].append(_extract(images, cache, cluster.address))
            sides["same workers"].append(_extract(images, cache, cluster.address))
    print_head("side", "images", "seconds", "overhead, %")
    results = []
    for side, seconds in sides.items():
        ratios = [one / alone - 1 for one, alone in zip(seconds, sides["one process"], strict=True)]
        row = {"side": side, "images": arguments.limit, "seconds": median(seconds), "overhead": 100 * median(ratios)}
        print_row(*row.values())
        results.append(row | {"all": seconds})
    return results


def _extract(images: Path, cache: Path, cluster: str) -> float:
    """Return the seconds of an extraction into an empty store, in a new process that has imported its libraries."""
    for name in ("features", "datasets"):
        shutil.rmtree(cache / name, ignore_errors=True)
    words = [images, "--worker", "extract", "--cache", cache, *(["--cluster", cluster] if cluster else [])]
    return float(run_worker("benchmarks.cluster", *words)["seconds"])


def _measure_extract(arguments: argparse.Namespace) -> dict[str, float]:
    import openvino  # noqa: F401

    import featx

    runtime = Runtime(arguments.cache, cluster=arguments.cluster)
    if arguments.cluster:
        connect(runtime)
    started = time.perf_counter()
    featx.extract(arguments.folder, runtime=runtime)
    return {"seconds": time.perf_counter() - started}


def _some_images(folder: Path, target: Path, limit: int) -> Path:
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    for path in classes:
        (target / path.name).mkdir(parents=True)
        found = sorted(one for one in path.iterdir() if one.suffix.lower() in _SUFFIXES)
        for one in itertools.islice(found, -(-limit // len(classes))):
            shutil.copy(one, target / path.name)
    return target


class FakeWork:
    """Rows with given numbers, as a backbone would give them; see :class:`featx.cluster.Work`."""

    largest = 2048

    def __init__(self, numbers: np.ndarray) -> None:
        self._numbers = numbers

    @property
    def n_items(self) -> int:
        return len(self._numbers)

    async def admit(self, name: str, call: Call) -> str:
        return ""

    def call(self, start: int, stop: int) -> tuple[Callable[..., Any], Sequence[Any]]:
        return fake_rows, (self._numbers[start:stop],)

    def check(self, start: int, stop: int, result: Any) -> str:
        return ""


def fake_rows(numbers: np.ndarray) -> Rows:
    """Return the rows with the given numbers; called in workers."""
    features = np.random.default_rng(0).normal(size=(1, _N_FEATURES)).astype(np.float32).repeat(len(numbers), axis=0)
    features[:, 0] = numbers
    signatures = np.zeros((len(numbers), *SIGNATURE_SHAPE), np.uint8)
    return Rows(_keys(numbers), signatures, features)


def _keys(numbers: np.ndarray) -> np.ndarray:
    hashes = b"".join(hashlib.sha256(b"%d" % number).digest() for number in numbers.tolist())
    return keys_of(np.frombuffer(hashes, np.uint8).reshape(-1, 32))


def _rows(arguments: argparse.Namespace, root: Path) -> list[dict[str, Any]]:
    n, results = arguments.rows, []
    print_head("run", "rows", "seconds", "rows per second", "client, MB", "largest worker, MB", "MB on disk")
    with dask_cluster(root / "rows", "a", "b") as cluster:
        for run, cache in (("whole", root / "whole"), ("killed at half", root / "half"), ("continued", root / "half")):
            results.append(_write_rows(run, n, cache, cluster))
    stores = [FeatureStore(root / name, _SPEC).snapshot().keys() for name in ("whole", "half")]
    assert len(stores[0]) == n
    assert (stores[0] == stores[1]).all()
    return results


def _write_rows(run: str, n: int, cache: Path, cluster: DaskCluster) -> dict[str, Any]:
    words = [sys.executable, "-m", "benchmarks.cluster", str(cache), "--worker", "rows", "--rows", str(n)]
    words += ["--cache", str(cache), "--cluster", cluster.address]
    started = time.perf_counter()
    running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout is not None
    found: dict[str, Any] = {}
    for line in running.stdout:
        found = json.loads(line)
        if run == "killed at half" and found["rows"] >= n // 2:
            running.kill()
            break
    running.wait()
    seconds = found.get("seconds", time.perf_counter() - started)
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    row = {"run": run, "rows": found["rows"], "seconds": seconds, "rate": found["rows"] / seconds}
    row |= {"client": found["peak"], "worker": cluster.peak_megabytes(), "disk": size / 1e6}
    print_row(*row.values())
    return row


def _measure_rows(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the rows that are missing in a store; print the progress, so that this process can be killed."""
    runtime = Runtime(arguments.cache, cluster=arguments.cluster)
    store = FeatureStore(arguments.cache, _SPEC)
    cluster = connect(runtime)
    started = time.perf_counter()
    n_done = 0
    with store.writer(lambda text: None) as writer:
        known = prefixes_of(as_bytes(store.snapshot().keys()).reshape(-1), 36)
        numbers = np.arange(arguments.rows)
        if len(known):
            numbers = numbers[~np.isin(prefixes_of(_keys(numbers).reshape(-1), 36), known)]
        writer.begin(np.ones((10, _N_FEATURES), np.float32), {"engine": "benchmark"})
        for event in distribute(FakeWork(numbers), cluster, print):
            if isinstance(event, Done):
                writer.append(event.result)
                n_done += event.stop - event.start
                print(json.dumps({"rows": n_done, "peak": peak_megabytes()}), flush=True)
        writer.finish()
    return {"seconds": time.perf_counter() - started, "rows": n_done, "peak": peak_megabytes()}


_WORKERS = {"extract": _measure_extract, "rows": _measure_rows}


if __name__ == "__main__":
    main()
