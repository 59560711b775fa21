"""Measure false alarms and detections of contradictions: ``python -m benchmarks.contradictions [--sets 40]``.

Synthetic data sets are drawn repeatedly and evaluated as in `featx fit` (logistic regression tuned over five values, 5
folds): grouped and ungrouped, by group hint, on test and validation parts. In the sets of the first kinds there is
nothing to report: the test part is drawn like the training part, and groups and words of file names are drawn by
chance. In the sets of the other kinds, the test part differs from the training part, each original is in the set in
several similar versions, or the images of one plate are similar. The table contains the mean accuracies, the share of
the sets in which groups were drawn by chance, because the first comparisons suggested a contradiction, and the share of
the sets with each kind of contradiction. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from benchmarks.processes import print_head, print_json, print_row
from featx.duplicates import Grouping
from featx.evaluation import Contradiction, HeldOut, Interval
from featx.evaluation.procedures import (
    DataSplit,
    FitCounter,
    Outcomes,
    TrainingSet,
    quiet_single_threads,
    tune_and_fit,
)
from featx.fitting.accuracy import AccuracyMeasurer, judge_held_out
from featx.heads import make_head
from featx.runtime import Runtime, n_processors
from featx.table import Sample
from featx.targets import SingleLabel

_DIMENSIONS = 20
_CLASSES = "abc"


@dataclass(frozen=True)
class Case:
    """A kind of synthetic data set.

    Parameters
    ----------
    name : str
    expected : str
        Kind of the contradiction that is to be reported; empty if there is nothing to report.
    sizes : tuple of int
        Number of training images in each group.
    alike : float
        Share of the variance within a class that the images of one group have in common.
    grouped : bool
        Whether the groups are known; otherwise each image is a group.
    n_test, n_val : int
        Number of images of the test and validation parts, which are independent.
    shift : float
        Distance by which the images of the test part are moved in a random direction.
    noise : float
        Factor of the standard deviation of the test part within a class.
    plates : int
        Number of words in file names that name a plate; 0 without such words.
    tint : float
        Standard deviation of the differences between plates.
    largest : float
        Share of the images on the first plate; 0 for plates of equal size.
    distance : float
        Standard deviation of the class centres.
    """

    name: str
    expected: str = ""
    sizes: tuple[int, ...] = (1,) * 300
    alike: float = 0.8
    grouped: bool = True
    n_test: int = 0
    n_val: int = 0
    shift: float = 0.0
    noise: float = 1.0
    plates: int = 0
    tint: float = 0.0
    largest: float = 0.0
    distance: float = 0.5


_UNEQUAL = tuple(1 + i % 40 for i in range(60))

CASES = (
    Case("300 images, test part of 100", n_test=100),
    Case("60 images, test part of 30", sizes=(1,) * 60, n_test=30),
    Case("60 images, test part of 1,000", sizes=(1,) * 60, n_test=1000),
    Case("2,000 images, test part of 1,000", sizes=(1,) * 2000, n_test=1000),
    Case("300 images, accuracy 0.99, test part of 300", n_test=300, distance=1.2),
    Case("300 in groups of four, test part of 100", sizes=(4,) * 75, n_test=100, alike=0.5),
    Case("groups of 1 to 40, test part of 200", sizes=_UNEQUAL, n_test=200, alike=0.2),
    Case("300 images, test and val parts of 100", n_test=100, n_val=100),
    Case("300 in groups of four that are drawn by chance", sizes=(4,) * 75, alike=0.0),
    Case("10 groups of 30 that are drawn by chance", sizes=(30,) * 10, alike=0.0),
    Case("3 groups of 100, 60 images, drawn by chance", sizes=(100,) * 3 + (1,) * 60, alike=0.0),
    Case("12 words in names, drawn by chance", plates=12),
    Case("2 words in names, drawn by chance", plates=2),
    Case("3 words in names, one in 75 %, drawn by chance", plates=3, largest=0.75),
    Case("100 images, 3 words in names, drawn by chance", sizes=(1,) * 100, plates=3),
    Case("test part of 100 moved by 2", "test", n_test=100, shift=2.0),
    Case("test part of 400 moved by 2", "test", n_test=400, shift=2.0),
    Case("test part of 100 moved by 4", "test", n_test=100, shift=4.0),
    Case("100 images, test part of 50 moved by 4", "test", sizes=(1,) * 100, n_test=50, shift=4.0),
    Case("easier test part", "test", n_test=200, noise=0.5),
    Case("10 versions of 60 originals, unknown, test part of 200", "test", (10,) * 60, 0.9, False, 200),
    Case("4 versions of 60 originals, unknown, test part of 100", "test", (4,) * 60, 0.9, False, 100),
    Case("10 versions of 60 originals, known", "ungrouped", (10,) * 60, 0.9, distance=0.4),
    Case("12 recordings of 30 frames, known", "ungrouped", (30,) * 12, 0.9, distance=0.4),
    Case("12 plates that differ", "group hint", plates=12, tint=1.0),
    Case("12 plates that differ much", "group hint", plates=12, tint=2.0),
    Case("3 plates that differ much", "group hint", plates=3, tint=2.0),
)


@dataclass(frozen=True)
class _RecordingMeasurer(AccuracyMeasurer):
    """Measures accuracies, and records how often groups are drawn by chance."""

    drawn: list[int] = field(default_factory=list)

    def _at_chance(self, groups: np.ndarray, units: np.ndarray) -> Outcomes | None:
        self.drawn.append(len(units))
        return super()._at_chance(groups, units)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=40)
    parser.add_argument("--workers", type=int, default=n_processors())
    arguments = parser.parse_args()
    kinds = ("test", "val", "ungrouped", "group hint")
    print_head("synthetic data set", "expected", "cv", "test", "ungrouped", "by hint", "drawn", *kinds, "any")
    results = []
    for case in CASES:
        result = {"case": case.name, "expected": case.expected, **measure(case, arguments.sets, arguments.workers)}
        results.append(result)
        figures = [_mean(result["means"][name]) for name in ("cv", "test", "ungrouped", "hint")]
        shares = [f"{result['shares'][kind]:.3f}" for kind in ("drawn", *kinds, "any")]
        print_row(case.name, case.expected or "none", *figures, *shares)
    print_json(results)


def measure(case: Case, n_sets: int, n_workers: int) -> dict[str, Any]:
    """Return the mean accuracies, and the share of the sets with each kind of contradiction and with any."""
    drawn = Parallel(n_workers)(delayed(evaluate)(case, seed) for seed in range(n_sets))
    accuracies = {
        name: [one[name].mean for one, _, _ in drawn if one[name] is not None]
        for name in ("cv", "test", "ungrouped", "hint")
    }
    found = [{one.kind for one in contradictions} for _, contradictions, _ in drawn]
    shares = {
        kind: float(np.mean([kind in one for one in found])) for kind in ("test", "val", "ungrouped", "group hint")
    }
    return {
        "n_sets": n_sets,
        "means": {name: float(np.mean(values)) if values else None for name, values in accuracies.items()},
        "shares": {
            "drawn": float(np.mean([n > 0 for _, _, n in drawn])),
            **shares,
            "any": float(np.mean([bool(one) for one in found])),
        },
    }


def evaluate(case: Case, seed: int) -> tuple[dict[str, Interval | None], list[Contradiction], int]:
    """Draw a set; return its accuracies and contradictions, as in :func:`featx.fit`, and how many groupings it drew."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, case.distance, (len(_CLASSES), _DIMENSIONS))
    groups = np.repeat(np.arange(len(case.sizes)), case.sizes)
    labels = rng.permutation(len(case.sizes)) % len(_CLASSES)
    plates = _plates(case, labels[groups], rng)
    tints = rng.normal(0, case.tint, (max(case.plates, 1), len(_CLASSES), _DIMENSIONS))
    y = labels[groups]
    train = _drawn(centres, y, groups, case.alike, rng, tints[plates, y])
    if not case.grouped:
        groups = np.arange(len(y))
    direction = rng.normal(size=_DIMENSIONS)
    moved = case.shift * direction / np.linalg.norm(direction) * np.sqrt(_DIMENSIONS) / 2
    test = _independent(centres, case.n_test, rng, case.noise, moved)
    val = _independent(centres, case.n_val, rng)
    return _evaluated(_set(train, y, groups), _apart(test, groups, 1), _apart(val, groups, 2), plates, case, seed)


