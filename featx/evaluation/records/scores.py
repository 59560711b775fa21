"""Accuracies with their intervals: of folds, of classes, of images set aside or from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.records.fields import Fields
from featx.targets import SingleLabel

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval.

    Parameters
    ----------
    mean, low, high : float
    """

    mean: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return ``mean``, ``low`` and ``high``."""
        return {"mean": self.mean, "low": self.low, "high": self.high}

    @classmethod
    def from_fields(cls, fields: Fields, mean: str = "mean", least: float = 0.0, most: float = 1.0) -> Interval:
        """Read what :meth:`to_dict` gave, with its mean under some name.

        Raises
        ------
        ClassifierError
            A figure is missing or out of limits, or the mean lies outside the interval.
        """
        read = cls(*(fields.number(name, least, most) for name in (mean, "low", "high")))
        if not read.low - _ROUNDING <= read.mean <= read.high + _ROUNDING:
            raise fields.contradicts(f"the mean {read.mean:g} lies outside {read.low:g} to {read.high:g}")
        return read


def judge_baseline(accuracy: Interval, baseline: float, baseline_class: str | None = None) -> str:
    """Return a sentence where an accuracy is not surely above that of always the same answer; empty where it is.

    Parameters
    ----------
    accuracy : Interval
    baseline : float
        Accuracy of the constant answer on the same images.
    baseline_class : str, optional
        That answer; the largest class if not given.
    """
    if accuracy.low > baseline:
        return ""
    answer = "the largest class" if baseline_class is None else f'"{baseline_class}"'
    always = f"always answering {answer} ({baseline:.3f})"
    if accuracy.mean > baseline:
        return f"{accuracy.mean:.3f} may be no better than {always}: its interval does not lie above that"
    return f"{accuracy.mean:.3f} is not better than {always}"


@dataclass(frozen=True)
class ClassScore:
    """How one class fared in cross-validation.

    Parameters
    ----------
    name : str
    precision, recall, f1 : float
    n : int
        Its images.
    """

    name: str
    precision: float
    recall: float
    f1: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"class": self.name, "precision": self.precision, "recall": self.recall, "f1": self.f1, "n": self.n}

    @classmethod
    def from_fields(cls, fields: Fields) -> ClassScore:
        """Read what :meth:`to_dict` gave; a ClassifierError if a value is missing or wrong."""
        precision, recall, f1 = (fields.share(name) for name in ("precision", "recall", "f1"))
        return cls(fields.text("class"), precision, recall, f1, fields.count("n"))


class ByClass(NamedTuple):
    """How each class fared.

    Parameters
    ----------
    per_class : tuple of ClassScore
    confusion : tuple of tuple of int
        Images of each class (rows) by their answer (columns). Both are empty where there is no image.
    """

    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, targets: SingleLabel, answers: NDArray[np.int64], y: NDArray[np.int64]) -> ByClass:
        """Compare answers with class numbers, both of shape (n_samples,)."""
        if not len(y):
            return cls()
        confusion = targets.confusion(answers, y)
        rates = zip(targets.classes, targets.rates(confusion), strict=True)
        per_class = tuple(ClassScore(name, *figures) for name, figures in rates)
        return cls(per_class, tuple(tuple(row) for row in confusion.tolist()))

    @classmethod
    def from_fields(cls, fields: Fields, classes: Sequence[str]) -> ByClass:
        """Read ``per_class`` and ``confusion``, each of which says what the other does.

        Raises
        ------
        ClassifierError
            A value is missing or wrong, or contradicts another one or the classes.
        """
        per_class = tuple(ClassScore.from_fields(one) for one in fields.parts("per_class"))
        confusion = tuple(
            Fields({"confusion": row}, fields.place).counts("confusion") for row in fields.entries("confusion")
        )
        n = len(classes)
        if [one.name for one in per_class] != list(classes):
            raise fields.contradicts("its classes are not those of the model")
        if len(confusion) != n or any(len(row) != n for row in confusion):
            raise fields.contradicts(f"its confusion is not {n} x {n}")
        rates = SingleLabel(tuple(classes)).rates(np.array(confusion, np.int64))
        for one, counted in zip(per_class, rates, strict=True):
            error = abs(one.recall - counted.recall) + abs(one.precision - counted.precision)
            if one.n != counted.n or error > _ROUNDING:
                raise fields.contradicts(f"the figures of class {one.name!r} are not those of its confusion")
        if not any(map(sum, confusion)):
            raise fields.contradicts("no image was tested")
        return cls(per_class, confusion)


@dataclass(frozen=True)
class CrossValidation:
    """Accuracy of the whole procedure, tuning included, on images it had not seen.

    Every tested image has one out-of-fold prediction, by the head of the fold that had left it out (of the first
    repeat). All figures count these; only ``per_fold`` and the intervals look at the folds of further repeats.

    Parameters
    ----------
    splitter : str
        The scikit-learn class that cut the folds.
    n_folds, repeats : int
    accuracy : Interval
        Share of the tested images whose out-of-fold prediction is right: the trace of ``confusion`` over its sum.
    balanced_accuracy : Interval
        Mean of the recalls of ``per_class``.
    per_fold : tuple of float
        Accuracy of each fold, repeat by repeat.
    per_class : tuple of ClassScore
    confusion : tuple of tuple of int
        Images of each class (rows) by their out-of-fold prediction (columns).
    untested : tuple of str
        Classes that were learnt but not tested: they are rare, and all of their images are one group.
    """

    splitter: str
    n_folds: int
    repeats: int
    accuracy: Interval
    balanced_accuracy: Interval
    per_fold: tuple[float, ...]
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    untested: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``cv`` in ``featx fit --json``."""
        return {
            "splitter": self.splitter,
            "n_folds": self.n_folds,
            "repeats": self.repeats,
            "accuracy": self.accuracy.to_dict(),
            "balanced_accuracy": self.balanced_accuracy.to_dict(),
            "per_fold": list(self.per_fold),
            "per_class": [one.to_dict() for one in self.per_class],
            "confusion": [list(row) for row in self.confusion],
            "untested": list(self.untested),
        }

    @classmethod
    def from_fields(cls, fields: Fields, classes: Sequence[str]) -> CrossValidation:
        """Read what :meth:`to_dict` gave.

        Raises
        ------
        ClassifierError
            A value is missing or wrong, or contradicts another one or the classes.
        """
        read = cls(
            fields.text("splitter"),
            fields.count("n_folds", 1),
            fields.count("repeats", 1),
            Interval.from_fields(fields.part("accuracy")),
            Interval.from_fields(fields.part("balanced_accuracy")),
            fields.shares("per_fold"),
            *ByClass.from_fields(fields, classes),
            fields.texts("untested") if "untested" in fields else (),
        )
        read._check(fields, classes)
        return read

    def _check(self, fields: Fields, classes: Sequence[str]) -> None:
        n_scores = len(self.per_fold)
        if n_scores < self.n_folds or (self.repeats == 1 and n_scores > self.n_folds):
            raise fields.contradicts(f"{self.n_folds} folds, {self.repeats} times, have {n_scores} accuracies")
        if not set(self.untested) <= set(classes):
            raise fields.contradicts("a class that was not tested is none of the model")
        _check_share(fields, self.accuracy.mean, self.confusion)
        folds = self.per_fold[: self.n_folds]
        if not min(folds) - _ROUNDING <= self.accuracy.mean <= max(folds) + _ROUNDING:
            raise fields.contradicts("its accuracy is not within those of its folds")
        recalls = [one.recall for one in self.per_class if one.n]
        if abs(sum(recalls) / len(recalls) - self.balanced_accuracy.mean) > _ROUNDING:
            raise fields.contradicts("its balanced accuracy is not the mean of its recalls")


