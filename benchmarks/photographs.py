"""Large photographs: ``python -m benchmarks.photographs DIR [--megapixels 12]``.

Pictures of a folder, enlarged to a camera's size and saved as JPEG, decoded and resized as featx does and with a full
decode; the features of both compared. Prints the milliseconds a picture takes (one thread), the ratio, and the mean
and smallest cosine of efficientnet-lite0's features, then JSON.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from benchmarks.processes import median, print_head, print_json, print_row
from featx.extraction import extract
from featx.extraction.starting import start
from featx.images import prepare
from featx.runtime import Runtime

_SIZE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--n", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    files = sorted(arguments.folder.rglob("*.jp*g"))
    photographs = [_enlarged(path, arguments.megapixels) for path in files[:: max(1, len(files) // arguments.n)]]
    rounds = []
    for _ in range(arguments.rounds):
        as_featx, pixels = _timed(photographs)
        decode = sys.modules["featx.images.decode"]
        with mock.patch.object(decode, "decode_jpeg", return_value=(None, "")):
            in_full, full_pixels = _timed(photographs)
        rounds.append((as_featx, in_full))
    with tempfile.TemporaryDirectory() as cache:
        runtime = Runtime(Path(cache))
        spec = extract(files[0].parent.parent, precision="float32", runtime=runtime).spec
        engine = start(spec, lambda: None, runtime)
        a, b = (next(iter(engine.run([each]))).astype(np.float64) for each in (pixels, full_pixels))
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    row = {
        "n": len(photographs),
        "featx": median(one for one, _ in rounds),
        "full": median(one for _, one in rounds),
        "ratio": median(full / ours for ours, full in rounds),
        "mean": float(cosines.mean()),
        "smallest": float(cosines.min()),
    }
    print_head("photographs", "featx, ms", "full decode, ms", "ratio", "mean cosine", "smallest cosine")
    print_row(row["n"], row["featx"], row["full"], row["ratio"], f"{row['mean']:.4f}", f"{row['smallest']:.4f}")
    print_json(row)


def _timed(photographs: list[bytes]) -> tuple[float, np.ndarray]:
    started = time.perf_counter()
    pixels = np.stack([prepare(data, _SIZE).pixels for data in photographs])
    return 1000 * (time.perf_counter() - started) / len(photographs), pixels


def _enlarged(path: Path, megapixels: float) -> bytes:
    """Return a JPEG of a camera's size: the picture enlarged, with a camera's grain."""
    with Image.open(path) as image:
        scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
        large = image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)))
    grain = np.random.default_rng(0).integers(-6, 7, (large.height, large.width, 1))
    stream = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    main()
