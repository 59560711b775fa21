"""Estimate the cost of a million and of a billion images from measured parts: ``python -m benchmarks.scale``.

Measure each part of an extraction on this machine with small samples: list files, assign them to shards, read and hash
them, decode and resize them (photographs of 500 x 375 pixels with about 100 kB, which are made), run the backbone with
random weights, write rows of 1,280 features, merge the caches of four shards, look up rows, fit a head in blocks, and
predict. Print a Markdown table of the times for a million and for a billion images, which are extrapolated linearly,
a table of bytes, a table of costs at the prices that are given as options, and the number of cores at which one writer
is saturated. Then write and merge ``--simulate`` rows with a fake engine, compare the seconds with the linear
extrapolation from a tenth of these rows, and print the peak memory of the processes and the bytes; last, JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.networks import engine_rate, random_pixels, random_spec
from benchmarks.processes import machine, peak_megabytes, print_head, print_json, print_row, run_worker
from benchmarks.stores import write_rows

_N_FEATURES = 1280
_SHARDS = 4
_LINKS = 50_000
_SIZES = (10**6, 10**9)
_PARTS = {
    "list": "one process",
    "assign to shards": "one process",
    "read and hash": "all cores",
    "decode and resize": "all cores",
    "backbone": "all cores",
    "write rows": "one process",
    "merge shards": "one process",
    "look up": "one process",
    "fit": "all cores",
    "predict from features": "one process",
}
"""The parts, and what executes them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, help="photographs that are read and decoded")
    parser.add_argument("--files", type=int, default=100_000, help="files that are listed")
    parser.add_argument("--rows", type=int, default=100_000, help="rows that are written and merged")
    parser.add_argument("--fit", type=int, default=50_000, help="rows on which a head is fitted")
    parser.add_argument("--simulate", type=int, default=1_000_000, help="rows that are simulated")
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--core-hour", type=float, default=0.045, help="price of a virtual core for an hour")
    parser.add_argument("--gigabyte-month", type=float, default=0.023, help="price of stored bytes")
    parser.add_argument("--requests", type=float, default=0.4, help="price of a million reads of objects")
    parser.add_argument("--listings", type=float, default=5.0, help="price of a million listings of 1,000 objects")
    parser.add_argument("--scratch", type=Path, default=None, help="folder for temporary files")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, *given = arguments.worker
        print(json.dumps(_WORKERS[name](*given)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        parts, sizes = _parts(arguments, Path(folder))
        _print_parts(parts)
        _print_costs(parts, sizes, arguments)
        simulated = _simulate(arguments.simulate, Path(folder))
    print_json([{"seconds_per_image": parts, "bytes": sizes, "simulated": simulated}])


def _parts(arguments: argparse.Namespace, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return the core seconds for each image (or seconds, for parts of one process), and the bytes for each image."""
    n_cores = machine()["processors"]
    photographs = run_worker("benchmarks.scale", "--worker", "images", folder / "images", arguments.images)
    files = run_worker("benchmarks.scale", "--worker", "files", folder / "files", arguments.files)
    engine = run_worker("benchmarks.scale", "--worker", "engine", arguments.backbone)
    rows = run_worker("benchmarks.scale", "--worker", "rows", folder / "rows", arguments.rows)
    blocks = [f"--samples={arguments.fit}", "--ways=blocks", f"--scratch={folder}"]
    (fitted,) = (one for one in run_worker("benchmarks.blocks", *blocks)["results"] if "way" in one)
    parts = {
        "list": files["list"],
        "assign to shards": files["assign"],
        "read and hash": photographs["read"],
        "decode and resize": photographs["decode"],
        "backbone": n_cores / engine["rate"],
        "write rows": rows["write"],
        "merge shards": rows["merge"],
        "look up": rows["look up"],
        "fit": n_cores * fitted["seconds"] / arguments.fit,
        "predict from features": rows["predict"],
    }
    sizes = {"images": photographs["bytes"], "rows": rows["bytes"], "snapshot": files["bytes"]}
    return parts, sizes


def _images(folder: str, n: str) -> dict[str, float]:
    """Make photographs, read and hash them, and decode them; return the seconds and the bytes for each."""
    from featx.images import prepare

    Path(folder).mkdir()
    rng = np.random.default_rng(0)
    paths = []
    for number in range(int(n)):
        small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((500, 375))
        pixels = np.asarray(small) + rng.normal(0, 10, (375, 500, 1))
        path = Path(folder) / f"{number}.jpg"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=93)
        paths.append(path)
    contents: list[bytes] = []
    reading = _seconds(lambda: contents.extend(path.read_bytes() for path in paths))
    hashing = _seconds(lambda: [hashlib.sha256(content).digest() for content in contents])
    prepare(contents[0], 224)
    decoding = _seconds(lambda: [prepare(content, 224) for content in contents])
    n_bytes = sum(map(len, contents))
    return {"read": (reading + hashing) / len(paths), "decode": decoding / len(paths), "bytes": n_bytes / len(paths)}


def _files(folder: str, n: str) -> dict[str, float]:
    """List hard links, assign them to shards, and write a snapshot; return seconds and bytes for each file."""
    from featx.dataset import scan
    from featx.lookup.shards import shard_numbers
    from featx.store import write_snapshot
    from featx.table import FileStates

    root, count = Path(folder), int(n)
    for number in range(count):
        if number % 1000 == 0:
            place = root / "images" / f"class {number // 1000 % 10}" / f"{number // 1000:04}"
            place.mkdir(parents=True)
        if number % _LINKS == 0:
            content = root / f"{number}.jpg"
            Image.new("RGB", (32, 32)).save(content)
        os.link(content, place / f"image-{number:07}.jpg")
    found: list[Any] = []
    listing = _seconds(lambda: found.append(scan(root / "images")))
    samples = found[0].images.samples
    assigning = _seconds(lambda: shard_numbers(samples.sample_ids, 16))
    states = FileStates.blank(count)
    states.content_hashes[:] = np.frombuffer(np.random.default_rng(0).bytes(32 * count), np.uint8).reshape(-1, 32)
    write_snapshot(root / "cache", "0" * 16, root / "images", "", samples, states)
    n_bytes = (root / "cache" / "datasets" / f"{'0' * 16}.h5").stat().st_size
    return {"list": listing / count, "assign": assigning / count, "bytes": n_bytes / count}


def _engine(backbone: str) -> dict[str, float]:
    """Return the images per second of the engine, with random weights and pixels."""
    from dataclasses import replace

    from featx.execution import start
    from featx.execution.choice import choose_precision
    from featx.runtime import Runtime

    spec = random_spec(backbone)
    with tempfile.TemporaryDirectory() as cache:
        runtime = Runtime(Path(cache))
        precision = choose_precision(spec, "float32", lambda: None, runtime)
        engine = start(replace(spec, precision=precision), lambda: None, runtime)
    return {"rate": engine_rate(engine, random_pixels(32))}


def _rows(folder: str, n: str) -> dict[str, float]:
    """Write, merge, look up and predict rows; return seconds and bytes for each row."""
    from sklearn.linear_model import LogisticRegression

    from featx.store import as_bytes

    root, count = Path(folder), int(n)
    root.mkdir()
    write = run_worker("benchmarks.scale", "--worker", "write", root / "whole", count, 0)
    n_bytes = sum(path.stat().st_size for path in (root / "whole").rglob("*.h5")) / count
    shutil.rmtree(root / "whole")
    parts = [root / f"part-{number}" for number in range(_SHARDS)]
    for number, part in enumerate(parts):
        run_worker("benchmarks.scale", "--worker", "write", part, count // _SHARDS, number + 1)
    merge = run_worker("benchmarks.scale", "--worker", "merge", root / "merged", *parts)
    stored = write_rows(root / "merged", 0, 0).snapshot()
    keys = np.random.default_rng(1).permutation(as_bytes(stored.keys()))
    looking = _seconds(lambda: stored.contains(keys))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10_000, _N_FEATURES)).astype(np.float32)
    head = LogisticRegression(max_iter=2).fit(X[:1000], rng.integers(0, 10, 1000))
    predicting = _seconds(lambda: head.predict_proba(X))
    return {
        "write": write["seconds"] / count,
        "merge": merge["seconds"] / count,
        "look up": looking / len(keys),
        "predict": predicting / len(X),
        "bytes": n_bytes,
    }


def _write(cache: str, n: str, seed: str) -> dict[str, float]:
    seconds = _seconds(lambda: write_rows(Path(cache), int(n), int(seed)))
    return {"seconds": seconds, "peak": peak_megabytes()}


def _merge(target: str, *folders: str) -> dict[str, float]:
    import featx

    merged: list[Any] = []
    runtime = featx.Runtime(cache=target)
    seconds = _seconds(lambda: merged.append(featx.merge_caches(folders, runtime=runtime)))
    return {"seconds": seconds, "peak": peak_megabytes(), "rows": merged[0].to_dict()["n_added"]}


def _seconds(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def _print_parts(parts: dict[str, float]) -> None:
    print_head("part", "µs for an image", "runs on", "hours for a million", "hours for a billion")
    for name, seconds in parts.items():
        print_row(name, 1e6 * seconds, _PARTS[name], *(f"{n * seconds / 3600:,.3g}" for n in _SIZES))


def _print_costs(parts: dict[str, float], sizes: dict[str, float], prices: argparse.Namespace) -> None:
    """Print bytes and costs, and where one writer is saturated."""
    print()
    print_head("bytes", "kB for an image", "GB for a million", "GB for a billion")
    for name, n_bytes in sizes.items():
        print_row(name, n_bytes / 1e3, *(f"{n * n_bytes / 1e9:,.3g}" for n in _SIZES))
    each = sum(seconds for name, seconds in parts.items() if _PARTS[name] == "all cores" and name != "fit")
    single = sum(seconds for name, seconds in parts.items() if _PARTS[name] == "one process")
    print()
    print_head("cost", "a million", "a billion")
    costs = {
        "cores that read, decode and run the backbone": [n * each / 3600 * prices.core_hour for n in _SIZES],
        "one core that lists, writes, merges, looks up, predicts": [
            n * single / 3600 * prices.core_hour for n in _SIZES
        ],
        "reads of objects": [n / 1e6 * prices.requests for n in _SIZES],
        "listings of objects": [n / 1e9 * prices.listings for n in _SIZES],
        "a month of storage of rows and snapshot": [
            n * (sizes["rows"] + sizes["snapshot"]) / 1e9 * prices.gigabyte_month for n in _SIZES
        ],
        "a month of storage of the images": [n * sizes["images"] / 1e9 * prices.gigabyte_month for n in _SIZES],
    }
    for name, values in costs.items():
        print_row(name, *(f"{value:,.2f}" for value in values))
    print(
        f"\nOne core processes {1 / each:,.0f} images a second; one writer stores {1 / parts['write rows']:,.0f} rows"
    )
    print(f"a second, so that it is saturated by {each / parts['write rows']:,.0f} cores.\n")


def _simulate(n: int, folder: Path) -> dict[str, Any]:
    """Write and merge rows with a fake engine, and compare the seconds with those predicted from a tenth of them."""
    found: dict[str, Any] = {}
    print_head("simulation", "rows", "predicted seconds", "seconds", "rows a second", "peak memory, MB", "GB")
    for step in ("write rows", "merge shards"):
        seconds: list[float] = []
        for rows in (n // 10, n):
            target = folder / "simulated"
            if step == "write rows":
                done = run_worker("benchmarks.scale", "--worker", "write", target, rows, 0)
            else:
                parts = [folder / f"simulated-{number}" for number in range(_SHARDS)]
                for number, part in enumerate(parts):
                    run_worker("benchmarks.scale", "--worker", "write", part, rows // _SHARDS, number + 1)
                done = run_worker("benchmarks.scale", "--worker", "merge", target, *parts)
                if done["rows"] != rows // _SHARDS * _SHARDS:
                    raise SystemExit(f"{done['rows']} rows were merged; expected {rows}")
                for part in parts:
                    shutil.rmtree(part)
            seconds.append(done["seconds"])
            n_bytes = sum(path.stat().st_size for path in target.rglob("*.h5"))
            shutil.rmtree(target)
        print_row(step, n, 10 * seconds[0], seconds[1], n / seconds[1], done["peak"], n_bytes / 1e9)
        found[step] = {"rows": n, "predicted": 10 * seconds[0], "seconds": seconds[1], **done, "bytes": n_bytes}
    return found


_WORKERS: dict[str, Callable[..., dict[str, float]]] = {
    "images": _images,
    "files": _files,
    "engine": _engine,
    "rows": _rows,
    "write": _write,
    "merge": _merge,
}


if __name__ == "__main__":
    main()
