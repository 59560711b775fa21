"""Measure heads on features that are read in blocks: ``python -m benchmarks.blocks [--heads logreg] [--samples N]``.

Write a feature store of synthetic features (--features of each sample, --classes classes, a tenth of the samples in
the test part) to a temporary folder in --scratch. For each head, tune and fit it on the training part, once in memory
and once in blocks, in a process of its own. Print the hyper-parameters, the accuracy on the test part, the seconds,
how many times each row was read, and the peak memory of the process: without pages of mapped files (sampled every 0.1
s, from /proc), and the total peak resident memory. With ``--whole``, measure `featx fit` instead, and print the
cross-validated accuracy. With ``--ways blocks``, do not measure in memory, for features that do not fit into memory.
Print Markdown tables, then JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import peak_megabytes, print_head, print_json, print_row, run_worker

_SEED = 0
_RANK = 128
_BLOCK = 4096
_TEST = 10
"""Every tenth sample is in the test part."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", default="logreg")
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--ways", default="memory,blocks")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    shape = (arguments.samples, arguments.features, arguments.classes)
    if arguments.write:
        print(json.dumps(_write(arguments.cache, *shape)))
        return
    if arguments.cache:
        print(json.dumps(_measured(arguments, shape)))
        return
    sizes = [f"--{name}={value}" for name, value in zip(("samples", "features", "classes"), shape, strict=True)]
    sizes += [f"--workers={arguments.workers}", *(["--whole"] if arguments.whole else [])]
    results = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        written = run_worker("benchmarks.blocks", "--write", "--cache", folder, *sizes)
        title = f"{shape[0]:,} x {shape[1]:,}, {shape[2]} classes"
        print_head(title, "chosen", "accuracy", "seconds", "CPU, s", "passes", "peak, MB", "peak with mapped files, MB")
        for head in arguments.heads.split(","):
            for way in arguments.ways.split(","):
                command = ["--cache", folder, "--heads", head, "--ways", way, *sizes]
                found = run_worker("benchmarks.blocks", *command)
                figures = [found[name] for name in ("seconds", "processor", "passes", "own", "peak")]
                chosen = ", ".join(f"{name} = {value:.3g}" for name, value in found["params"].items())
                print_row(f"{head}, {way}", chosen, f"{found['accuracy']:.4f}", *figures)
                results.append({"head": head, "way": way, **found})
    print_json([{"shape": shape, **written}, *results])


