"""Measure the time of the stages of an extraction: ``python -m benchmarks.profile DIR [--backbone NAME]``.

Print milliseconds of CPU time per image, which depend little on other work on the machine: for each stage of reading
and decoding, on one thread, and for the backbone; then the backbone as a fraction of the backbone, JPEG and the
antialiased resize. Print a Markdown table, then JSON. `benchmarks.cores` measures whole extractions.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.processes import median, print_head, print_json, print_row
from featx.execution import start
from featx.extraction import extract
from featx.images import decode, prepare
from featx.images.jpeg import decode_jpeg
from featx.images.resize import ResizableImage
from featx.runtime import Runtime
from featx.spec import FeatureSpec

_SIGNATURE = (16, 16)
_JPEG = "JPEG to RGB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    how = {"weights": arguments.weights, "precision": arguments.precision}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        table = extract(arguments.folder, arguments.backbone, runtime=Runtime(cache), **how)
        rows = _stages([arguments.folder / sample.sample_id for sample in table.samples], table.spec.size)
        rows["the backbone"] = _network(table.spec, Runtime(cache), len(table), arguments.rounds)
    print_head("stage", "ms of one core per image")
    for name, value in rows.items():
        print_row(name, value)
    network = rows["the backbone"]
    print_row("backbone / (backbone, JPEG, square)", network / (network + rows.get(_JPEG, 0.0) + rows["square"]))
    print_json({"n": len(table), "precision": table.spec.precision, **rows})


def _stages(paths: list[Path], size: int) -> dict[str, float]:
    """Return the time of each step of reading and decoding, for some of the images."""
    some = paths[:: max(1, len(paths) // 200)]
    files = [path.read_bytes() for path in some]
    jpegs = [(data, *_size(data)) for data in files if data[:2] == b"\xff\xd8"]
    decoded = [decode(data, lambda w, h: size / (0.875 * min(w, h))).upright for data in files]
    copies = [ResizableImage(image) for image in decoded]
    rows = {
        "read": _timed(Path.read_bytes, some),
        "SHA-256": _timed(hashlib.sha256, files),
        "header": _timed(_size, files),
    }
    if jpegs:
        rows[_JPEG] = _timed(lambda one: decode_jpeg(*one, size / (0.875 * min(one[1:])), "RGB"), jpegs)
    rows["decode in total"] = _timed(lambda data: decode(data, lambda w, h: size / (0.875 * min(w, h))), files)
    rule = sys.modules["featx.images.prepare"]._RULES["crop"]
    rows["copy for resizing"] = _timed(ResizableImage, decoded)
    rows["square"] = _timed(lambda image: rule.apply(image, size), copies)
    rows["thumbnail"] = _timed(lambda image: Image.fromarray(image.average(*_SIGNATURE)).convert("L"), copies)
    rows["prepare in total"] = _timed(lambda data: prepare(data, size), files)
    return rows


def _size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def _timed(work: Callable, items: Iterable, rounds: int = 5) -> float:
    items, found = list(items), []
    for _ in range(rounds):
        started = time.thread_time()
        for item in items:
            work(item)
        found.append(1000 * (time.thread_time() - started) / len(items))
    return median(found)


def _network(spec: FeatureSpec, runtime: Runtime, n: int, rounds: int) -> float:
    engine = start(spec, lambda: None, runtime)
    pixels = np.random.default_rng(0).integers(0, 256, (64, spec.size, spec.size, 3), np.uint8)
    found, n_batches = [], max(1, n // 128)
    for _ in range(rounds):
        started = time.process_time()
        for _ in engine.run([pixels] * n_batches):
            pass
        found.append(1000 * (time.process_time() - started) / (64 * n_batches))
    return median(found)


if __name__ == "__main__":
    main()
