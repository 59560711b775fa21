"""What is known of a classifier's accuracy: plain frozen values, to and from a dictionary."""

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
    """

    splitter: str
    n_folds: int
    repeats: int
    accuracy: Interval
    balanced_accuracy: Interval
    per_fold: tuple[float, ...]
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

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
    """

    accuracy: Interval | None
    n: int
    as_given: float
    n_as_given: int

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``val`` or ``test`` in ``featx fit --json``."""
        return {
            "accuracy": None if self.accuracy is None else self.accuracy.mean,
            "low": None if self.accuracy is None else self.accuracy.low,
            "high": None if self.accuracy is None else self.accuracy.high,
            "n": self.n,
            "as_given": self.as_given,
            "n_as_given": self.n_as_given,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> HeldOut | None:
        """Read what :meth:`to_dict` gave."""
        if values is None:
            return None
        accuracy = None
        if values["accuracy"] is not None:
            accuracy = Interval(float(values["accuracy"]), float(values["low"]), float(values["high"]))
        return cls(accuracy, int(values["n"]), float(values["as_given"]), int(values["n_as_given"]))


@dataclass(frozen=True)
class Outside:
    """Accuracy on labelled pictures from elsewhere.

    Parameters
    ----------
    accuracy : Interval or None
        Without the pictures that the head was fitted on; None if none is left.
    n : int
        Pictures it counts.
    as_given : float
        Accuracy on all of them.
    n_as_given : int
    per_class : tuple of ClassScore
    confusion : tuple of tuple of int
        Pictures of each class (rows) that were taken for each class (columns).
    """

    accuracy: Interval | None
    n: int
    as_given: float
    n_as_given: int
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "accuracy": None if self.accuracy is None else self.accuracy.to_dict(),
            "n": self.n,
            "as_given": self.as_given,
            "n_as_given": self.n_as_given,
            "per_class": [one.to_dict() for one in self.per_class],
            "confusion": [list(row) for row in self.confusion],
        }


@dataclass(frozen=True)
class SourceAccuracy:
    """Accuracy where all pictures of one source stay on one side of every split.

    Parameters
    ----------
    name : str
        ``name``, ``folder`` or a column of the manifest.
    group_by : str
        What ``--group-by`` takes to hold it for the honest number.
    n_sources : int
    examples : tuple of str
        The first and the last source.
    accuracy : Interval
        Of the head as fitted.
    """

    name: str
    group_by: str
    n_sources: int
    examples: tuple[str, ...]
    accuracy: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return an entry of ``sources`` in ``featx fit --json``."""
        return {
            "name": self.name,
            "group_by": self.group_by,
            "n_sources": self.n_sources,
            "examples": list(self.examples),
            "accuracy": self.accuracy.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SourceAccuracy:
        """Read what :meth:`to_dict` gave."""
        return cls(
            str(values["name"]),
            str(values["group_by"]),
            int(values["n_sources"]),
            tuple(str(example) for example in values["examples"]),
            Interval.from_dict(values["accuracy"]),
        )


@dataclass(frozen=True)
class Reliability:
    """Whether calibrated probabilities of pictures that the head had not seen come true.

    Parameters
    ----------
    brier : float
        Mean squared difference of the probabilities and what was true, summed over classes (Brier 1950).
    ece : float
        Mean difference of confidence and accuracy over the bins, weighed by their pictures (Naeini et al. 2015).
    bins : tuple of (confidence, accuracy, n)
        Means of the pictures of each bin that has any, and their number.
    """

    brier: float
    ece: float
    bins: tuple[tuple[float, float, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``reliability`` in ``featx fit --json``."""
        names = ("confidence", "accuracy", "n")
        return {
            "brier": self.brier,
            "ece": self.ece,
            "bins": [dict(zip(names, one, strict=True)) for one in self.bins],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Reliability:
        """Read what :meth:`to_dict` gave."""
        bins = tuple((float(b["confidence"]), float(b["accuracy"]), int(b["n"])) for b in values["bins"])
        return cls(float(values["brier"]), float(values["ece"]), bins)


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy by the number of pictures to learn from.

    Parameters
    ----------
    points : tuple of (int, Interval)
        Pictures learnt from, and the accuracy of the head as fitted on the same test parts.
    at_twice : float or None
        Accuracy to expect with twice the pictures that there are, if the trend holds.
    """

    points: tuple[tuple[int, Interval], ...]
    at_twice: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``learning_curve`` in ``featx fit --json``."""
        points = [{"n": n, "accuracy": accuracy.to_dict()} for n, accuracy in self.points]
        return {"points": points, "at_twice": self.at_twice}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LearningCurve:
        """Read what :meth:`to_dict` gave."""
        points = tuple((int(one["n"]), Interval.from_dict(one["accuracy"])) for one in values["points"])
        return cls(points, None if values["at_twice"] is None else float(values["at_twice"]))


@dataclass(frozen=True)
class Evaluation:
    """What is known of a classifier's accuracy.

    Parameters
    ----------
    head : str
    params : dict
        Chosen on all training pictures.
    classes : tuple of str
    n_images : int
        Training pictures.
    n_groups : int
        Groups of them that folds keep together.
    groups : dict
        What makes the groups: numbers of copies, near-copies, takes and their frames, named groups.
    cv : CrossValidation or None
        None where no honest number exists.
    cv_reason : str
        Why there is none.
    naive_accuracy : Interval or None
        Cross-validated accuracy if groups are torn apart, as is commonly reported.
    sources : tuple of SourceAccuracy
        Accuracy by what may be the pictures' sources.
    reliability : Reliability or None
    learning : LearningCurve or None
        Both None where there was no cross-validation.
    baseline : float
        Accuracy of always naming the largest class.
    baseline_class : str
    val, test : HeldOut or None
    notes : tuple of str
        What a reader must know: folds reduced, fits that did not converge.
    seconds : float
        Wall time of tuning, cross-validation and fitting.
    """

    head: str
    params: dict[str, Any]
    classes: tuple[str, ...]
    n_images: int
    n_groups: int
    groups: dict[str, Any]
    cv: CrossValidation | None
    cv_reason: str
    naive_accuracy: Interval | None
    sources: tuple[SourceAccuracy, ...]
    reliability: Reliability | None
    learning: LearningCurve | None
    baseline: float
    baseline_class: str
    val: HeldOut | None
    test: HeldOut | None
    notes: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx fit --json``, but for ``model``."""
        naive = self.naive_accuracy
        return {
            "head": self.head,
            "params": self.params,
            "classes": list(self.classes),
            "n_images": self.n_images,
            "n_groups": self.n_groups,
            "groups": dict(self.groups),
            "cv": None if self.cv is None else self.cv.to_dict(),
            "cv_reason": self.cv_reason,
            "naive_cv": None if naive is None else {"accuracy": naive.to_dict()},
            "sources": [source.to_dict() for source in self.sources],
            "reliability": None if self.reliability is None else self.reliability.to_dict(),
            "learning_curve": None if self.learning is None else self.learning.to_dict(),
            "baseline": {"accuracy": self.baseline, "class": self.baseline_class},
            "val": None if self.val is None else self.val.to_dict(),
            "test": None if self.test is None else self.test.to_dict(),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Evaluation:
        """Read what :meth:`to_dict` gave."""
        cv, naive = values["cv"], values["naive_cv"]
        return cls(
            str(values["head"]),
            dict(values["params"]),
            tuple(str(name) for name in values["classes"]),
            int(values["n_images"]),
            int(values["n_groups"]),
            dict(values["groups"]),
            None if cv is None else CrossValidation.from_dict(cv),
            str(values["cv_reason"]),
            None if naive is None else Interval.from_dict(naive["accuracy"]),
            tuple(SourceAccuracy.from_dict(source) for source in values["sources"]),
            None if values["reliability"] is None else Reliability.from_dict(values["reliability"]),
            None if values["learning_curve"] is None else LearningCurve.from_dict(values["learning_curve"]),
            float(values["baseline"]["accuracy"]),
            str(values["baseline"]["class"]),
            HeldOut.from_dict(values["val"]),
            HeldOut.from_dict(values["test"]),
            tuple(str(note) for note in values["notes"]),
            float(values["seconds"]),
        )

    def __str__(self) -> str:
        if self.cv is None:
            return f"no cross-validated accuracy: {self.cv_reason}"
        a = self.cv.accuracy
        return (
            f"accuracy {a.mean:.3f} ({a.low:.3f} to {a.high:.3f}), "
            f'always "{self.baseline_class}": {self.baseline:.3f}, '
            f"{self.cv.n_folds} folds of {self.n_images:,} pictures in {self.n_groups:,} groups"
        )
