"""Measure augmented views: ``python -m benchmarks.augmentation DIR [--rounds 5]``.

Up to 64 images of a folder, with 224 x 224 pixels, are augmented by ``make_views`` and by Keras's layers of the same
kinds and limits. Keras's layers run one after another in one graph, and each of them interpolates; both sides use one
thread. Print the milliseconds of CPU time per view, and the sharpness of the views (mean absolute Laplacian) as a
fraction of the sharpness of the images, measured in the middle, where no pixels are filled by reflection; then JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import median, print_head, print_json, print_row
from featx.augmentation import PRESETS, make_views, read_policy
from featx.images import prepare
from featx.libraries import start_keras

_SIZE = 224
_N = 64
_ALL = "brightness=0.1,contrast=0.1,flip=horizontal,rotation=15,shear=0.2,shift=0.1,zoom=0.15"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    start_keras()
    files = [path.read_bytes() for path in sorted(arguments.folder.rglob("*.jp*g"))]
    files = files[:: max(1, len(files) // _N)][:_N]
    files = files[: len(files) // 8 * 8]  # whole batches
    pixels = np.stack([prepare(data, _SIZE).pixels for data in files])
    digests = b"".join(hashlib.sha256(data).digest() for data in files)
    hashes = np.frombuffer(digests, np.uint8).reshape(-1, 32)
    print_head("policy", "featx ms", "layers ms", "featx sharpness", "layers sharpness")
    results = []
    for name in [*PRESETS, "all"]:
        policy = read_policy(PRESETS.get(name, _ALL))
        layers = _layers(policy)
        ways: dict[str, Callable[[int], np.ndarray]] = {
            "featx": lambda view, policy=policy: make_views(pixels, hashes, view, policy, 0),
            "layers": lambda view, layers=layers: _through(layers, pixels),
        }
        row: dict[str, Any] = {"policy": name}
        for way, make in ways.items():
            row[f"{way}_ms"], row[f"{way}_sharpness"] = _measured(make, pixels, arguments.rounds)
        print_row(name, *(row[f"{way}_{what}"] for what in ("ms", "sharpness") for way in ways))
        results.append(row)
    print_json(results)


def _measured(make: Callable[[int], np.ndarray], pixels: np.ndarray, rounds: int) -> tuple[float, float]:
    make(1)
    seconds, kept = [], []
    for view in range(1, rounds + 1):
        started = time.process_time()
        made = make(view)
        seconds.append(time.process_time() - started)
        kept.append(_sharpness(made) / _sharpness(pixels))
    return 1000 * median(seconds) / len(pixels), median(kept)


def _sharpness(pixels: np.ndarray) -> float:
    grey = pixels[:, 40:-40, 40:-40].astype(np.float32).mean(axis=3)
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return float(np.abs(around - 4 * grey[:, 1:-1, 1:-1]).mean())


def _layers(policy: str) -> Callable[[np.ndarray], Any]:
    """Return a function that applies Keras's layers to eight images in one graph."""
    import tensorflow as tf
    from keras import layers

    values = dict(pair.split("=") for pair in policy.split(","))
    numbers = {name: float(value) for name, value in values.items() if name != "flip"}
    kinds: dict[str, Callable[[float], Any]] = {
        "rotation": lambda v: layers.RandomRotation(v / 360, seed=0),
        "zoom": lambda v: layers.RandomZoom(v, seed=0),
        "shear": lambda v: layers.RandomShear(x_factor=v, seed=0),
        "shift": lambda v: layers.RandomTranslation(v, v, seed=0),
        "brightness": lambda v: layers.RandomBrightness(v, seed=0),
        "contrast": lambda v: layers.RandomContrast(v, seed=0),
    }
    made = [layers.RandomFlip(values["flip"], seed=0)] if "flip" in values else []
    made += [kinds[name](numbers[name]) for name in kinds if name in numbers]

    def run(x: Any) -> Any:
        for layer in made:
            x = layer(x, training=True)
        return x

    return tf.function(run, input_signature=[tf.TensorSpec((8, _SIZE, _SIZE, 3))])


def _through(layers: Callable[[np.ndarray], Any], pixels: np.ndarray) -> np.ndarray:
    parts = [layers(pixels[start : start + 8].astype(np.float32)).numpy() for start in range(0, len(pixels), 8)]
    return np.clip(np.rint(np.concatenate(parts)), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
