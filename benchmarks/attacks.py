"""What survives which attack: ``python -m benchmarks.attacks [--tries 3] [--only TEXT]``.

Each attack is done for real to the installed ``featx``, in a folder of its own with 28 images, a cache and two models.
An attack that runs, loses, hides or stops anything has not been held. Those that mount file systems take root. Prints a
Markdown table, then JSON; the exit code is 1 if an attack was not held.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import (
    attack_cache,
    attack_folders,
    attack_images,
    attack_models,
    attack_outputs,
    attack_process,
)
from benchmarks.processes import print_head, print_json, print_row
from benchmarks.scene import Attack, FellError, Scene

ATTACKS: tuple[Attack, ...] = (
    *attack_folders.ATTACKS,
    *attack_images.ATTACKS,
    *attack_cache.ATTACKS,
    *attack_models.ATTACKS,
    *attack_outputs.ATTACKS,
    *attack_process.ATTACKS,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=1, help="how often each attack is done, times its own number")
    parser.add_argument("--only", default="", help="attacks whose name holds this text")
    arguments = parser.parse_args()
    chosen = [attack for attack in ATTACKS if arguments.only in attack.name]
    print_head("attack", "tries", "held", "what happened")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first"
        first.mkdir()
        scene = Scene.make(first)
        for attack in chosen:
            tries = attack.tries * arguments.tries
            if attack.needs_root and not _is_root():
                print_row(attack.name, 0, 0, "not done: it takes root")
                continue
            held, happened = 0, ""
            for _ in range(tries):
                ok, told = _try(attack, scene)
                held += ok
                happened = told if not ok or not happened else happened
            print_row(attack.name, tries, held, happened)
            results.append({"attack": attack.name, "tries": tries, "held": held, "happened": happened})
    print_json(results)
    sys.exit(any(row["held"] < row["tries"] for row in results))


def _try(attack: Attack, first: Scene) -> tuple[bool, str]:
    scene = first.copy()
    try:
        return True, attack.run(scene)
    except FellError as error:
        return False, f"**{error}**"
    finally:
        shutil.rmtree(scene.root, ignore_errors=True)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


if __name__ == "__main__":
    main()
