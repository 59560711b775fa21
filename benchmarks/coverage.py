"""Measure the coverage of the 95 % intervals: ``python -m benchmarks.coverage [DIR...] [--repeats 400]``.

Synthetic data sets of overlapping classes are drawn repeatedly: independent samples, samples in correlated groups of
four, in groups of very different sizes, in classes of different sizes, from few sources. Each data set is evaluated as
in `featx fit` (5 folds), with one value of C or tuned, with folds drawn once or several times, and as in `featx
compare` (the paired difference between logistic regression and nearest centroid). For each folder DIR, whose features
come from the cache or are extracted first, data sets are drawn from its images instead, in the first 100 principal
components of the features, and C is tuned over four values.

Every interval is compared with the accuracy on new samples of classifiers that are fitted on the whole data set:

- accuracy, balanced accuracy, difference: new samples of new groups;
- ungrouped: the cross-validation ignores the groups, and the new samples belong to the groups of the data set;
- by source: the groups are sources, and the new samples belong to new sources;
- test part: the accuracy on a test part, as of the splits of a data set;
- forecast: the interval of the accuracy with twice as many samples, compared with the accuracy on new samples of
  classifiers that are fitted on twice as many; and (repeated) with the accuracy that cross-validation then reports;
- gain: the interval of the gain from twice as many samples, compared with the gain on new samples. The column answers
  counts the answers `yes` and `no` to the question whether more images would help, and the right ones among them: the
  gain is above 0, or below 0.01.

New samples are 20,000 synthetic ones, or all other images of the folder. With ``--sources WORD``, the word of this
number in the names of images is their source. ``--cases TEXT`` selects the rows that contain a text. Print a Markdown
table, then JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from benchmarks.processes import print_head, print_json, print_row
from featx.evaluation import Interval
from featx.evaluation.procedures import (
    TrainingSet,
    cross_validate,
    learning_curve,
    paired_difference,
    quiet_single_threads,
    share_of,
    tune_and_fit,
)
from featx.extraction import extract
from featx.group_hints import read_groups
from featx.heads import Head, make_head, scores_of
from featx.runtime import Runtime, n_processors
from featx.targets import SingleLabel

_DIMENSIONS = 20
_NEW = 20_000
_COMPONENTS = 100
_TEST = 100


@dataclass(frozen=True)
class Case:
    """A kind of data set, and the figure that is measured.

    Parameters
    ----------
    name : str
    sizes : tuple of int
        Number of samples in each group.
    figure : str
        A key of ``FIGURES``.
    shares : tuple of float
        Fraction of the samples in each class.
    distance : float
        Standard deviation of the class centres; the standard deviation of the samples within a class is 1.
    shared : float
        Part of the variance within a class that the samples of a group share.
    is_source : bool
        Whether a group contains samples of all classes.
    tuned : bool
        Whether C is tuned over five values; otherwise C is 0.1.
    repeats : int
        Number of times that the folds are drawn.
    images : Images or None
        Images to draw from; None for synthetic samples.
    """

    name: str
    sizes: tuple[int, ...]
    figure: str = "accuracy"
    shares: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)
    distance: float = 0.5
    shared: float = 0.8
    is_source: bool = False
    tuned: bool = False
    repeats: int = 1
    images: Images | None = None

    @property
    def head(self) -> Head:
        """Logistic regression."""
        if self.images is not None:
            return make_head("logreg", {"C": [0.001, 0.01, 0.1, 1.0]})
        return make_head("logreg", {"C": [0.001, 0.01, 0.1, 1.0, 10.0] if self.tuned else 0.1})

    @property
    def n(self) -> int:
        """Number of samples of a data set."""
        return sum(self.sizes)


@dataclass(frozen=True)
class Images:
    """Features, class indices and sources of the images of a folder."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    sources: NDArray[np.int64]
    targets: SingleLabel


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
    Case("240 in groups of four", (4,) * 60, "ungrouped"),
    Case("groups of 1 to 40", _UNEQUAL, "ungrouped"),
    Case("240 from 12 sources", (20,) * 12, "by source", shared=0.3, is_source=True),
    Case("600 from 30 sources", (20,) * 30, "by source", shared=0.3, is_source=True),
    Case("200 samples", (1,) * 200, "test part"),
    Case("240 in groups of four", (4,) * 60, "test part"),
    Case("60 samples", (1,) * 60, "forecast", tuned=True),
    Case("200 samples", (1,) * 200, "forecast", tuned=True),
    Case("600 samples", (1,) * 600, "forecast", tuned=True),
    Case("240 in groups of four", (4,) * 60, "forecast", tuned=True),
    Case("300 samples, 10 classes", (1,) * 300, "forecast", (0.1,) * 10, tuned=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--sizes", default="60,150", help="numbers of images of the data sets that are drawn from DIR")
    parser.add_argument("--sources", type=int, metavar="WORD")
    parser.add_argument("--cases", default="", metavar="TEXT")
    parser.add_argument("--cache", default="cache", type=Path)
    parser.add_argument("--workers", type=int, default=n_processors())
    arguments = parser.parse_args()
    cases = CASES
    if arguments.folders:
        sizes = [int(size) for size in arguments.sizes.split(",")]
        cases = [
            one
            for folder in arguments.folders
            for one in _cases_of(folder, sizes, arguments.sources, Runtime(arguments.cache))
        ]
    print_head("data set", "figure", "mean", "mean true value", "mean width", "coverage", "answers")
    results = []
    for case in cases:
        if arguments.cases not in f"{case.name} {case.figure}":
            continue
        for result in measure(case, arguments.repeats, arguments.workers):
            results.append({"case": case.name, **result})
            figures = (f"{result[name]:.3f}" for name in ("mean", "truth", "width", "coverage"))
            print_row(case.name, result["figure"], *figures, result["answers"])
    print_json(results)


def images_of(folder: Path, word: int | None, runtime: Runtime) -> Images:
    """Return the principal components of the features of a folder, with a word of the file names as source."""
    table = extract(folder, runtime=runtime)
    X = table.X.astype(np.float64) - table.X.mean(axis=0)
    axes = np.linalg.eigh(X.T @ X)[1][:, ::-1][:, :_COMPONENTS]
    names, y = np.unique(table.y, return_inverse=True)
    words = range(len(y)) if word is None else map(str, read_groups(table.samples, f"word:{word}"))
    sources = np.unique(list(words), return_inverse=True)[1]
    return Images((X @ axes).astype(np.float32), y, sources, SingleLabel(tuple(map(str, names))))


def _cases_of(folder: Path, sizes: Sequence[int], word: int | None, runtime: Runtime) -> list[Case]:
    images = images_of(folder, word, runtime)
    if word is not None:
        half = len(np.unique(images.sources)) // 2
        return [Case(f"{folder.name}, {half} sources", (1,) * half, "by source", images=images)]
    figures = ("accuracy", "test part", "forecast")
    return [Case(f"{folder.name}, {n} images", (1,) * n, figure, images=images) for n in sizes for figure in figures]


class Outcome(NamedTuple):
    """An interval, and the value that it should contain."""

    interval: Interval
    truth: float
    figure: str = ""
    answer: str = ""


def measure(case: Case, repeats: int, n_workers: int) -> list[dict[str, float | str]]:
    """Return the means of each figure, of its true value and of the interval width, the coverage and the answers."""
    drawn = Parallel(n_workers)(delayed(FIGURES[case.figure])(case, seed) for seed in range(repeats))
    return [_summary(case, outcomes) for outcomes in zip(*drawn, strict=True)]


def _summary(case: Case, outcomes: Sequence[Outcome]) -> dict[str, float | str]:
    mean, low, high = np.array([(one.interval.mean, one.interval.low, one.interval.high) for one in outcomes]).T
    truth = np.array([one.truth for one in outcomes])
    counts = []
    for answer, is_right in (("yes", truth > 0), ("no", truth < 0.01)):
        given = np.array([one.answer == answer for one in outcomes])
        counts.append(f"{answer}: {(given & is_right).sum()} of {given.sum()} right")
    return {
        "figure": outcomes[0].figure or case.figure,
        "mean": float(mean.mean()),
        "truth": float(truth.mean()),
        "width": float((high - low).mean()),
        "coverage": float(((low <= truth) & (truth <= high)).mean()),
        "answers": ", ".join(counts) if outcomes[0].answer else "",
    }


class Population:
    """A source of samples of one synthetic data set or of one folder."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.rng = np.random.default_rng(seed)
        self.order = self.rng.permutation(len(case.images.y)) if case.images is not None else None
        self.centres = self.rng.normal(0, case.distance, (len(case.shares), _DIMENSIONS))
        self._n_drawn = 0

    def draw(self, sizes: Sequence[int]) -> TrainingSet:
        """Return samples in new groups of the given sizes."""
        if self.case.images is not None:
            return self._images(len(sizes))
        return self.of_groups(*self.groups(sizes))

    def groups(self, sizes: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return the group and the class of each sample, and what the samples of each group share."""
        numbers = np.repeat(np.arange(len(sizes)), sizes)
        n = len(numbers) if self.case.is_source else len(sizes)
        # Classes are distributed evenly over the groups, or over the samples, in random order.
        bounds = np.cumsum(self.case.shares)[:-1]
        labels = np.searchsorted(bounds, (self.rng.permutation(n) + 0.5) / n)
        shared = self.rng.normal(0, np.sqrt(self.case.shared), (len(sizes), _DIMENSIONS))
        return numbers, labels if self.case.is_source else labels[numbers], shared

    def of_groups(self, numbers: NDArray[np.int64], y: NDArray[np.int64], shared: NDArray[np.float64]) -> TrainingSet:
        """Return new samples of known groups."""
        own = self.rng.normal(0, np.sqrt(1 - self.case.shared), (len(numbers), _DIMENSIONS))
        X = (self.centres[y] + shared[numbers] + own).astype(np.float32)
        numbers = numbers + self._n_drawn
        self._n_drawn += len(shared)
        return TrainingSet(X, y, numbers, SingleLabel(tuple("abcdefghij"[: len(self.case.shares)])))

    def new(self) -> TrainingSet:
        """Return new samples of new groups: many synthetic ones, or all images that were not drawn."""
        if self.case.images is not None:
            return self._images(len(self.order) - self._n_drawn)
        sizes = self.case.sizes[:1] * (_NEW // self.case.sizes[0]) if self.case.is_source else (1,) * _NEW
        return self.draw(sizes)

    def _images(self, n: int) -> TrainingSet:
        images, at = self.case.images, self.order[self._n_drawn : self._n_drawn + n]
        self._n_drawn += n
        return TrainingSet(images.X[at], images.y[at], at, images.targets)


def join(one: TrainingSet, other: TrainingSet) -> TrainingSet:
    """Return the samples of two sets."""
    arrays = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in ("X", "y", "groups")}
    return replace(one, **arrays)


def correct_on(head: Head, data: TrainingSet, new: TrainingSet, seed: int) -> NDArray[np.bool_]:
    """Return which new samples a head predicts correctly that is tuned and fitted on a data set."""
    with quiet_single_threads():
        fitted = tune_and_fit(head, data, seed).estimator
    return scores_of(fitted, new.X, len(new.classes)).argmax(axis=1) == new.y


def _accuracy(case: Case, seed: int) -> list[Outcome]:
    population = Population(case, seed)
    data, new = population.draw(case.sizes), population.new()
    summary = cross_validate(case.head, data, 5, case.repeats, seed).summary
    return [Outcome(summary.accuracy, float(correct_on(case.head, data, new, seed).mean()))]


def _balanced(case: Case, seed: int) -> list[Outcome]:
    population = Population(case, seed)
    data, new = population.draw(case.sizes), population.new()
    summary = cross_validate(case.head, data, 5, case.repeats, seed).summary
    hit = correct_on(case.head, data, new, seed)
    return [
        Outcome(summary.balanced_accuracy, float(np.mean([hit[new.y == label].mean() for label in np.unique(new.y)])))
    ]


def _difference(case: Case, seed: int) -> list[Outcome]:
    population = Population(case, seed)
    data, new = population.draw(case.sizes), population.new()
    heads = case.head, make_head("centroid", {"shrink_threshold": None})
    one, other = (cross_validate(head, data, 5, case.repeats, seed) for head in heads)
    truth = [float(correct_on(head, data, new, seed).mean()) for head in heads]
    return [Outcome(paired_difference(one, other, data.y, data.groups), truth[0] - truth[1])]


def _ungrouped(case: Case, seed: int) -> list[Outcome]:
    population = Population(case, seed)
    numbers, y, shared = population.groups(case.sizes)
    data = population.of_groups(numbers, y, shared)
    many = np.repeat(np.arange(len(y)), _NEW // len(y))
    new = population.of_groups(numbers[many], y[many], shared)
    alone = replace(data, groups=np.arange(len(data.y)))
    summary = cross_validate(case.head, alone, 5, case.repeats, seed).summary
    return [Outcome(summary.accuracy, float(correct_on(case.head, data, new, seed).mean()))]


def _by_source(case: Case, seed: int) -> list[Outcome]:
    if case.images is None:
        return _accuracy(case, seed)
    images, rng = case.images, np.random.default_rng(seed)
    known = np.isin(images.sources, rng.permutation(np.unique(images.sources))[: case.n])
    data, new = (TrainingSet(images.X[at], images.y[at], images.sources[at], images.targets) for at in (known, ~known))
    summary = cross_validate(case.head, data, 5, case.repeats, seed).summary
    return [Outcome(summary.accuracy, float(correct_on(case.head, data, new, seed).mean()))]


def _test_part(case: Case, seed: int) -> list[Outcome]:
    population = Population(case, seed)
    sizes = case.sizes[:1] * (_TEST // case.sizes[0])
    data, test, new = population.draw(case.sizes), population.draw(sizes), population.new()
    hit = correct_on(case.head, data, join(test, new), seed)
    return [Outcome(share_of(hit[: len(test.y)], test.groups), float(hit[len(test.y) :].mean()))]


def _forecast(case: Case, seed: int) -> list[Outcome]:
    population = Population(case, seed)
    data, more, new = population.draw(case.sizes), population.draw(case.sizes), population.new()
    crossed = cross_validate(case.head, data, 5, case.repeats, seed)
    outlook = learning_curve(case.head, data, crossed, seed).outlook
    if outlook is None:
        raise SystemExit(f"{case.name}: too few samples for a forecast; give larger `--sizes`")
    both = join(data, more)
    repeated = cross_validate(case.head, both, 5, case.repeats, seed).summary.accuracy.mean
    now, later = (float(correct_on(case.head, known, new, seed).mean()) for known in (data, both))
    return [
        Outcome(outlook.at_twice, later, "forecast"),
        Outcome(outlook.at_twice, repeated, "forecast, repeated"),
        Outcome(outlook.gain, later - now, "gain", outlook.answer),
    ]


FIGURES: dict[str, Callable[[Case, int], list[Outcome]]] = {
    "accuracy": _accuracy,
    "balanced accuracy": _balanced,
    "difference": _difference,
    "ungrouped": _ungrouped,
    "by source": _by_source,
    "test part": _test_part,
    "forecast": _forecast,
}


if __name__ == "__main__":
    main()
