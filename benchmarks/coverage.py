"""Measure the coverage of the 95 % intervals: ``python -m benchmarks.coverage [--repeats 400]``.

Synthetic data sets of overlapping classes are drawn repeatedly: independent samples, samples in correlated groups of
four, in groups of very different sizes, in classes of different sizes. Each data set is evaluated as in `featx fit` (5
folds), with one value of C or tuned, with folds drawn once or several times, and as in `featx compare` (the paired
difference between logistic regression and nearest centroid). Every interval is compared with the accuracy on 20,000 new
samples of classifiers that are fitted on the whole data set. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed

from benchmarks.processes import print_head, print_json, print_row
from featx.evaluation import Interval
from featx.evaluation.procedures import (
    TrainingSet,
    cross_validate,
    paired_difference,
    quiet_single_threads,
    tune_and_fit,
)
from featx.heads import Head, make_head, scores_of
from featx.runtime import n_processors
from featx.targets import SingleLabel

_DIMENSIONS = 20
_NEW = 20_000


@dataclass(frozen=True)
class Case:
    """A kind of synthetic data set, and the figure that is measured.

    Parameters
    ----------
    name : str
    sizes : tuple of int
        Number of samples in each group.
    figure : {"accuracy", "balanced accuracy", "difference"}
    shares : tuple of float
        Fraction of the samples in each class.
    distance : float
        Standard deviation of the class centres; the standard deviation of the samples within a class is 1.
    tuned : bool
        Whether C is tuned over five values; otherwise C is 0.1.
    repeats : int
        Number of times that the folds are drawn.
    """

    name: str
    sizes: tuple[int, ...]
    figure: str = "accuracy"
    shares: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)
    distance: float = 0.5
    tuned: bool = False
    repeats: int = 1


_UNEQUAL = tuple(1 + i % 40 for i in range(80))

CASES = (
    Case("60 samples", (1,) * 60),
    Case("200 samples", (1,) * 200),
    Case("240 in groups of four", (4,) * 60),
    Case("240 in groups of four, far apart", (4,) * 60, distance=1.0),
    Case("3 groups of 1,000, 97 samples", (1000,) * 3 + (1,) * 97),
    Case("10 groups of 30, 100 samples", (30,) * 10 + (1,) * 100),
    Case("groups of 1 to 40", _UNEQUAL),
    Case("200 samples, tuned", (1,) * 200, tuned=True),
    Case("200 samples, folds drawn 3 times", (1,) * 200, repeats=3),
    Case("200 samples, classes of 60, 30 and 10 %", (1,) * 200, "balanced accuracy", (0.6, 0.3, 0.1)),
    Case("groups of 1 to 40, classes of 60, 30 and 10 %", _UNEQUAL, "balanced accuracy", (0.6, 0.3, 0.1)),
    Case("60 samples", (1,) * 60, "difference"),
    Case("200 samples", (1,) * 200, "difference"),
    Case("240 in groups of four", (4,) * 60, "difference"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400)
    arguments = parser.parse_args()
    print_head("synthetic data set", "figure", "mean", "mean true value", "mean width", "coverage")
    results = []
    for case in CASES:
        result = {"case": case.name, "figure": case.figure, **measure(case, arguments.repeats)}
        results.append(result)
        print_row(case.name, case.figure, *(f"{result[name]:.3f}" for name in ("mean", "truth", "width", "coverage")))
    print_json(results)


def measure(case: Case, repeats: int) -> dict[str, float]:
    """Return the means of the figure, of its true value and of the interval width, and the coverage."""
    drawn = np.array(Parallel(n_processors())(delayed(_draw)(case, seed) for seed in range(repeats)))
    mean, low, high, truth = drawn.T
    return {
        "mean": float(mean.mean()),
        "truth": float(truth.mean()),
        "width": float((high - low).mean()),
        "coverage": float(((low <= truth) & (truth <= high)).mean()),
    }


def _draw(case: Case, seed: int) -> tuple[float, float, float, float]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, case.distance, (len(case.shares), _DIMENSIONS))
    data = _sample(case.sizes, case.shares, centres, rng)
    new = _sample((1,) * _NEW, case.shares, centres, rng)
    head = make_head("logreg", {"C": [0.001, 0.01, 0.1, 1.0, 10.0] if case.tuned else 0.1})
    found, truth = _measured(head, data, new, case, seed)
    if case.figure != "difference":
        return found.mean, found.low, found.high, truth
    centroid = make_head("centroid", {"shrink_threshold": None})
    _, other_truth = _measured(centroid, data, new, case, seed)
    one, other = (cross_validate(each, data, 5, case.repeats, seed) for each in (head, centroid))
    difference = paired_difference(one, other, data.y, data.groups)
    return difference.mean, difference.low, difference.high, truth - other_truth


def _measured(head: Head, data: TrainingSet, new: TrainingSet, case: Case, seed: int) -> tuple[Interval, float]:
    summary = cross_validate(head, data, 5, case.repeats, seed).summary
    with quiet_single_threads():
        fitted = tune_and_fit(head, data, seed).estimator
    hit = scores_of(fitted, new.X, len(new.classes)).argmax(axis=1) == new.y
    if case.figure == "balanced accuracy":
        return summary.balanced_accuracy, float(np.mean([hit[new.y == label].mean() for label in np.unique(new.y)]))
    return summary.accuracy, float(hit.mean())


def _sample(
    sizes: tuple[int, ...], shares: tuple[float, ...], centres: np.ndarray, rng: np.random.Generator
) -> TrainingSet:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    bounds = np.cumsum(shares)[:-1]
    # Classes are distributed evenly over the groups, in random order.
    labels = np.searchsorted(bounds, (rng.permutation(len(sizes)) + 0.5) / len(sizes))
    y = labels[groups]
    shared = rng.normal(0, np.sqrt(0.8), (len(sizes), _DIMENSIONS))[groups]
    X = centres[y] + shared + rng.normal(0, np.sqrt(0.2), (len(groups), _DIMENSIONS))
    return TrainingSet(X.astype(np.float32), y, groups, SingleLabel(tuple("abc")))


if __name__ == "__main__":
    main()
