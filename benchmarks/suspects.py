"""Measure how many wrong labels are found: ``python -m benchmarks.suspects DIR... [--share 0.05]``.

In each folder a fraction of the labels (5 % by default), chosen randomly, is replaced by other random classes. The list
of images with doubtful labels, the most doubtful first, is then read up to a length of a tenth of the images of the
folder. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.processes import print_head, print_json, print_row
from featx.classifier import suspicion_margins
from featx.extraction import extract
from featx.fitting import fit
from featx.runtime import Runtime
from featx.table import FeatureTable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--head", default="logreg")
    parser.add_argument("--cache", default="cache", type=Path)
    arguments = parser.parse_args()
    runtime = Runtime(arguments.cache)
    results = []
    print_head(
        "data set", "images", "labels changed", "found in the first 10 %", "listed as doubtful", "of these changed"
    )
    for folder in arguments.folders:
        table, changed = _with_wrong_labels(extract(folder, runtime=runtime), arguments.share)
        model = fit(table, arguments.head, runtime=runtime)
        known, probabilities = model.out_of_fold, model.out_of_fold_probabilities()
        if known is None or probabilities is None:
            raise SystemExit(f"{folder}: {model.evaluation.cv_reason}")
        margins = suspicion_margins(probabilities, known.y)
        wrong = np.array([sample_id in changed for sample_id in known.sample_ids])
        first = np.argsort(margins, kind="stable")[: len(wrong) // 10]
        listed = margins < 0
        row = (folder.name, len(wrong), int(wrong.sum()), float(wrong[first].sum() / wrong.sum()))
        row += (int(listed.sum()), float(wrong[listed].mean()))
        results.append(row)
        print_row(*row)
    print_json(results)


def _with_wrong_labels(table: FeatureTable, share: float) -> tuple[FeatureTable, set[str]]:
    rng = np.random.default_rng(0)
    labels = table.y
    names = sorted(set(labels))
    at = rng.choice(len(labels), round(share * len(labels)), replace=False)
    for i in at:
        labels[i] = rng.choice([name for name in names if name != labels[i]])
    samples = [replace(s, label=label) for s, label in zip(table.samples, labels, strict=True)]
    return replace(table, samples=samples), {samples[i].sample_id for i in at}


if __name__ == "__main__":
    main()
