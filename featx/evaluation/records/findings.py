"""What else is known: accuracy by source or number of images, reliability of probabilities, worth of views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from featx.evaluation.records.fields import MOST, Fields
from featx.evaluation.records.scores import Interval

Answer = Literal["yes", "no", "unclear"]
"""Whether more images would help."""

_FURTHEST = 100.0
"""Limit of an interval of differences: over two folds that differ it is far beyond what a difference can be."""


@dataclass(frozen=True)
class GroupHintAccuracy:
    """Accuracy where all images of one source stay on one side of every split.

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
        """Return an entry of ``group_hints`` in ``featx fit --json``."""
        return {
            "name": self.name,
            "group_by": self.group_by,
            "n_sources": self.n_sources,
            "examples": list(self.examples),
            "accuracy": self.accuracy.to_dict(),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> GroupHintAccuracy:
        """Read what :meth:`to_dict` gave; a ClassifierError if a value is missing or wrong."""
        read = cls(
            fields.text("name"),
            fields.text("group_by"),
            fields.count("n_sources", 1),
            fields.texts("examples"),
            Interval.from_fields(fields.part("accuracy")),
        )
        if not read.examples:
            raise fields.contradicts(f"{read.n_sources} sources have no example")
        return read


@dataclass(frozen=True)
class ViewsGain:
    """Whether augmented views helped: the same head with and without them, on the same folds.

    Parameters
    ----------
    n : int
        Views of each image that were learnt from besides it.
    policy : str
        How they were made.
    seed : int
        What they were drawn with.
    without : Interval or None
        Accuracy without them.
    difference : Interval or None
        Accuracy with them less that without, paired over the folds; both None where there are no folds.
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
        """Read what :meth:`to_dict` gave; a ClassifierError if a value is missing or wrong."""
        without = Interval.from_fields(fields.part("without").part("accuracy")) if "without" in fields else None
        read = cls(
            fields.count("k", 1),
            fields.text("policy"),
            fields.count("seed", -MOST),
            without,
            read_difference(fields) if "difference" in fields else None,
        )
        if (read.without is None) != (read.difference is None):
            raise fields.contradicts("a difference without both accuracies")
        return read


def read_difference(fields: Fields) -> Interval:
    """Read the interval of a difference of accuracies; a ClassifierError if it is none."""
    return Interval.from_fields(fields.part("difference"), least=-_FURTHEST, most=_FURTHEST)


class ReliabilityBin(NamedTuple):
    """Images of similar confidence.

    Parameters
    ----------
    confidence, accuracy : float
        Means.
    n : int
        Images.
    """

    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True)
class Reliability:
    """Whether calibrated probabilities of images that the head had not seen come true.

    Parameters
    ----------
    brier : float
        Mean squared difference of the probabilities and what was true, summed over classes (Brier 1950).
    ece : float
        Mean difference of confidence and accuracy over the bins, weighed by their images (Naeini et al. 2015).
    bins : tuple of ReliabilityBin
        Those that have any image.
    """

    brier: float
    ece: float
    bins: tuple[ReliabilityBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``reliability`` in ``featx fit --json``."""
        return {"brier": self.brier, "ece": self.ece, "bins": [one._asdict() for one in self.bins]}

    @classmethod
    def from_fields(cls, fields: Fields) -> Reliability:
        """Read what :meth:`to_dict` gave; a ClassifierError if a value is missing or wrong."""
        bins = tuple(
            ReliabilityBin(one.share("confidence"), one.share("accuracy"), one.count("n", 1))
            for one in fields.parts("bins")
        )
        if not bins:
            raise fields.contradicts("probabilities were compared with no image")
        return cls(fields.number("brier", 0, 2), fields.share("ece"), bins)


@dataclass(frozen=True)
class Outlook:
    """Would more images help, and how many: what the trend of a learning curve says, if it holds.

    Parameters
    ----------
    n : int
        Images that there are.
    now : float
        Accuracy of heads that learnt from the training parts of the folds.
    at_twice : Interval
        Accuracy to expect with twice the images.
    to_halve : int or None
        Further images that it takes to halve the errors; None where the trend is too flat to say.
    answer : {"yes", "no", "unclear"}
        Whether twice the images give at least one hundredth more: yes if the gain is surely above 0 and expected to
        be that much, no if it is surely less.
    """

    n: int
    now: float
    at_twice: Interval
    to_halve: int | None
    answer: Answer

    def __str__(self) -> str:
        twice = self.at_twice
        expected = f"{twice.mean:.3f} ({twice.low:.3f} to {twice.high:.3f})"
        if self.answer == "no":
            return f"no: {2 * self.n:,} instead of {self.n:,} may give {expected}, {self.now:.3f} now"
        is_sure = self.answer == "yes"
        halved = (
            f"; to halve the errors takes about {_two_digits(self.to_halve):,} more"
            if is_sure and self.to_halve
            else ""
        )
        answer = "yes" if is_sure else "not clear"
        return f"{answer}: {2 * self.n:,} instead of {self.n:,} may give {expected}, {self.now:.3f} now{halved}"

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``outlook`` in a learning curve."""
        names = ("n", "now", "to_halve", "answer")
        values = {name: getattr(self, name) for name in names}
        return {**values, "at_twice": self.at_twice.to_dict(), "sentence": str(self)}

    @classmethod
    def from_fields(cls, fields: Fields) -> Outlook:
        """Read what :meth:`to_dict` gave; a ClassifierError if a value is missing or wrong."""
        return cls(
            fields.count("n", 1),
            fields.share("now"),
            Interval.from_fields(fields.part("at_twice")),
            fields.count("to_halve") if "to_halve" in fields else None,
            fields.one_of("answer", get_args(Answer)),
        )


class CurvePoint(NamedTuple):
    """What learning from some of the images gave.

    Parameters
    ----------
    n : int
        Images learnt from.
    accuracy : Interval
        Of the head as fitted, on the same test parts.
    """

    n: int
    accuracy: Interval


class MissingPoint(NamedTuple):
    """A number of images that there is no point for, and why."""

    n: int
    reason: str


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy by the number of images to learn from.

    Parameters
    ----------
    points : tuple of CurvePoint
    outlook : Outlook or None
        None where there are too few points to see a trend.
    left_out : tuple of MissingPoint
    """

    points: tuple[CurvePoint, ...]
    outlook: Outlook | None
    left_out: tuple[MissingPoint, ...] = ()

    @property
    def at_twice(self) -> float | None:
        """Accuracy to expect with twice the images that there are, if the trend holds."""
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
        """Read what :meth:`to_dict` gave; a ClassifierError if a value is missing or wrong."""
        points = tuple(
            CurvePoint(one.count("n", 1), Interval.from_fields(one.part("accuracy"))) for one in fields.parts("points")
        )
        if list(points) != sorted(points, key=lambda one: one.n):
            raise fields.contradicts("its points are not in the order of their numbers of images")
        outlook = Outlook.from_fields(fields.part("outlook")) if "outlook" in fields else None
        parts = fields.parts("left_out") if "left_out" in fields else []
        return cls(points, outlook, tuple(MissingPoint(one.count("n"), one.text("reason")) for one in parts))


def _two_digits(n: int) -> int:
    """Round an estimate to the digits that mean something."""
    return int(float(f"{n:.1e}"))
