"""Accuracies with their intervals: of folds, of classes, of pictures set aside or from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
    def from_dict(cls, values: dict[str, float]) -> Interval:
        """Read what :meth:`to_dict` gave."""
        return cls(float(values["mean"]), float(values["low"]), float(values["high"]))


@dataclass(frozen=True)
class ClassScore:
    """How one class fared in cross-validation.

    Parameters
    ----------
    name : str
    precision, recall, f1 : float
    n : int
        Its pictures.
    """

    name: str
    precision: float
    recall: float
    f1: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"class": self.name, "precision": self.precision, "recall": self.recall, "f1": self.f1, "n": self.n}


@dataclass(frozen=True)
class CrossValidation:
    """Accuracy of the whole procedure, tuning included, on pictures it had not seen.

    Parameters
    ----------
    splitter : str
        The scikit-learn class that cut the folds.
    n_folds, repeats : int
    accuracy, balanced_accuracy : Interval
        Means over folds with 95 % intervals.
    per_fold : tuple of float
        Accuracy of each fold, repeat by repeat.
    per_class : tuple of ClassScore
        From the first repeat.
    confusion : tuple of tuple of int
        Pictures of each class (rows) that were taken for each class (columns), first repeat.
    untested : tuple of str
        Classes that were learnt but not tested: they are rare, and all of their pictures are one group.
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
    def from_dict(cls, values: dict[str, Any]) -> CrossValidation:
        """Read what :meth:`to_dict` gave."""
        return cls(
            str(values["splitter"]),
            int(values["n_folds"]),
            int(values["repeats"]),
            Interval.from_dict(values["accuracy"]),
            Interval.from_dict(values["balanced_accuracy"]),
            tuple(float(score) for score in values["per_fold"]),
            tuple(
                ClassScore(str(c["class"]), float(c["precision"]), float(c["recall"]), float(c["f1"]), int(c["n"]))
                for c in values["per_class"]
            ),
            tuple(tuple(int(n) for n in row) for row in values["confusion"]),
            tuple(str(name) for name in values.get("untested", ())),
        )


@dataclass(frozen=True)
class HeldOut:
    """Accuracy on a part of the data set that was set aside by its owner.

    Parameters
    ----------
    accuracy : Interval or None
        Without the pictures that share a group with a training picture; None if none is left.
    n : int
        Pictures it counts.
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
    def from_dict(cls, values: dict[str, Any] | None) -> HeldOut | None:
        """Read what :meth:`to_dict` gave."""
        if values is None:
            return None
        accuracy = None
        if values["accuracy"] is not None:
            accuracy = Interval(float(values["accuracy"]), float(values["low"]), float(values["high"]))
        per_class = tuple(
            ClassScore(str(c["class"]), float(c["precision"]), float(c["recall"]), float(c["f1"]), int(c["n"]))
            for c in values.get("per_class", ())
        )
        confusion = tuple(tuple(int(n) for n in row) for row in values.get("confusion", ()))
        n_as_given = int(values["n_as_given"])
        return cls(accuracy, int(values["n"]), float(values["as_given"]), n_as_given, per_class, confusion)


@dataclass(frozen=True)
class Outside:
    """Accuracy on labelled pictures from elsewhere.

    Parameters
    ----------
    accuracy : Interval or None
        Without the pictures that the head was fitted on and their near-copies; None if none is left.
    n : int
        Pictures it counts.
    as_given : float
        Accuracy on all of them.
    n_as_given : int
    n_seen, n_near : int
        Pictures that the head was fitted on; near-copies of such.
    baseline : float or None
        Accuracy, on the pictures that count, of always naming the class that most of them have.
    baseline_class : str
    per_class : tuple of ClassScore
    confusion : tuple of tuple of int
        Pictures of each class (rows) that were taken for each class (columns).
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
            "per_class": [one.to_dict() for one in self.per_class],
            "confusion": [list(row) for row in self.confusion],
        }
