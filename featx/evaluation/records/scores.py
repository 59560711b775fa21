"""Accuracies with confidence intervals: cross-validated, by class, and on held-out parts."""

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
    """An estimate with its 95 % confidence interval.

    Parameters
    ----------
    mean : float
        The estimate.
    low, high : float
        Bounds of the interval.
    """

    mean: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return ``mean``, ``low`` and ``high``."""
        return {"mean": self.mean, "low": self.low, "high": self.high}

    @classmethod
    def from_fields(cls, fields: Fields, mean: str = "mean", least: float = 0.0, most: float = 1.0) -> Interval:
        """Read the output of :meth:`to_dict`, with the estimate under the key ``mean``.

        Raises
        ------
        ClassifierError
            If a number is missing or outside ``least`` to ``most``, or the estimate lies outside the interval.
        """
        read = cls(*(fields.number(name, least, most) for name in (mean, "low", "high")))
        if not read.low - _ROUNDING <= read.mean <= read.high + _ROUNDING:
            raise fields.contradicts(f"the mean {read.mean:g} lies outside {read.low:g} to {read.high:g}")
        return read


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of one class.

    Parameters
    ----------
    name : str
        Name of the class.
    precision, recall, f1 : float
    n : int
        Number of images of the class.
    """

    name: str
    precision: float
    recall: float
    f1: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return a dict of JSON values."""
        return {"class": self.name, "precision": self.precision, "recall": self.recall, "f1": self.f1, "n": self.n}

    @classmethod
    def from_fields(cls, fields: Fields) -> ClassScore:
        """Read the output of :meth:`to_dict`; a missing or invalid value raises a ClassifierError."""
        precision, recall, f1 = (fields.share(name) for name in ("precision", "recall", "f1"))
        return cls(fields.text("class"), precision, recall, f1, fields.count("n"))


class ByClass(NamedTuple):
    """Scores of each class, and the confusion matrix. Both are empty without images.

    Parameters
    ----------
    per_class : tuple of ClassScore
    confusion : tuple of tuple of int
        Number of images by true class (rows) and predicted class (columns).
    """

    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, targets: SingleLabel, predicted: NDArray[np.int64], y: NDArray[np.int64]) -> ByClass:
        """Compare predicted with true class indices, both of shape (n_samples,)."""
        if not len(y):
            return cls()
        confusion = targets.confusion(predicted, y)
        rates = zip(targets.classes, targets.rates(confusion), strict=True)
        per_class = tuple(ClassScore(name, *values) for name, values in rates)
        return cls(per_class, tuple(tuple(row) for row in confusion.tolist()))

    @classmethod
    def from_fields(cls, fields: Fields, classes: Sequence[str]) -> ByClass:
        """Read ``per_class`` and ``confusion``, and check that they agree.

        Raises
        ------
        ClassifierError
            If a value is missing or invalid, or contradicts another value or the classes.
        """
        per_class = tuple(ClassScore.from_fields(one) for one in fields.parts("per_class"))
        confusion = tuple(
            Fields({"confusion": row}, fields.place).counts("confusion") for row in fields.entries("confusion")
        )
        n = len(classes)
        if [one.name for one in per_class] != list(classes):
            raise fields.contradicts("its classes differ from the classes of the model")
        if len(confusion) != n or any(len(row) != n for row in confusion):
            raise fields.contradicts(f"its confusion matrix is not {n} x {n}")
        rates = SingleLabel(tuple(classes)).rates(np.array(confusion, np.int64))
        for one, counted in zip(per_class, rates, strict=True):
            error = abs(one.recall - counted.recall) + abs(one.precision - counted.precision)
            if one.n != counted.n or error > _ROUNDING:
                raise fields.contradicts(f"the scores of class {one.name!r} differ from the confusion matrix")
        if not any(map(sum, confusion)):
            raise fields.contradicts("its confusion matrix has no images")
        return cls(per_class, confusion)


@dataclass(frozen=True)
class CrossValidation:
    """Cross-validated accuracy of the whole procedure, tuning included.

    Every tested image has one out-of-fold prediction, made in the first repeat by the head of the fold whose test
    part contains the image. All results are computed from these predictions; only ``per_fold`` and the confidence
    intervals use the folds of further repeats.

    Parameters
    ----------
    splitter : str
        The scikit-learn class that made the folds.
    n_folds, repeats : int
    accuracy : Interval
        Share of correct out-of-fold predictions: the trace of ``confusion`` divided by its sum.
    balanced_accuracy : Interval
        Mean recall of the classes in ``per_class``.
    per_fold : tuple of float
        Accuracy on each test fold, ordered by repeat.
    per_class : tuple of ClassScore
    confusion : tuple of tuple of int
        Number of images by true class (rows) and out-of-fold prediction (columns).
    untested : tuple of str
        Rare classes whose images form a single group: they are in every training part and in no test fold.
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
        """Read the output of :meth:`to_dict`.

        Raises
        ------
        ClassifierError
            If a value is missing or invalid, or contradicts another value or the classes.
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
            raise fields.contradicts(f"it has {n_scores} accuracies for {self.n_folds} folds in {self.repeats} repeats")
        if not set(self.untested) <= set(classes):
            raise fields.contradicts("an untested class is not a class of the model")
        _check_share(fields, self.accuracy.mean, self.confusion)
        folds = self.per_fold[: self.n_folds]
        if not min(folds) - _ROUNDING <= self.accuracy.mean <= max(folds) + _ROUNDING:
            raise fields.contradicts("its accuracy lies outside the range of its folds")
        recalls = [one.recall for one in self.per_class if one.n]
        if abs(sum(recalls) / len(recalls) - self.balanced_accuracy.mean) > _ROUNDING:
            raise fields.contradicts("its balanced accuracy is not the mean recall of the classes")


def _check_share(fields: Fields, accuracy: float, confusion: Sequence[Sequence[int]]) -> None:
    n = sum(map(sum, confusion))
    if abs(sum(row[i] for i, row in enumerate(confusion)) / n - accuracy) > _ROUNDING:
        raise fields.contradicts("its accuracy differs from the accuracy of its confusion matrix")


@dataclass(frozen=True)
class HeldOut:
    """Accuracy on the validation or test part of a data set.

    Parameters
    ----------
    accuracy : Interval or None
        Accuracy on the images that share no group with a training image; None if there are no such images.
    n : int
        Number of images that share no group with a training image.
    as_given : float
        Accuracy on all images of the part.
    n_as_given : int
        Number of all images of the part.
    per_class : tuple of ClassScore
        Scores on the images counted by ``n``; empty if unknown.
    confusion : tuple of tuple of int
        Confusion matrix of the images counted by ``n``; empty if unknown.
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
        """Read the output of :meth:`to_dict`.

        Raises
        ------
        ClassifierError
            If a value is missing or invalid, or two values contradict each other.
        """
        accuracy = Interval.from_fields(fields, "accuracy") if "accuracy" in fields else None
        is_known = bool(fields.values.get("confusion") or fields.values.get("per_class"))
        by_class = ByClass.from_fields(fields, classes) if is_known else ByClass()
        read = cls(accuracy, fields.count("n"), fields.share("as_given"), fields.count("n_as_given", 1), *by_class)
        if read.n > read.n_as_given or (accuracy is None) != (read.n == 0):
            raise fields.contradicts(f"n is {read.n}, n_as_given is {read.n_as_given}, and accuracy is {accuracy}")
        if is_known and (accuracy is None or sum(map(sum, read.confusion)) != read.n):
            raise fields.contradicts(f"its confusion matrix does not have {read.n} images")
        if is_known and accuracy is not None:
            _check_share(fields, accuracy.mean, read.confusion)
        return read