def _evaluated(
    train: TrainingSet, test: TrainingSet, val: TrainingSet, plates: np.ndarray, case: Case, seed: int
) -> tuple[dict[str, Interval | None], list[Contradiction], int]:
    at = np.arange(len(train.y))
    head = make_head("logreg", {"C": [0.001, 0.01, 0.1, 1.0, 10.0]})
    parts = DataSplit(train, at, val, test)
    measurer = _RecordingMeasurer(head, parts, 5, 1, seed, Runtime(workers=1), FitCounter())
    grouped, reason = measurer.grouped()
    if grouped is None:
        raise SystemExit(reason)
    with quiet_single_threads():
        tuned = tune_and_fit(head, train, seed)
    held_out: list[HeldOut | None] = [measurer.held_out(tuned, part) for part in (val, test)]
    ungrouped, optimistic = measurer.ungrouped(grouped)
    grouping = Grouping(train.groups, train.groups, 0, (), (), (), 0, ())
    hints, lower = measurer.by_group_hint(_samples(train, plates, case), grouping, grouped)
    accuracies = {
        "cv": grouped.summary.accuracy,
        "test": None if held_out[1] is None else held_out[1].accuracy,
        "ungrouped": ungrouped,
        "hint": hints[0].accuracy if hints else None,
    }
    return accuracies, [*judge_held_out(grouped, *held_out), *optimistic, *lower], len(measurer.drawn)