def _features(n: int, n_features: int, n_classes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield positions and non-negative features of low effective rank, as of a backbone after a ReLU, in blocks."""
    rng = np.random.default_rng(_SEED)
    decrease = (np.arange(1, _RANK + 1) ** -0.5).astype(np.float32)
    centres = 0.3 * decrease * rng.standard_normal((n_classes, _RANK), np.float32)
    weights = rng.standard_normal((_RANK, n_features), np.float32)
    y = _labels(n, n_classes)
    for start in range(0, n, _BLOCK):
        at = np.arange(start, min(start + _BLOCK, n))
        own = np.random.default_rng((_SEED, start))
        latent = decrease * own.standard_normal((len(at), _RANK), np.float32) + centres[y[at]]
        noise = 0.3 * own.standard_normal((len(at), n_features), np.float32)
        yield at, np.maximum(latent @ weights + noise - 0.5, 0)


def _labels(n: int, n_classes: int) -> np.ndarray:
    return np.random.default_rng((_SEED, n)).integers(0, n_classes, n)


def _hashes(n: int) -> np.ndarray:
    return np.frombuffer(b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n)), np.uint8).reshape(-1, 32)


def _store(cache: Path) -> Any:
    from featx.spec import FeatureSpec
    from featx.store import FeatureStore

    return FeatureStore(cache, FeatureSpec("synthetic", "ab" * 32, "none", 32, "1", "openvino", "float32"))


def _write(cache: Path, n: int, n_features: int, n_classes: int) -> dict[str, Any]:
    from featx.store import Rows, keys_of

    hashes, started = _hashes(n), time.perf_counter()
    with _store(cache).writer(print) as writer:
        writer.begin(np.ones((1, n_features), np.float32), {"engine": "synthetic"})
        for at, features in _features(n, n_features, n_classes):
            signatures = np.random.default_rng((_SEED, 1, int(at[0]))).integers(0, 256, (len(at), 64, 64), np.uint8)
            writer.append(Rows(keys_of(hashes[at]), signatures, features))
        writer.finish()
    stored = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    return {"write_seconds": time.perf_counter() - started, "gigabytes": stored / 1e9}


def _table(cache: Path, n_read: list[int], n: int, n_features: int, n_classes: int) -> Any:
    from featx.store import keys_of
    from featx.table import SIGNATURE_SHAPE, Extraction, FeatureTable, Sample

    store, hashes = _store(cache), _hashes(n)
    keys, names = keys_of(hashes), [f"class {number}" for number in range(n_classes)]
    samples = [
        Sample(f"{_word(i)}.jpg", names[label], split="train" if i % _TEST else "test")
        for i, label in enumerate(_labels(n, n_classes))
    ]

    def opened(view: int) -> Any:
        stored = store.snapshot()

        def read(at: np.ndarray) -> np.ndarray:
            n_read.append(len(at))
            return stored.rows(keys[at]).features

        return read

    def read_signatures(at: np.ndarray) -> np.ndarray:
        stored, signatures = store.snapshot(), np.empty((len(at), *SIGNATURE_SHAPE), np.uint8)
        for start in range(0, len(at), _BLOCK):
            signatures[start : start + _BLOCK] = stored.rows(keys[at[start : start + _BLOCK]]).signatures
        return signatures

    extraction = Extraction(
        store.spec.id, store.path, "synthetic", "openvino", "", "float32", n_features, n, 0, n, 0, (), (), None, {}, 0.0
    )
    probes = np.ones((1, n_features), np.float32)
    return FeatureTable("synthetic", store.spec, samples, hashes, opened, read_signatures, probes, extraction)


def _word(number: int) -> str:
    """Return a name without digits, because images with numbered names look like a recording."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def _measured(arguments: argparse.Namespace, shape: tuple[int, int, int]) -> dict[str, Any]:
    n_read: list[int] = []
    table = _table(arguments.cache, n_read, *shape)
    head, in_blocks = arguments.heads, arguments.ways == "blocks"
    with _OwnMemory() as own:
        clock, processor = time.perf_counter(), time.process_time()
        measure = _fitted if arguments.whole else _tuned
        found = measure(table, head, in_blocks, arguments.workers)
        found |= {"seconds": time.perf_counter() - clock, "processor": time.process_time() - processor}
    return found | {"passes": sum(n_read) / len(table), "own": own.most, "peak": peak_megabytes()}


def _tuned(table: Any, name: str, in_blocks: bool, n_workers: int) -> dict[str, Any]:
    from featx.evaluation.procedures import FitCounter, quiet_single_threads, split_table, tune_and_fit
    from featx.heads import for_blocks, for_large, make_head, scores_of

    parts = split_table(table, np.arange(len(table)), in_blocks=in_blocks, n_workers=n_workers)
    head, tally = make_head(name), FitCounter()
    n, n_classes = len(parts.train.y), len(parts.train.classes)
    chosen, _ = (in_blocks and for_blocks(head, n, n_classes)) or for_large(head, n, n_classes)
    with quiet_single_threads():
        tuned = tune_and_fit(chosen, parts.train, 0, tally, n_workers=1 if in_blocks else n_workers)
        scores = scores_of(tuned.estimator, parts.test.X, n_classes)
    iterations = getattr(tuned.estimator[-1], "n_iter_", 0)
    accuracy = float((scores.argmax(axis=1) == parts.test.y).mean())
    params = {name.rpartition("__")[2]: value for name, value in tuned.params.items()}
    return {"params": params, "accuracy": accuracy, "fits": tally.to_dict(), "n_iter": int(np.max(iterations))}


def _fitted(table: Any, name: str, in_blocks: bool, n_workers: int) -> dict[str, Any]:
    from featx.fitting import fit
    from featx.runtime import Runtime

    steps: list[tuple[str, float]] = []
    runtime = Runtime(
        workers=n_workers,
        memory=1 if in_blocks else 1 << 60,
        progress=lambda stage, done, total: None if total else steps.append((stage, time.perf_counter())),
    )
    found = fit(table, name, runtime=runtime).evaluation
    return {
        "params": dict(found.params),
        "accuracy": found.cv.accuracy.mean,
        "notes": list(found.notes),
        "steps": steps,
    }


class _OwnMemory:
    """Samples the resident memory of this process that is not mapped from files, in MB."""

    def __init__(self) -> None:
        self.most = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _OwnMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            self.most = max(self.most, next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1e3)


if __name__ == "__main__":
    main()
