"""Group large data sets: ``python -m benchmarks.grouping DIR [--sizes 25000,50000,100000]``.

The first N images of a folder are extracted and grouped: duplicates, near-duplicates, recordings. If the folder has
fewer images, further images are made from the left half of one image and the right half of another. Print the wall time
and the CPU time of grouping alone, the peak memory of its process, and the number of near-duplicates, as a Markdown
table, then JSON. Files and features are written to a temporary folder. For 100,000 images, the extraction takes five
minutes, and grouping takes another five minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from PIL import Image

from benchmarks.processes import peak_megabytes, print_head, print_json, print_row, run_worker

_SUFFIXES = {".jpg", ".jpeg", ".png"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", default="25000,50000,100000")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(_group(arguments.folder, Path(arguments.worker))))
        return
    files = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not files:
        raise SystemExit(f"{arguments.folder} has no images ({', '.join(sorted(_SUFFIXES))})")
    print_head("images", "seconds", "CPU seconds", "peak memory, MB", "near-duplicates", "groups")
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        images, cache = Path(scratch) / "images", Path(scratch) / "cache"
        for size in sorted(map(int, arguments.sizes.split(","))):
            _fill(files, images, size)
            _extract(images, cache)
            found = run_worker("benchmarks.grouping", images, "--worker", cache)
            print_row(*(found[name] for name in ("images", "clock", "processor", "peak", "near", "groups")))
            results.append(found)
    print_json(results)


def _fill(files: list[Path], images: Path, size: int) -> None:
    """Link images into a folder, and make missing images.

    The file names contain only letters, because numbered files would be taken for frames of one recording.
    """
    for number in range(size):
        name = images / f"class{number % 10}" / "".join(chr(ord("a") + int(digit)) for digit in str(number))
        name.parent.mkdir(parents=True, exist_ok=True)
        path = files[number % len(files)]
        target = name.with_suffix(path.suffix if number < len(files) else ".jpg")
        if target.exists():
            continue
        if number < len(files):
            target.symlink_to(path.resolve())
            continue
        other = files[(number * 7919 + number // len(files)) % len(files)]
        with Image.open(path) as left, Image.open(other) as right:
            spliced, half = left.convert("RGB"), right.convert("RGB").resize(left.size)
        middle = spliced.width // 2
        spliced.paste(half.crop((middle, 0, half.width, half.height)), (middle, 0))
        spliced.save(target, quality=92)


def _extract(images: Path, cache: Path) -> None:
    from featx.extraction import extract
    from featx.runtime import Runtime

    extract(images, runtime=Runtime(cache))


def _group(images: Path, cache: Path) -> dict[str, float]:
    from featx.duplicates import group_samples
    from featx.extraction import extract
    from featx.runtime import Runtime

    table = extract(images, runtime=Runtime(cache))  # all images are cached
    clock, processor = time.perf_counter(), time.process_time()
    grouping = group_samples(table)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    counts = grouping.to_dict()
    return {
        "images": len(table),
        "clock": clock,
        "processor": processor,
        "peak": peak_megabytes(),
        "near": counts["n_near_duplicates"],
        "groups": counts["n_groups"],
    }


if __name__ == "__main__":
    main()
