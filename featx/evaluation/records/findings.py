"""Further results: accuracy by group hint, learning curve, reliability of probabilities, effect of views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from featx.evaluation.records.fields import MOST, Fields
from featx.evaluation.records.scores import Interval

Answer = Literal["yes", "no", "unclear"]
"""Whether more images would increase the accuracy."""

_FURTHEST = 100.0
"""Largest accepted bound of an interval of differences. With two folds that differ, the t interval far exceeds the
possible differences of -1 to 1."""


@dataclass(frozen=True)
class GroupHintAccuracy:
    """Accuracy if all images with the same value of a group hint stay on one side of every split.

    Parameters
    ----------
    name : str
        Kind of the group hint: ``name``, ``folder`` or the name of a column of the manifest.
    group_by : str
        Value of the parameter ``group_by`` that groups by this hint.
    n_values : int
        Number of different values.
    examples : tuple of str
        The first and the last value.
    accuracy : Interval
        Cross-validated accuracy of the head, with hyper-parameters that are tuned inside each fold.
    """

    name: str
    group_by: str
    n_values: int
    examples: tuple[str, ...]
    accuracy: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return an entry of ``group_hints`` in ``featx fit --json``."""
        return {
            "name": self.name,
            "group_by": self.group_by,
            "n_values": self.n_values,
            "examples": list(self.examples),
            "accuracy": self.accuracy.to_dict(),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> GroupHintAccuracy:
        """Read the output of :meth:`to_dict`; a missing or invalid value raises a ClassifierError."""
        read = cls(
            fields.text("name"),
            fields.text("group_by"),
            fields.count("n_values", 1),
            fields.texts("examples"),
            Interval.from_fields(fields.part("accuracy")),
        )
        if not read.examples:
            raise fields.contradicts(f"it has {read.n_values} values but no examples")
        return read


@dataclass(frozen=True)
class ViewsGain:
    """Effect of augmented views: the same head trained with and without views, on the same folds.

    Parameters
    ----------
    n : int
        Number of views of each image among the training rows.
    policy : str
        Augmentation policy.
    seed : int
        Random seed of the views.
    without : Interval or None
        Accuracy without views; None without cross-validation.
    difference : Interval or None
        Accuracy with views minus accuracy without, paired over the folds; None without cross-validation.
    """

    n: int
    policy: str
    seed: int
    without: Interval | None
    difference: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``views`` in ``featx fit --json``."""
        return {
            "k": self.n,
            "policy": self.policy,
            "seed": self.seed,
            "without": None if self.without is None else {"accuracy": self.without.to_dict()},
            "difference": None if self.difference is None else self.difference.to_dict(),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> ViewsGain:
        """Read the output of :meth:`to_dict`; a missing or invalid value raises a ClassifierError."""
        without = Interval.from_fields(fields.part("without").part("accuracy")) if "without" in fields else None
        read = cls(
            fields.count("k", 1),
            fields.text("policy"),
            fields.count("seed", -MOST),
            without,
            read_difference(fields) if "difference" in fields else None,
        )
        if (read.without is None) != (read.difference is None):
            raise fields.contradicts("the accuracy without views or the difference is missing")
        return read


def read_difference(fields: Fields, name: str = "difference") -> Interval:
    """Read the interval of a difference of accuracies; an invalid interval raises a ClassifierError."""
    return Interval.from_fields(fields.part(name), least=-_FURTHEST, most=_FURTHEST)


class ReliabilityBin(NamedTuple):
    """Images of similar confidence.

    Parameters
    ----------
    confidence, accuracy : float
        Mean confidence and accuracy of the images in the bin.
    n : int
        Number of images.
    """

    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True)
class Reliability:
    """Reliability of calibrated out-of-fold probabilities.

    Parameters
    ----------
    brier : float
        Brier score: mean squared difference between probabilities and true classes, summed over classes (Brier 1950).
    ece : float
        Expected calibration error: mean absolute difference between confidence and accuracy of the bins, weighted by
        their number of images (Naeini et al. 2015).
    bins : tuple of ReliabilityBin
        Bins that contain at least one image.
    """

    brier: float
    ece: float
    bins: tuple[ReliabilityBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``reliability`` in ``featx fit --json``."""
        return {"brier": self.brier, "ece": self.ece, "bins": [one._asdict() for one in self.bins]}

    @classmethod
    def from_fields(cls, fields: Fields) -> Reliability:
        """Read the output of :meth:`to_dict`; a missing or invalid value raises a ClassifierError."""
        bins = tuple(
            ReliabilityBin(one.share("confidence"), one.share("accuracy"), one.count("n", 1))
            for one in fields.parts("bins")
        )
        if not bins:
            raise fields.contradicts("it has no bins")
        return cls(fields.number("brier", 0, 2), fields.share("ece"), bins)


@dataclass(frozen=True)
class Outlook:
    """Extrapolation of a learning curve: would more images help, and how many are needed?

    The gain from the next doubling of the images is extrapolated from the gain from the last doubling.

    Parameters
    ----------
    n : int
        Number of images now.
    now : float
        Cross-validated accuracy now.
    at_twice : Interval
        Expected accuracy with twice as many images. The interval accounts for the uncertainty of the present accuracy
        and of the gain.
    gain : Interval
        Expected accuracy with twice as many images minus the accuracy now.
    to_halve : int or None
        Number of additional images that halves the errors; None if the trend is too flat for an estimate.
    answer : {"yes", "no", "unclear"}
        Whether twice as many images increase the accuracy by at least 0.01: "yes" if the 95 % interval of the gain
        lies above 0 and the expected gain is at least 0.01, "no" if the interval lies below 0.01, otherwise "unclear".
    """

    n: int
    now: float
    at_twice: Interval
    gain: Interval
    to_halve: int | None
    answer: Answer

    def __str__(self) -> str:
        twice = self.at_twice
        interval = f"(95 % CI {twice.low:.3f} to {twice.high:.3f})"
        expected = f"the expected accuracy is {twice.mean:.3f} {interval} with {2 * self.n:,} images"
        change = f"{self.gain.mean:+.3f}, 95 % CI {self.gain.low:+.3f} to {self.gain.high:+.3f}"
        doubt = ", too uncertain for an answer" if self.answer == "unclear" else ""
        now = (
            f"the cross-validated accuracy of the present {self.n:,} images is {self.now:.3f} "
            f"(difference {change}{doubt})"
        )
        halved = ""
        if self.answer == "yes" and self.to_halve:
            halved = (
                f"; with about {_two_digits(self.to_halve):,} more images, half of the present error rate is expected"
            )
        return f"{self.answer}: {expected}; {now}{halved}"

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``outlook`` in a learning curve."""
        names = ("n", "now", "to_halve", "answer")
        values = {name: getattr(self, name) for name in names}
        intervals = {"at_twice": self.at_twice.to_dict(), "gain": self.gain.to_dict()}
        return {**values, **intervals, "sentence": str(self)}

    @classmethod
    def from_fields(cls, fields: Fields) -> Outlook:
        """Read the output of :meth:`to_dict`; a missing or invalid value raises a ClassifierError."""
        return cls(
            fields.count("n", 1),
            fields.share("now"),
            Interval.from_fields(fields.part("at_twice")),
            read_difference(fields, "gain"),
            fields.count("to_halve") if "to_halve" in fields else None,
            fields.one_of("answer", get_args(Answer)),
        )


class CurvePoint(NamedTuple):
    """A point of a learning curve.

    Parameters
    ----------
    n : int
        Number of training images.
    accuracy : Interval
        Accuracy on the test folds of the cross-validation.
    """

    n: int
    accuracy: Interval


class MissingPoint(NamedTuple):
    """A number of training images without a point, and the reason."""

    n: int
    reason: str


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy as a function of the number of training images.

    Parameters
    ----------
    points : tuple of CurvePoint
        Points in ascending order of the number of images.
    outlook : Outlook or None
        Extrapolation of the curve; None if there are too few points for a trend.
    left_out : tuple of MissingPoint
        Points that could not be computed.
    """

    points: tuple[CurvePoint, ...]
    outlook: Outlook | None
    left_out: tuple[MissingPoint, ...] = ()

    @property
    def at_twice(self) -> float | None:
        """Expected accuracy with twice as many images, if the trend continues; None without a trend."""
        return None if self.outlook is None else self.outlook.at_twice.mean

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``learning_curve`` in ``featx fit --json``."""
        return {
            "points": [{"n": one.n, "accuracy": one.accuracy.to_dict()} for one in self.points],
            "at_twice": self.at_twice,
            "outlook": None if self.outlook is None else self.outlook.to_dict(),
            "left_out": [one._asdict() for one in self.left_out],
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> LearningCurve:
        """Read the output of :meth:`to_dict`; a missing or invalid value raises a ClassifierError."""
        points = tuple(
            CurvePoint(one.count("n", 1), Interval.from_fields(one.part("accuracy"))) for one in fields.parts("points")
        )
        if list(points) != sorted(points, key=lambda one: one.n):
            raise fields.contradicts("its points are not sorted by number of images")
        outlook = Outlook.from_fields(fields.part("outlook")) if "outlook" in fields else None
        parts = fields.parts("left_out") if "left_out" in fields else []
        return cls(points, outlook, tuple(MissingPoint(one.count("n"), one.text("reason")) for one in parts))


def _two_digits(n: int) -> int:
    """Round to two significant digits: the estimate is not more precise."""
    return int(float(f"{n:.1e}"))
