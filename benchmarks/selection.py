"""Measure what `featx compare` says about its choice: ``python -m benchmarks.selection [DIR...] [--repeats 40]``.

Data sets are drawn as in ``benchmarks.coverage``: synthetic ones, or from the images of each folder DIR. On each of
them, combinations of heads and of two random parts of the features are compared as `featx compare` does, and every
combination is fitted on the whole data set and evaluated on new samples. The columns are:

- loss: the accuracy of the best combination minus its accuracy on new samples;
- luck: the loss, without the mean difference of all combinations (cross-validation fits on fewer samples, and all
  combinations are measured on the same samples);
- stated: the luck that `featx compare` states;
- worse: the number of combinations that are stated to be worse than the best one (their interval lies below 0), and how
  many of these are worse on new samples;
- all right: the share of data sets on which every combination that is better on new samples than the best one is stated
  to be possibly as good.

Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed

from benchmarks.coverage import Case, Population, correct_on, images_of
from benchmarks.processes import print_head, print_json, print_row
from featx.comparison.selection import selection_bias
from featx.evaluation.procedures import cross_validate, paired_difference
from featx.heads import Head, make_head
from featx.runtime import Runtime, n_processors

_C = [0.001, 0.01, 0.1, 1.0]
_PART = 0.75
"""Fraction of the features in each of the two parts."""

_CASES = (
    Case("60 samples", (1,) * 60),
    Case("200 samples", (1,) * 200),
    Case("240 in groups of four", (4,) * 60),
)


class _Drawn(NamedTuple):
    """What one comparison states, and what is true."""

    loss: float
    luck: float
    stated: float
    n_worse: int
    n_right: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--size", type=int, default=150, help="number of images of the data sets drawn from DIR")
    parser.add_argument("--heads", default="logreg,ridge,centroid,knn")
    parser.add_argument("--cache", default="cache", type=Path)
    parser.add_argument("--workers", type=int, default=n_processors())
    arguments = parser.parse_args()
    names, n = arguments.heads.split(","), arguments.size
    heads = [make_head(name, {"C": _C} if name == "logreg" else None) for name in names]
    cases = _CASES
    if arguments.folders:
        cases = tuple(
            Case(f"{folder.name}, {n} images", (1,) * n, images=images_of(folder, None, Runtime(arguments.cache)))
            for folder in arguments.folders
        )
    print_head("data set", "combinations", "loss", "luck", "stated", "worse", "all right")
    results = []
    for case in cases:
        both = Parallel(arguments.workers)(delayed(_compare)(case, heads, seed) for seed in range(arguments.repeats))
        for number, k in enumerate((len(heads), 2 * len(heads))):
            drawn = [one[number] for one in both]
            loss, luck, stated, *_ = np.mean(drawn, axis=0)
            n_worse, n_right = sum(one.n_worse for one in drawn), sum(one.n_right for one in drawn)
            all_right = float(np.mean([one.n_right == one.n_worse for one in drawn]))
            result = {"case": case.name, "combinations": k, "loss": loss, "luck": luck, "stated": stated}
            results.append({**result, "worse": n_worse, "right": n_right, "all_right": all_right})
            figures = (f"{value:+.3f}" for value in (loss, luck, stated))
            print_row(case.name, k, *figures, f"{n_worse}, {n_right} right", f"{all_right:.3f}")
    print_json(results)


def _compare(case: Case, heads: list[Head], seed: int) -> tuple[_Drawn, _Drawn]:
    """Compare the heads on one part of the features, and on both parts."""
    population = Population(case, seed)
    data, new = population.draw(case.sizes), population.new()
    crossed, truths = [], []
    for _ in range(2):
        n_features = data.X.shape[1]
        at = population.rng.permutation(n_features)[: round(_PART * n_features)]
        known, unknown = (replace(one, X=np.ascontiguousarray(one.X[:, at])) for one in (data, new))
        crossed += [cross_validate(head, known, 5, 1, seed) for head in heads]
        truths += [float(correct_on(head, known, unknown, seed).mean()) for head in heads]

    def judged(k: int) -> _Drawn:
        some, true = crossed[:k], np.array(truths[:k])
        means = np.array([one.summary.accuracy.mean for one in some])
        best = int(means.argmax())
        others = [number for number in range(k) if number != best]
        high = [paired_difference(some[other], some[best], data.y, data.groups, k - 1).high for other in others]
        worse = [other for other, limit in zip(others, high, strict=True) if limit < 0]
        hits = [one.predicted == data.y[one.tested] for one in some]
        loss = float(means[best] - true[best])
        return _Drawn(
            loss,
            loss - float((means - true).mean()),
            selection_bias(hits, data.groups[some[0].tested], seed),
            len(worse),
            sum(bool(true[other] <= true[best]) for other in worse),
        )

    return judged(len(heads)), judged(2 * len(heads))


if __name__ == "__main__":
    main()
