"""Measure the rejection of images of other data sets: ``python -m benchmarks.rejection DIR... [--rate 0.05]``.

For each folder a model is fitted on about 70 % of the groups; near-duplicates are in one group. Of the remaining images
of the folder, a fraction of about ``--rate`` should be rejected; of the images of each other folder, as many as
possible. For a folder with more than two classes, a further model is fitted for each class without
the images of this class; they should be rejected too, which is more difficult. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.processes import print_head, print_json, print_row
from featx.duplicates import group_samples
from featx.extraction import extract
from featx.fitting import fit
from featx.model import Classifier
from featx.runtime import Runtime
from featx.table import FeatureTable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--head", default="logreg")
    parser.add_argument("--cache", default="cache", type=Path)
    arguments = parser.parse_args()
    runtime = Runtime(arguments.cache)
    tables = {folder.name: extract(folder, runtime=runtime) for folder in arguments.folders}
    results: list[dict[str, object]] = []

    def add(model: str, images: str, n: int, share: float) -> None:
        results.append({"model": model, "images": images, "n": n, "rejected": share})
        print_row(model, images, n, f"{100 * share:.1f} %")

    print_head("model of", "images", "number", "rejected")
    for name, table in tables.items():
        known, new = _parted(table)
        model = fit(known, arguments.head, runtime=runtime)
        add(name, "new images of the same data set", len(new), _rejected(model, new, arguments.rate))
        for other, foreign in tables.items():
            if other != name:
                add(name, other, len(foreign), _rejected(model, foreign, arguments.rate))
        labels = sorted(set(table.y) - {None})
        for label in labels if len(labels) > 2 else ():
            rest = _some(known, known.y != label)
            left_out = _some(table, table.y == label)
            share = _rejected(fit(rest, arguments.head, runtime=runtime), left_out, arguments.rate)
            add(f"{name} without {label}", label, len(left_out), share)
    print_json(results)


def _parted(table: FeatureTable) -> tuple[FeatureTable, FeatureTable]:
    groups = group_samples(table).numbers
    known = np.random.default_rng(0).random(groups.max() + 1) < 0.7
    return _some(table, known[groups]), _some(table, ~known[groups])


def _some(table: FeatureTable, members: np.ndarray) -> FeatureTable:
    at = np.flatnonzero(members)

    def opened(view: int) -> Callable[[np.ndarray], np.ndarray]:
        read = table.opened(view)
        return lambda positions: read(at[positions])

    return replace(
        table,
        samples=[table.samples[i] for i in at],
        content_hashes=table.content_hashes[at],
        opened=opened,
        read_signatures=lambda positions: table.read_signatures(at[positions]),
    )


def _rejected(model: Classifier, table: FeatureTable, rate: float) -> float:
    return float(model.rejected(table.X, model.probabilities(table.X), rate).mean())


if __name__ == "__main__":
    main()
