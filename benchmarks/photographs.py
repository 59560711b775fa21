"""Measure the decoding of large photographs: ``python -m benchmarks.photographs DIR [--megapixels 12]``.

Images of a folder are enlarged to the size of a camera image and saved as JPEG. They are decoded and resized as featx
does, with a full decode by the same library, and with a full decode by Pillow; the features of the first two are
compared. Print the milliseconds of CPU time per image (one thread), the ratios, and the mean and the minimum cosine of
the features of efficientnet-lite0, then JSON. This takes a minute.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from benchmarks.processes import median, print_head, print_json, print_row
from featx.backbones import find_backbone_source
from featx.execution import start
from featx.images import decode_version, prepare
from featx.images.jpeg import decode_jpeg
from featx.runtime import Runtime
from featx.spec import FeatureSpec

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
    rounds = [
        {name: _timed(photographs, decoder) for name, decoder in _DECODERS.items()} for _ in range(arguments.rounds)
    ]
    a, b = (_features(rounds[0][name][1]) for name in ("featx", "full"))
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    row = {
        "n": len(photographs),
        **{name: median(one[name][0] for one in rounds) for name in _DECODERS},
        "ratio": median(one["full"][0] / one["featx"][0] for one in rounds),
        "ratio to Pillow": median(one["Pillow"][0] / one["featx"][0] for one in rounds),
        "mean": float(cosines.mean()),
        "smallest": float(cosines.min()),
    }
    print_head(
        "photographs", "featx, ms", "full decode, ms", "ratio", "Pillow, ms", "ratio", "mean cosine", "smallest cosine"
    )
    print_row(
        row["n"], row["featx"], row["full"], row["ratio"], row["Pillow"], row["ratio to Pillow"],
        f"{row['mean']:.4f}", f"{row['smallest']:.4f}",
    )  # fmt: skip
    print_json(row)


def _in_full(data: bytes, width: int, height: int, scale: float, mode: str) -> object:
    return decode_jpeg(data, width, height, 1.0, mode)


_DECODERS = {"featx": decode_jpeg, "full": _in_full, "Pillow": lambda *all: (None, "")}


def _timed(photographs: list[bytes], decoder: Callable[..., object]) -> tuple[float, np.ndarray]:
    with mock.patch.object(sys.modules["featx.images.decode"], "decode_jpeg", decoder):
        started = time.thread_time()
        pixels = np.stack([prepare(data, _SIZE).pixels for data in photographs])
        return 1000 * (time.thread_time() - started) / len(photographs), pixels


def _features(pixels: np.ndarray) -> np.ndarray:
    source = find_backbone_source("efficientnet-lite0")
    spec = FeatureSpec(
        source.backbone, source.weights, source.preprocess, _SIZE, decode_version(), "openvino", "float32"
    )
    with tempfile.TemporaryDirectory() as cache:
        engine = start(spec, lambda: source.file, Runtime(Path(cache)))
    return next(iter(engine.run([pixels]))).astype(np.float64)


def _enlarged(path: Path, megapixels: float) -> bytes:
    """Return the image as a JPEG file with the size of a camera image, with added noise."""
    with Image.open(path) as image:
        scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
        large = image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)))
    grain = np.random.default_rng(0).integers(-6, 7, (large.height, large.width, 1))
    stream = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(large) + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


if __name__ == "__main__":
    main()
