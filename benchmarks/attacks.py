"""Run attacks on the installed ``featx``: ``python -m benchmarks.attacks [--tries 3] [--only TEXT]``.

Each attack runs in a separate folder with 28 images, a cache and two models. An attack is held if none of its code
runs, nothing is lost or hidden, and no command is blocked. Attacks that mount file systems or change the user need
root, and a Python that other users can execute. Print a Markdown table, then JSON; the exit code is 1 if an attack was
not held.
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
    attack_readers,
)
from benchmarks.processes import print_head, print_json, print_row
from benchmarks.scene import Attack, AttackSucceededError, Scene

ATTACKS: tuple[Attack, ...] = (
    *attack_folders.ATTACKS,
    *attack_images.ATTACKS,
    *attack_readers.ATTACKS,
    *attack_cache.ATTACKS,
    *attack_models.ATTACKS,
    *attack_outputs.ATTACKS,
    *attack_process.ATTACKS,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=1, help="factor for the number of tries of each attack")
    parser.add_argument("--only", default="", help="run only attacks with this text in their name")
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
                print_row(attack.name, 0, 0, "not run: needs root")
                continue
            held, happened = 0, ""
            for _ in range(tries):
                ok, outcome = _try(attack, scene)
                held += ok
                happened = outcome if not ok or not happened else happened
            print_row(attack.name, tries, held, happened)
            results.append({"attack": attack.name, "tries": tries, "held": held, "happened": happened})
    print_json(results)
    sys.exit(any(row["held"] < row["tries"] for row in results))


def _try(attack: Attack, first: Scene) -> tuple[bool, str]:
    scene = first.copy()
    try:
        return True, attack.run(scene)
    except AttackSucceededError as error:
        return False, f"**{error}**"
    finally:
        shutil.rmtree(scene.root, ignore_errors=True)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


if __name__ == "__main__":
    main()
