"""Verdict on the accuracies of a model: contradictions between them, the accuracy to trust, the majority class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from featx.evaluation.records.fields import Fields
from featx.evaluation.records.scores import Interval

Kind = Literal["test", "val", "ungrouped", "group hint", "on"]
"""The accuracy that contradicts the cross-validated accuracy: on the test part, on the validation part, ungrouped, with
the groups of a group hint, or on the images of ``featx report --on``."""

Figure = Literal["cv", "test", "val", "group hint", "on"]
"""The accuracy to trust."""

_LEVEL = 0.99


@dataclass(frozen=True)
class Contradiction:
    """An accuracy that differs from the cross-validated accuracy by more than chance explains.

    Of the two accuracies, the lower one is to be trusted: all known causes (related images that are not in one group,
    images from few sources) make an accuracy too high.

    Parameters
    ----------
    kind : {"test", "val", "ungrouped", "group hint", "on"}
    accuracy : Interval
        Cross-validated accuracy.
    other : Interval
        The accuracy that contradicts it.
    difference : Interval
        ``other`` minus ``accuracy``, with its 99 % confidence interval.
    at_chance : Interval or None
        For ``ungrouped`` and ``group hint``: the accuracy with groups of the same sizes whose members are drawn by
        chance from the same classes. Otherwise None.
    name : str
        For ``group hint``: kind of the hint. For ``on``: the data set. Otherwise empty.
    group_by : str
        For ``group hint``: value of the parameter ``group_by`` that groups by this hint. Otherwise empty.
    """

    kind: Kind
    accuracy: Interval
    other: Interval
    difference: Interval
    at_chance: Interval | None = None
    name: str = ""
    group_by: str = ""

    @property
    def trust(self) -> Figure:
        """The accuracy to trust: the lower of the two."""
        return "cv" if self.kind == "ungrouped" or self.other.mean > self.accuracy.mean else self.kind

    @property
    def trusted(self) -> Interval:
        """The lower of the two accuracies."""
        return self.accuracy if self.trust == "cv" else self.other

    @property
    def why(self) -> str:
        """The two accuracies, and the reason to trust the lower one."""
        direction = "higher" if self.other.mean > self.accuracy.mean else "lower"
        size = f"{abs(self.other.mean - self.accuracy.mean):.3f}"
        chance = "chance explains"
        if self.at_chance is not None:
            chance = f"groups drawn by chance explain (accuracy {self.at_chance.mean:.3f})"
        return (
            f"{describe(self.kind, self.name)}, {_text(self.other)}, is {size} {direction} than the cross-validated "
            f"accuracy {_text(self.accuracy)}, more than {chance}: {self._reason}"
        )

    @property
    def _reason(self) -> str:
        if self.kind == "ungrouped":
            return (
                "images of one group are similar, and without groups they are in training and test. Similar images "
                "that are in no group would make the cross-validated accuracy too high as well"
            )
        if self.kind == "group hint":
            same = f"images with the same {_hint_text(self.name)}"
            return (
                f"{same} are similar; the cross-validated accuracy is valid at most for new images of the same sources"
            )
        if self.trust == "cv":
            return (
                "these images are easier than the training images, or similar to training images in a way that was not "
                "found"
            )
        return (
            "training images are more similar to each other than to these images (for example several versions of one "
            "image, or the same sources)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return an entry of ``contradictions`` in ``featx fit --json``."""
        return {
            "kind": self.kind,
            "name": self.name,
            "group_by": self.group_by,
            "accuracy": self.accuracy.to_dict(),
            "other": self.other.to_dict(),
            "difference": {**self.difference.to_dict(), "level": _LEVEL},
            "at_chance": None if self.at_chance is None else self.at_chance.to_dict(),
            "trust": self.trust,
            "why": self.why,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Contradiction:
        """Read the output of :meth:`to_dict`.

        Raises
        ------
        ClassifierError
            If a value is missing or invalid, or the interval of the difference contains 0.
        """
        read = cls(
            fields.one_of("kind", get_args(Kind)),
            Interval.from_fields(fields.part("accuracy")),
            Interval.from_fields(fields.part("other")),
            Interval.from_fields(fields.part("difference"), least=-1),
            Interval.from_fields(fields.part("at_chance")) if "at_chance" in fields else None,
            fields.text("name"),
            fields.text("group_by"),
        )
        if read.difference.low <= 0 <= read.difference.high:
            raise fields.contradicts("the interval of the difference contains 0")
        if (read.difference.mean > 0) != (read.other.mean > read.accuracy.mean):
            raise fields.contradicts("the difference has the wrong sign")
        return read


@dataclass(frozen=True)
class TrustedAccuracy:
    """The accuracy to trust.

    Parameters
    ----------
    figure : {"cv", "test", "val", "group hint", "on"}
        What the accuracy is: cross-validated, on the test or validation part, with the groups of a group hint, or on
        the images of ``featx report --on``.
    accuracy : Interval
    name : str
        For ``group hint``: kind of the hint. For ``on``: the data set. For a fine-tuned network: the held-out images.
        Otherwise empty.
    """

    figure: Figure
    accuracy: Interval
    name: str = ""

    @property
    def description(self) -> str:
        """What the accuracy is, as ``the accuracy on the test part``."""
        return describe(self.figure, self.name)

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``trust`` in ``featx fit --json``, except ``sentences``."""
        return {
            "figure": self.figure,
            "name": self.name,
            "accuracy": self.accuracy.to_dict(),
            "description": self.description,
        }


def most_trusted(headline: TrustedAccuracy, contradictions: Sequence[Contradiction]) -> TrustedAccuracy:
    """Return the lowest of an accuracy and of the accuracies that contradict it."""
    others = [TrustedAccuracy(one.trust, one.trusted, one.name) for one in contradictions if one.trust != "cv"]
    return min([headline, *others], key=lambda one: one.accuracy.mean)


def explain_trust(trusted: TrustedAccuracy, contradictions: Sequence[Contradiction]) -> list[str]:
    """Return sentences on which accuracy to trust and why; empty without contradictions."""
    if not contradictions:
        return []
    return [f"trust {_text(trusted.accuracy)}, {trusted.description}", *(one.why for one in contradictions)]


def judge_baseline(accuracy: Interval, baseline: float, baseline_class: str | None = None) -> str:
    """Compare an accuracy with the accuracy of always predicting the majority class.

    Parameters
    ----------
    accuracy : Interval
    baseline : float
        Accuracy of the constant prediction on the same images.
    baseline_class : str, optional
        Name of the majority class.

    Returns
    -------
    str
        A warning if the confidence interval is not above the accuracy of the majority class; otherwise empty.
    """
    if accuracy.low > baseline:
        return ""
    prediction = "the majority class" if baseline_class is None else f'"{baseline_class}"'
    always = f"always predicting {prediction} ({baseline:.3f})"
    if accuracy.mean > baseline:
        return f"{accuracy.mean:.3f} may be no better than {always}: its 95 % interval includes {baseline:.3f}"
    return f"{accuracy.mean:.3f} is not better than {always}"


def describe(figure: Kind | Figure, name: str = "") -> str:
    """Return what an accuracy is, as ``the accuracy on the test part``.

    Parameters
    ----------
    figure : {"cv", "test", "val", "ungrouped", "group hint", "on"}
    name : str
        Kind of the group hint, or name of the images.
    """
    if figure in ("cv", "ungrouped"):
        return f"the {'cross-validated' if figure == 'cv' else figure} accuracy"
    if figure == "group hint":
        return f"the accuracy if images are grouped by {'a ' if name == 'name' else ''}{_hint_text(name)}"
    return f"the accuracy on {name or {'test': 'the test part', 'val': 'the validation part'}[figure]}"


def _text(accuracy: Interval) -> str:
    return f"{accuracy.mean:.3f} (95 % CI {accuracy.low:.3f} to {accuracy.high:.3f})"


def _hint_text(name: str) -> str:
    return "word of the file name" if name == "name" else name
