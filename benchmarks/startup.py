"""Measure whole processes from start to end: ``python -m benchmarks.startup DIR``.

The processes are: `featx --help`; a second `featx extract DIR`; `featx predict MODEL one.jpg` with the backbone in the
cache and an image that is not in the cache, compared with a Keras script that loads the network and a scikit-learn head
and does the same; and processes that only import a library, which show how much of the time of the other processes is
spent on imports. Print a Markdown table of medians in seconds, then JSON.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import median, print_head, print_json, print_row, take_turns

_SCRIPT = """
import sys
import joblib, keras, numpy as np
model = keras.models.load_model(sys.argv[1], compile=False)
head = joblib.load(sys.argv[2])
image = keras.utils.img_to_array(keras.utils.load_img(sys.argv[3], target_size=(224, 224)))
print(head.predict_proba(model.predict(image[np.newaxis].astype("uint8"), verbose=0)))
"""


_IMPORTED = ("featx", "featx.fitting", "openvino", "tensorflow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sides = _prepare(arguments.folder.resolve(), Path(folder))
        rounds = take_turns(arguments.rounds, sides, lambda side: {"seconds": _seconds(sides[side], Path(folder))})
    rows = {side: median(one[side]["seconds"] for one in rounds) for side in sides}
    print_head("process", "seconds")
    for side, seconds in rows.items():
        print_row(side, seconds)
    ratio = median(
        one["Keras script, one image"]["seconds"] / one["featx predict, one image"]["seconds"] for one in rounds
    )
    print(f"Keras script / featx predict: {ratio:.1f}")
    print_json({**rows, "ratio": ratio})


def _prepare(images: Path, folder: Path) -> dict[str, list[object]]:
    """Extract, fit, save the network and the head for the Keras script, and return the command of each side."""
    import joblib
    import numpy as np

    from featx.backbones import build_network, find_backbone_source
    from featx.extraction import extract
    from featx.fitting import fit
    from featx.images import decode_version
    from featx.runtime import Runtime
    from featx.spec import FeatureSpec

    table = extract(images, runtime=Runtime(folder / "cache"))
    model = fit(table, "logreg", runtime=Runtime(folder / "cache"))
    model.save(folder / "model.featx")
    joblib.dump(model.estimator(), folder / "head.joblib")
    source = find_backbone_source("efficientnet-lite0")
    spec = FeatureSpec(source.backbone, source.weights, "lite", source.size, decode_version(), "tensorflow", "float32")
    build_network(spec, source.file).save(folder / "network.keras")
    one = next(path for path in sorted(images.rglob("*.jp*g")))
    # Different bytes with the same pixels, so that the features are not in the cache.
    (folder / "one.jpg").write_bytes(one.read_bytes() + np.random.default_rng(0).bytes(4))
    (folder / "script.py").write_text(_SCRIPT)
    featx = [sys.executable, "-m", "featx"]
    return {
        "featx --help": [*featx, "--help"],
        f"featx extract, {len(table):,} images cached": [*featx, "extract", images, "--cache", "cache"],
        "featx predict, one image": [*featx, "predict", "model.featx", "one.jpg", "--cache", "used"],
        "Keras script, one image": [sys.executable, "script.py", "network.keras", "head.joblib", "one.jpg"],
        "python alone": [sys.executable, "-c", ""],
        **{f"import {name}": [sys.executable, "-c", f"import {name}"] for name in _IMPORTED},
    }


def _seconds(command: list[object], folder: Path) -> float:
    shutil.rmtree(folder / "used", ignore_errors=True)
    (folder / "used").mkdir()
    shutil.copy(
        folder / "cache" / "CACHEDIR.TAG", folder / "used"
    )  # otherwise featx does not accept the folder as a cache
    shutil.copytree(folder / "cache" / "graphs", folder / "used" / "graphs")
    started = time.perf_counter()
    subprocess.run(
        [str(word) for word in command], cwd=folder, env=os.environ, check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
