"""How often the 95 % interval holds the truth: ``python -m benchmarks.coverage [--repeats 400]``.

Made sets of overlapping classes are drawn again and again, alone and in groups of four that hang together; each is
fitted as by `featx fit` (logreg at one C, 5 folds), and its interval compared with the accuracy that a classifier
learnt from the whole set has on 20,000 new samples. Prints a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.processes import print_head, print_json, print_row
from featx.evaluate import TrainingSet, cross_validate, quiet_single_threads, tune_and_fit
from featx.heads import make_head, scores_of

_DIMENSIONS = 20
_CLASSES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400)
    arguments = parser.parse_args()
    print_head("samples", "in groups of", "mean accuracy", "mean truth", "mean width", "coverage")
    results = []
    for n, size in ((60, 1), (200, 1), (240, 4)):
        drawn = np.array([_draw(n, size, seed) for seed in range(arguments.repeats)])
        mean, low, high, truth = drawn.T
        covered = float(((low <= truth) & (truth <= high)).mean())
        row = (n, size, float(mean.mean()), float(truth.mean()), float((high - low).mean()), covered)
        results.append(row)
        print_row(n, size, *(f"{value:.3f}" for value in row[2:]))
    print_json(results)


def _draw(n: int, size: int, seed: int) -> tuple[float, float, float, float]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 0.5, (_CLASSES, _DIMENSIONS))
    head = make_head("logreg", {"C": 0.1})
    data = _sample(n, size, centres, rng)
    found = cross_validate(head, data, 5, 1, seed).summary.accuracy
    with quiet_single_threads():
        fitted = tune_and_fit(head, data.X, data.y, data.groups, data.classes, seed).estimator
    new = _sample(20_000, 1, centres, rng)
    truth = float((scores_of(fitted, new.X, _CLASSES).argmax(axis=1) == new.y).mean())
    return found.mean, found.low, found.high, truth


def _sample(n: int, size: int, centres: np.ndarray, rng: np.random.Generator) -> TrainingSet:
    groups = np.arange(n) // size
    y = groups % _CLASSES
    shared = rng.normal(0, np.sqrt(0.8), (groups.max() + 1, _DIMENSIONS))[groups]
    X = centres[y] + shared + rng.normal(0, np.sqrt(0.2), (n, _DIMENSIONS))
    return TrainingSet(X.astype(np.float32), y, groups, tuple("abc"))


if __name__ == "__main__":
    main()