def _mean(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _samples(train: TrainingSet, plates: np.ndarray, case: Case) -> list[Sample]:
    words = [f"P{plate:02}_" if case.plates else "" for plate in plates]
    return [Sample(f"{word}{i:05}.png", _CLASSES[y]) for i, (word, y) in enumerate(zip(words, train.y, strict=True))]


def _plates(case: Case, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if not case.plates:
        return np.zeros(len(y), np.int64)
    shares = np.full(case.plates, 1 / case.plates)
    if case.largest:
        shares = np.array([case.largest, *[(1 - case.largest) / (case.plates - 1)] * (case.plates - 1)])
    return rng.choice(case.plates, len(y), p=shares)


def _drawn(
    centres: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    alike: float,
    rng: np.random.Generator,
    offsets: np.ndarray | float = 0.0,
) -> np.ndarray:
    shared = rng.normal(0, np.sqrt(alike), (groups.max() + 1, _DIMENSIONS))[groups]
    return centres[y] + offsets + shared + rng.normal(0, np.sqrt(1 - alike), (len(y), _DIMENSIONS))


def _independent(
    centres: np.ndarray, n: int, rng: np.random.Generator, noise: float = 1.0, moved: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    y = rng.permutation(n) % len(_CLASSES)
    return centres[y] + moved + noise * rng.normal(size=(n, _DIMENSIONS)), y


def _apart(part: tuple[np.ndarray, np.ndarray], groups: np.ndarray, number: int) -> TrainingSet:
    X, y = part
    return _set(X, y, number * 1_000_000 + groups.max() + np.arange(len(y)))


def _set(X: np.ndarray, y: Sequence[int] | np.ndarray, groups: np.ndarray) -> TrainingSet:
    return TrainingSet(X.astype(np.float32), np.asarray(y, np.int64), groups, SingleLabel(tuple(_CLASSES)))


if __name__ == "__main__":
    main()
