"""What survives which damage: ``python -m benchmarks.faults [--tries 100] [--inputs 10000] [--odd DIR]``.

Every fault is done for real, to runs of ``featx extract`` on the sample in ``data/`` with the default network:
processes are killed at random instants, disks fill, files change under a run, bytes flip. Afterwards the run is
repeated, and compared with one that nothing happened to. ``--odd`` names a folder of odd and hostile image files, each
of which must be used or listed with a reason. Prints a Markdown table, then JSON.

lost: rows that were committed, or files, and are not there. doubled: rows computed again although they were there, or
stored twice. wrong: another end than that of an undisturbed run, or anything but success or an error of one line.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.damage import (
    bytes_flipped,
    disk_full,
    files_changed,
    killed,
    odd_files,
    ragged,
    several_at_once,
    stopped,
    unwritable,
)
from benchmarks.extraction_runs import Place, Tally
from benchmarks.fuzz import READERS, fuzz
from benchmarks.processes import print_head, print_json, print_row

_DATA = Path(__file__).parent.parent / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=100, help="kills and flips; other faults are done less often")
    parser.add_argument("--inputs", type=int, default=10_000, help="fuzz inputs for each reader")
    parser.add_argument("--odd", type=Path, help="folder of odd and hostile image files")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    few = max(1, arguments.tries // 10)
    print_head("fault", "tries", "lost", "doubled", "wrong", "remarks")
    results = []

    def show(fault: str, tally: Tally) -> None:
        print_row(fault, tally.tries, tally.lost, tally.doubled, tally.wrong, tally.remark)
        results.append({"fault": fault, **vars(tally)})

    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), _DATA)
        faults: dict[str, Callable[[], Tally]] = {
            "kill -9 at a random instant": lambda: killed(place, arguments.tries, rng),
            "SIGINT or SIGTERM at a random instant": lambda: stopped(place, 2 * few, rng),
            "two runs at once, same folder": lambda: several_at_once(place, few, 2, overlapping=False),
            "two runs at once, overlapping folders": lambda: several_at_once(place, few, 2, overlapping=True),
            "four runs at once, overlapping folders": lambda: several_at_once(place, few, 4, overlapping=True),
            "disk full at a random byte": lambda: disk_full(place, 2 * few, rng),
            "cache read-only, a file, or deleted during the run": lambda: unwritable(place, few, rng),
            "files deleted, replaced or changed during the run": lambda: files_changed(place, few, rng),
            "a flipped byte in the store": lambda: bytes_flipped(place, arguments.tries, rng),
            "store cut short, or with garbage at its end": lambda: ragged(place, few, rng),
        }
        for fault, do in faults.items():
            show(fault, do())
        if arguments.odd is not None:
            show(f"odd files of {arguments.odd.name}", odd_files(place, arguments.odd.resolve()))
    for reader in READERS if arguments.inputs else ():
        found = fuzz(reader, arguments.inputs, arguments.seed)
        remark = f"{found.accepted:,} accepted, {found.refused:,} refused"
        show(f"mutated input to the {reader} reader", Tally(found.inputs, wrong=found.wrong, remark=remark))
    print_json(results)


if __name__ == "__main__":
    main()