def _check_share(fields: Fields, accuracy: float, confusion: Sequence[Sequence[int]]) -> None:
    n = sum(map(sum, confusion))
    if abs(sum(row[i] for i, row in enumerate(confusion)) / n - accuracy) > _ROUNDING:
        raise fields.contradicts("its accuracy is not that of its confusion")


@dataclass(frozen=True)
class HeldOut:
    """Accuracy on a part of the data set that was set aside by its owner.

    Parameters
    ----------
    accuracy : Interval or None
        Without the images that share a group with a training image; None if none is left.
    n : int
        Images it counts.
    as_given : float
        Accuracy on all of them.
    n_as_given : int
    per_class : tuple of ClassScore
    confusion : tuple of tuple of int
        Both of the images that ``accuracy`` counts; empty if they are not known.
    """

    accuracy: Interval | None
    n: int
    as_given: float
    n_as_given: int
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``val`` or ``test`` in ``featx fit --json``."""
        return {
            "accuracy": None if self.accuracy is None else self.accuracy.mean,
            "low": None if self.accuracy is None else self.accuracy.low,
            "high": None if self.accuracy is None else self.accuracy.high,
            "n": self.n,
            "as_given": self.as_given,
            "n_as_given": self.n_as_given,
            "per_class": [one.to_dict() for one in self.per_class],
            "confusion": [list(row) for row in self.confusion],
        }

    @classmethod
    def from_fields(cls, fields: Fields, classes: Sequence[str]) -> HeldOut:
        """Read what :meth:`to_dict` gave.

        Raises
        ------
        ClassifierError
            A value is missing or wrong, or they contradict each other.
        """
        accuracy = Interval.from_fields(fields, "accuracy") if "accuracy" in fields else None
        is_known = bool(fields.values.get("confusion") or fields.values.get("per_class"))
        figures = ByClass.from_fields(fields, classes) if is_known else ByClass()
        read = cls(accuracy, fields.count("n"), fields.share("as_given"), fields.count("n_as_given", 1), *figures)
        if read.n > read.n_as_given or (accuracy is None) != (read.n == 0):
            raise fields.contradicts(f"it counts {read.n} of {read.n_as_given} images, accuracy {accuracy}")
        if is_known and (accuracy is None or sum(map(sum, read.confusion)) != read.n):
            raise fields.contradicts(f"its confusion does not count its {read.n} images")
        if is_known and accuracy is not None:
            _check_share(fields, accuracy.mean, read.confusion)
        return read


@dataclass(frozen=True)
class Outside:
    """Accuracy on labelled images from elsewhere.

    Parameters
    ----------
    accuracy : Interval or None
        Without the images that the head was fitted on and their near-copies; None if none is left.
    n : int
        Images it counts.
    as_given : float
        Accuracy on all of them.
    n_as_given : int
    n_seen, n_near : int
        Images that the head was fitted on; near-copies of such.
    baseline : float or None
        Accuracy, on the images that count, of always naming the class that most of them have.
    baseline_class : str
    per_class : tuple of ClassScore
    confusion : tuple of tuple of int
        Images of each class (rows) that were taken for each class (columns).
    """

    accuracy: Interval | None
    n: int
    as_given: float
    n_as_given: int
    n_seen: int
    n_near: int
    baseline: float | None
    baseline_class: str
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def verdict(self) -> str:
        """A sentence where the accuracy is not surely above the baseline; empty where it is, or where there is none."""
        if self.accuracy is None or self.baseline is None:
            return ""
        return judge_baseline(self.accuracy, self.baseline, self.baseline_class)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "accuracy": None if self.accuracy is None else self.accuracy.to_dict(),
            "n": self.n,
            "as_given": self.as_given,
            "n_as_given": self.n_as_given,
            "n_seen": self.n_seen,
            "n_near": self.n_near,
            "baseline": None if self.baseline is None else {"accuracy": self.baseline, "class": self.baseline_class},
            "verdict": self.verdict,
            "per_class": [one.to_dict() for one in self.per_class],
            "confusion": [list(row) for row in self.confusion],
        }
