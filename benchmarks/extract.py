"""Compare extraction with Keras's own pipeline: ``python -m benchmarks.extract DIR [--backbones a,b] [--limit N]``.

Both sides start with image files and end with the finished file of features; libraries are imported and the network is
built beforehand. Every measurement runs in a separate process, the two sides in turn. The side of Keras is the code of
its documentation: `image_dataset_from_directory`, `preprocess_input`, `model.predict`, then h5py. efficientnet-lite0
runs with its ImageNet weights, the other backbones with random weights; the weights do not change the speed.

Print a Markdown table of medians, then JSON. Images per second: `engine only` (the backbone in featx, with pixels in
memory), `files to cache` (featx) and `Keras`. Ratios: `share of engine only` (`files to cache` to `engine only`) and
`ratio` (`files to cache` to `Keras`). `benchmarks.profile` prints the time of each stage.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.processes import median, print_head, print_json, print_row, run_worker, take_turns

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbones", default="efficientnet-lite0,mobilenetv2,resnet50")
    parser.add_argument("--precisions", default="auto,float32")
    parser.add_argument("--limit", type=int, default=1000, help="maximum number of images")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_WORKERS[arguments.worker](arguments)))
        return
    print_head(
        "backbone", "images", "precision", "engine only", "files to cache", "share of engine only", "Keras", "ratio"
    )
    results = []
    with tempfile.TemporaryDirectory() as folder:
        images = _some_images(arguments.folder, Path(folder), arguments.limit)
        for backbone in arguments.backbones.split(","):
            results += _compare(backbone, images, arguments)
    print_json(results)


def _compare(backbone: str, images: Path, arguments: argparse.Namespace) -> list[dict]:
    precisions = arguments.precisions.split(",")
    with tempfile.TemporaryDirectory() as cache:
        rounds = take_turns(
            arguments.rounds, ["keras", *precisions], lambda side: _measure(side, backbone, images, cache)
        )
    rows = []
    for side in precisions:
        row = {
            "network": backbone,
            "images": rounds[0][side]["n"],
            "precision": rounds[0][side]["precision"],
            "engine only": median(one[side]["engine_rate"] for one in rounds),
            "files to cache": median(one[side]["rate"] for one in rounds),
            "of engine": median(one[side]["rate"] / one[side]["engine_rate"] for one in rounds),
            "Keras": median(one["keras"]["rate"] for one in rounds),
            "ratio": median(one[side]["rate"] / one["keras"]["rate"] for one in rounds),
        }
        print_row(*row.values())
        rows.append(row)
    return rows


def _measure(side: str, backbone: str, images: Path, cache: str) -> dict:
    worker = "keras" if side == "keras" else "featx"
    words = (images, "--worker", worker, "--backbones", backbone, "--precisions", side)
    return run_worker("benchmarks.extract", *words, FEATX_CACHE=cache)


def _some_images(folder: Path, target: Path, limit: int) -> Path:
    """Copy the first images of every class, so that both sides read the same files from a warm disk cache."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    for path in classes:
        (target / path.name).mkdir()
        found = sorted(one for one in path.iterdir() if one.suffix.lower() in _SUFFIXES)
        for one in itertools.islice(found, -(-limit // len(classes))):
            shutil.copy(one, target / path.name)
    return target


def _featx(arguments: argparse.Namespace) -> dict:
    import numpy as np

    from featx.execution import start
    from featx.extraction import extract
    from featx.images import prepare
    from featx.runtime import Runtime

    cache = Path(os.environ["FEATX_CACHE"])
    how = {"weights": "imagenet" if "lite" in arguments.backbones else "random", "precision": arguments.precisions}
    # Quantization to int8 takes place once for each data set. It is done here, so that its time is not measured.
    first = arguments.folder if arguments.precisions == "int8" else next(arguments.folder.iterdir())
    warm = extract(first, arguments.backbones, runtime=Runtime(cache), **how)  # builds the graph, imports libraries
    shutil.rmtree(cache / "features")
    shutil.rmtree(cache / "datasets")
    started = time.perf_counter()
    table = extract(arguments.folder, arguments.backbones, runtime=Runtime(cache), **how)
    seconds = time.perf_counter() - started

    engine = start(warm.spec, lambda: None, Runtime(cache))
    files = itertools.islice(sorted(arguments.folder.rglob("*.*")), 64)
    pixels = np.stack([prepare(path.read_bytes(), warm.spec.size).pixels for path in files])
    rounds = max(1, len(table) // len(pixels) // 2)
    for _ in engine.run([pixels]):
        pass
    began = time.perf_counter()
    for _ in engine.run([pixels] * rounds):
        pass
    rate = rounds * len(pixels) / (time.perf_counter() - began)
    shutil.rmtree(cache / "features")
    shutil.rmtree(cache / "datasets")
    return {"rate": len(table) / seconds, "engine_rate": rate, "n": len(table), "precision": table.spec.precision}


def _keras(arguments: argparse.Namespace) -> dict:
    import h5py
    import keras
    import numpy as np

    from featx.backbones import build_network, find_backbone, find_backbone_source
    from featx.spec import FeatureSpec

    row = find_backbone(arguments.backbones)
    if "lite" in row.name:  # Keras has no such network; the network of featx includes the pixel scaling
        source = find_backbone_source(row.name)
        spec = FeatureSpec(row.name, source.weights, row.preprocess, row.size, "0-0", "tensorflow", "float32")
        model = build_network(spec, source.file)
        preprocess = None
    else:
        module, name = row.constructor.rsplit(".", 1)
        room = getattr(keras.applications, module)
        model = getattr(room, name)(weights=None, include_top=False, pooling="avg", input_shape=(row.size, row.size, 3))
        preprocess = room.preprocess_input
    model.predict(np.zeros((32, row.size, row.size, 3), np.uint8), verbose=0)
    started = time.perf_counter()
    images = keras.utils.image_dataset_from_directory(
        arguments.folder, image_size=(row.size, row.size), batch_size=32, shuffle=False, verbose=False
    )
    if preprocess is None:
        import tensorflow as tf

        batches = images.map(lambda x, y: tf.cast(x, tf.uint8))
    else:
        batches = images.map(lambda x, y: preprocess(x))
    features = model.predict(batches.prefetch(2), verbose=0)
    with tempfile.TemporaryDirectory() as folder, h5py.File(Path(folder) / "features.h5", "w") as file:
        file["features"] = features
    seconds = time.perf_counter() - started
    return {"rate": len(features) / seconds, "n": len(features)}


_WORKERS = {"featx": _featx, "keras": _keras}


if __name__ == "__main__":
    main()
