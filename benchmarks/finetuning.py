"""Measure fine-tuning with and without cached activations, seconds per epoch: ``python -m benchmarks.finetuning DIR``.

Train efficientnet-lite0 above block 10 (its last 5 blocks) and above block 14 (its last block) on the images of DIR, in
turn with cached activations of the frozen blocks and with the frozen blocks run in every epoch. Without the cache,
pixels are decoded once and kept in memory, so that the two sides differ only in the computation of the frozen blocks.
The first epoch does not count, because functions are compiled in it. Both sides train on the same images in float32.
Print medians and the median ratio of the rounds, then JSON. Nothing is written to DIR.
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

CUTS = {"above block 10": 5, "above block 14 (the last block)": 1}
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
    print_head("trained", "cached", "frozen blocks in every epoch", "ratio")
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
    """Return the median seconds of all epochs except the first one; earlier runs are deleted, so none is resumed."""
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
