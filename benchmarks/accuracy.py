"""Measure accuracy and time of the heads on folders of images: ``python -m benchmarks.accuracy DIR... [--heads a,b]``.

For each folder that `featx extract` can read and each head, the table contains the nested 5-fold accuracy with its
interval, the accuracy on the test part of the folder if it has one, and the seconds for tuning, cross-validation and
the final fit. Features come from the cache, or are extracted first. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.processes import print_json
from featx.extraction import extract
from featx.fitting import fit
from featx.heads import HEAD_NAMES
from featx.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--heads", default=",".join(HEAD_NAMES))
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--cache", default="cache", type=Path)
    arguments = parser.parse_args()
    runtime = Runtime(arguments.cache)
    results = []
    print(
        "| data set | images | classes | head | accuracy (95 % interval) | own test part | majority class | seconds |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for folder in arguments.folders:
        table = extract(folder, arguments.backbone, runtime=runtime)
        for head in arguments.heads.split(","):
            found = fit(table, head, runtime=runtime).evaluation
            results.append({"set": folder.name, **found.to_dict()})
            print(_row(folder.name, found.to_dict()), flush=True)
    print_json(results)


def _row(name: str, found: dict) -> str:
    cv, test = found["cv"], found["test"]
    accuracy = "none" if cv is None else "{mean:.3f} ({low:.3f} to {high:.3f})".format(**cv["accuracy"])
    own = "" if test is None else f"{test['as_given']:.3f}"
    return (
        f"| {name} | {found['n_images']:,} | {len(found['classes'])} | {found['head']} | {accuracy} | {own} "
        f"| {found['baseline']['accuracy']:.3f} | {found['seconds']:.1f} |"
    )


if __name__ == "__main__":
    main()
