"""Compare ungrouped and grouped accuracy: ``python -m benchmarks.ungrouped DIR... [--head logreg]``.

For each folder, the table contains the accuracy without groups, as it is commonly reported; the accuracy that `featx
fit` reports, with duplicates, near-duplicates and frames of one recording in groups; the accuracy with the groups of
each group hint; the accuracy on the test part of the folder; and the grouped accuracy with shuffled labels, which must
agree with chance. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import print_head, print_json, print_row
from featx.extraction import extract
from featx.fitting import fit
from featx.rendering.facts import groups_text
from featx.runtime import Runtime
from featx.table import FeatureTable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--head", default="logreg")
    parser.add_argument("--cache", default="cache", type=Path)
    arguments = parser.parse_args()
    runtime = Runtime(arguments.cache)
    results = []
    print_head(
        "data set", "groups", "ungrouped", "grouped", "by group hint", "own test part", "shuffled labels", "chance"
    )
    for folder in arguments.folders:
        table = extract(folder, runtime=runtime)
        found = fit(table, arguments.head, runtime=runtime).evaluation.to_dict()
        shuffled = fit(_shuffled(table), arguments.head, runtime=runtime).evaluation.to_dict()
        results.append({"set": folder.name, "evaluation": found, "shuffled": shuffled})
        by_hint = [f"{one['accuracy']['mean']:.3f} ({one['name']})" for one in found["group_hints"]]
        print_row(
            folder.name,
            groups_text(found),
            _text(found["ungrouped_cv"] and found["ungrouped_cv"]["accuracy"]),
            _text(found["cv"] and found["cv"]["accuracy"]),
            ", ".join(by_hint),
            _text({"mean": found["test"]["accuracy"], **found["test"]}) if found["test"] else "",
            _text(shuffled["cv"] and shuffled["cv"]["accuracy"]) if found["cv"] else "",
            f"{found['baseline']['accuracy']:.3f}",
        )
    print_json(results)


def _shuffled(table: FeatureTable) -> FeatureTable:
    """Return a table with labels shuffled within each split."""
    labels, splits = table.y, table.splits
    for split in set(splits):
        at = np.flatnonzero(splits == split)
        labels[at] = labels[np.random.default_rng(0).permutation(at)]
    return replace(table, samples=[replace(s, label=label) for s, label in zip(table.samples, labels, strict=True)])


def _text(interval: dict[str, Any] | None) -> str:
    return "none" if not interval else "{mean:.3f} ({low:.3f} to {high:.3f})".format(**interval)


if __name__ == "__main__":
    main()
