"""Measure fine-tuning with and without cached activations, seconds per epoch: ``python -m benchmarks.finetuning DIR``.

Trains efficientnet-lite0 above block 10 (its top 5 blocks) and above block 14 (its last one) on the images of DIR,
with the activations below cached and with the frozen part run in every epoch, in turn. Without the cache, pixels are
decoded once and kept in memory, so that only the network differs. The first epoch, which compiles, does not count.
Both train on the same images in float32. Prints medians and the median ratio of the rounds, then JSON. Writes nothing
to DIR.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import featx
from benchmarks.processes import median, print_head, print_json, print_row, run_worker, take_turns
from featx.runtime import Runtime

CUTS = {"above block 10": 5, "above block 14 (the last one)": 1}
EPOCHS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        cache, unfreeze, cached = arguments.worker
        print(json.dumps(measure(arguments.folder, Path(cache), int(unfreeze), cached == "cached")))
        return
    print_head("trained", "cached", "frozen part in every epoch", "ratio")
    results = []
    with tempfile.TemporaryDirectory(prefix="featx-finetuning-") as cache:
        for name, unfreeze in CUTS.items():

            def side(cached: str, unfreeze: int = unfreeze) -> dict[str, float]:
                words = (arguments.folder, "--worker", cache, unfreeze, cached)
                return run_worker("benchmarks.finetuning", *words)

            rounds = take_turns(arguments.rounds, ("cached", "anew"), side)
            seconds = {key: median(one[key]["seconds"] for one in rounds) for key in ("cached", "anew")}
            ratio = median(one["anew"]["seconds"] / one["cached"]["seconds"] for one in rounds)
            print_row(name, seconds["cached"], seconds["anew"], ratio)
            results.append({"trained": name, "unfreeze": unfreeze, "rounds": rounds, "ratio": ratio})
    print_json(results)


def measure(folder: Path, cache: Path, unfreeze: int, cached: bool) -> dict[str, float]:
    """Return the median seconds of the epochs after the first two; every run trains from the start."""
    shutil.rmtree(cache / "training", ignore_errors=True)
    done = featx.finetune(
        folder,
        unfreeze=unfreeze,
        epochs=EPOCHS,
        patience=EPOCHS,
        trunk_cache=cached,
        precision="float32",
        runtime=Runtime(cache),
    )
    return {"seconds": median(epoch.seconds for epoch in done.history.epochs[2:]), "n_train": done.n_train}


if __name__ == "__main__":
    main()
