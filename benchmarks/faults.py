"""Inject faults into runs of featx: ``python -m benchmarks.faults [--tries 100] [--odd DIR]``.

Every fault is injected into real runs on the sample in ``data/`` with the default backbone: processes are killed at
random times, disks are filled, files are changed during a run, and bits of the store are flipped. The run is then
repeated without faults, and its result is compared with that of a run without any fault. The faults ``merge: ...`` are
injected into merges of the caches of shards in the same way. ``--odd`` names a folder of
unusual and hostile image files. Each of these files must be used, ignored because it is not an image, or listed as
skipped, with the reason. Print a Markdown table, then JSON.

Columns of the table: ``lost``: number of committed rows, or of files, that are missing. ``doubled``: number of rows
that are stored twice, or that were committed but computed again. ``wrong``: number of runs whose result differs from
the result of a run without faults, or which neither succeed nor end with an error message of one line.
"""

from __future__ import annotations

import argparse
import functools
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import merge_faults
from benchmarks.damage import (
    bytes_flipped,
    disk_full,
    files_changed,
    killed,
    killed_merging,
    odd_files,
    ragged,
    several_at_once,
    stopped,
    unwritable,
)
from benchmarks.extraction_runs import FaultCounts, Place
from benchmarks.fuzz import READERS, fuzz
from benchmarks.processes import print_head, print_json, print_row

_DATA = Path(__file__).parent.parent / "data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tries",
        type=int,
        default=100,
        help="number of killed processes and of flipped bits; the other faults are tried less often",
    )
    parser.add_argument(
        "--inputs",
        type=int,
        default=10_000,
        help="number of mutated inputs for each file reader; 0 leaves this test out",
    )
    parser.add_argument("--odd", type=Path, help="folder of unusual and hostile image files")
    parser.add_argument("--only", default="", help="run only faults whose name contains this text")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the faults")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    few = max(1, arguments.tries // 10)
    print_head("fault", "tries", "lost", "doubled", "wrong", "remarks")
    results = []

    def show(fault: str, counts: FaultCounts) -> None:
        print_row(fault, counts.tries, counts.lost, counts.doubled, counts.wrong, counts.remark)
        results.append({"fault": fault, **vars(counts)})

    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), _DATA)
        shards = functools.cache(lambda: merge_faults.Shards(place))
        faults: dict[str, Callable[[], FaultCounts]] = {
            "kill -9 at a random time": lambda: killed(place, arguments.tries, rng),
            "kill -9 while segments are written and merged": lambda: killed_merging(place, arguments.tries, rng),
            "SIGINT or SIGTERM at a random time": lambda: stopped(place, 2 * few, rng),
            "two runs at once, same folder": lambda: several_at_once(place, few, 2, overlapping=False),
            "two runs at once, overlapping folders": lambda: several_at_once(place, few, 2, overlapping=True),
            "four runs at once, overlapping folders": lambda: several_at_once(place, few, 4, overlapping=True),
            "disk full after a random number of bytes": lambda: disk_full(place, 2 * few, rng),
            "cache folder made read-only, replaced by a file, or deleted during the run": lambda: unwritable(
                place, few, rng
            ),
            "files deleted, replaced or changed during the run": lambda: files_changed(place, few, rng),
            "a flipped bit in the store": lambda: bytes_flipped(place, arguments.tries, rng),
            "store truncated, or extended by random bytes": lambda: ragged(place, few, rng),
            "merge: kill -9 at a random time": lambda: merge_faults.killed(shards(), arguments.tries, rng),
            "merge: disk full after a random number of bytes": lambda: merge_faults.disk_full(shards(), 2 * few, rng),
            "merge: three merges at once into one cache": lambda: merge_faults.at_once(shards(), 2 * few),
            "merge: a shard is extracted meanwhile": lambda: merge_faults.during_extraction(shards(), 2 * few, rng),
            "merge: the cache of a shard is deleted": lambda: merge_faults.folder_deleted(shards(), 2 * few, rng),
        }
        for fault, do in faults.items():
            if arguments.only in fault:
                show(fault, do())
        if arguments.odd is not None:
            show(f"unusual and hostile files in {arguments.odd.name}", odd_files(place, arguments.odd.resolve()))
    for reader in READERS if arguments.inputs else ():
        found = fuzz(reader, arguments.inputs, arguments.seed)
        remark = f"{found.accepted:,} accepted, {found.refused:,} refused"
        show(f"mutated input to the {reader} reader", FaultCounts(found.inputs, wrong=found.wrong, remark=remark))
    print_json(results)


if __name__ == "__main__":
    main()
