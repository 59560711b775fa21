"""What else is known: accuracy by source, reliability of probabilities, accuracy by number of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from featx.evaluation.scores import Interval


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
