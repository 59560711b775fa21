"""Measure feature stores as they grow: ``python -m benchmarks.stores [--rows 100000,1000000] [--repeats 3]``.

For each number of rows of 1,280 features, print the seconds in which a run writes the rows, opens the store, looks up
all keys, reads 1,000 rows, and adds 10 rows, with the CPU time and the peak resident memory of each process. Opening
and adding are repeated in new processes; the median is printed. Then 10 rows are added in each of 40 runs, and the
largest number of segments is printed. The rows have random keys and features. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.processes import peak_megabytes, print_head, print_json, print_row, run_worker
from featx.spec import FeatureSpec
from featx.store import FeatureStore, Rows, as_bytes, keys_of, list_segments

_N_FEATURES = 1280
_BATCH = 256
_SMALL_RUNS = 40
_SPEC = FeatureSpec("vgg16", "ab" * 32, "none", 32, "1-000000000000", "tensorflow", "float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="100000,1000000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="folder for the temporary caches")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_WORKERS[arguments.worker](arguments.folder, arguments.n)))
        return
    print_head("rows", "step", "seconds", "CPU seconds", "peak memory, MB", "segments")
    results = []
    for n in map(int, arguments.rows.split(",")):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            for step, repeats in (("write", 1), ("open", arguments.repeats), ("look up", 1), ("read 1,000", 1)):
                results.append(_measure(step, n, folder, repeats))
            results.append(_measure("add 10", n, folder, arguments.repeats))
            results.append(_measure("add 10, 40 times", n, folder, 1))
    print_json(results)


def _measure(step: str, n: int, folder: str, repeats: int) -> dict:
    found = [
        run_worker("benchmarks.stores", "--worker", step, "--n", str(n), "--folder", folder) for _ in range(repeats)
    ]
    result = {"rows": n, "step": step, "seconds": statistics.median(one["seconds"] for one in found)}
    result["cpu"] = statistics.median(one["cpu"] for one in found)
    result |= {name: max(one[name] for one in found) for name in ("peak", "segments")}
    print_row(n, step, result["seconds"], result["cpu"], result["peak"], result["segments"])
    return result


def _batches(n: int, seed: int) -> Iterator[Rows]:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(_BATCH, _N_FEATURES)).astype(np.float32)
    for start in range(0, n, _BATCH):
        size = min(_BATCH, n - start)
        hashes = np.frombuffer(rng.bytes(32 * size), np.uint8).reshape(size, 32)
        signatures = np.frombuffer(rng.bytes(4096 * size), np.uint8).reshape(size, 64, 64)
        yield Rows(keys_of(hashes), signatures, features[:size])


def _append(store: FeatureStore, batches: Iterator[Rows]) -> None:
    with store.writer(lambda text: None) as writer:
        writer.begin(np.ones((10, _N_FEATURES), np.float32), {"engine": "benchmark"})
        for rows in batches:
            writer.append(rows)
        writer.finish()


def write_rows(cache: Path, n: int, seed: int) -> FeatureStore:
    """Append ``n`` rows with random keys, which a fake engine gives, to a store; return the store."""
    store = FeatureStore(cache, _SPEC)
    if n:
        _append(store, _batches(n, seed))
    return store


def _write(folder: Path, n: int) -> dict:
    started = time.perf_counter()
    return _found(write_rows(folder, n, 0), started)


def _open(folder: Path, n: int) -> dict:
    store = FeatureStore(folder, _SPEC)
    started = time.perf_counter()
    store.snapshot()
    return _found(store, started)


def _look_up(folder: Path, n: int) -> dict:
    store = FeatureStore(folder, _SPEC)
    stored = store.snapshot()
    keys = np.random.default_rng(1).permutation(as_bytes(stored.keys()))
    started = time.perf_counter()
    assert stored.contains(keys).all()
    return _found(store, started)


def _read(folder: Path, n: int) -> dict:
    store = FeatureStore(folder, _SPEC)
    stored = store.snapshot()
    keys = np.random.default_rng(1).choice(as_bytes(stored.keys()), 1000)
    started = time.perf_counter()
    stored.rows(keys)
    return _found(store, started)


def _add(folder: Path, n: int) -> dict:
    store = FeatureStore(folder, _SPEC)
    started = time.perf_counter()
    _append(store, _batches(10, time.time_ns()))
    return _found(store, started)


def _add_often(folder: Path, n: int) -> dict:
    store = FeatureStore(folder, _SPEC)
    started = time.perf_counter()
    most = 0
    for _ in range(_SMALL_RUNS):
        _append(store, _batches(10, time.time_ns()))
        most = max(most, len(list_segments(store.path)[0]))
    return _found(store, started) | {"segments": most}


def _found(store: FeatureStore, started: float) -> dict:
    seconds, cpu = time.perf_counter() - started, time.process_time()
    return {"seconds": seconds, "cpu": cpu, "peak": peak_megabytes(), "segments": len(list_segments(store.path)[0])}


_WORKERS = {
    "write": _write,
    "open": _open,
    "look up": _look_up,
    "read 1,000": _read,
    "add 10": _add,
    "add 10, 40 times": _add_often,
}


if __name__ == "__main__":
    main()
