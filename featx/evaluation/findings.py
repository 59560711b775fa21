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
class Outlook:
    """Would more pictures help, and how many: what the trend of a learning curve says, if it holds.

    Parameters
    ----------
    n : int
        Pictures that there are.
    now : float
        Accuracy of heads that learnt from the training parts of the folds.
    at_twice : Interval
        Accuracy to expect with twice the pictures.
    to_halve : int or None
        Further pictures that it takes to halve the errors; None where the trend is too flat to say.
    answer : {"yes", "no", "unclear"}
        Whether twice the pictures give at least one hundredth more: yes if the gain is surely above 0 and expected to
        be that much, no if it is surely less.
    """

    n: int
    now: float
    at_twice: Interval
    to_halve: int | None
    answer: str

    def __str__(self) -> str:
        twice = self.at_twice
        expected = f"{twice.mean:.3f} ({twice.low:.3f} to {twice.high:.3f})"
        if self.answer == "no":
            return f"no: {2 * self.n:,} instead of {self.n:,} may give {expected}, {self.now:.3f} now"
        is_sure = self.answer == "yes"
        halved = f"; to halve the errors takes about {self.to_halve:,} more" if is_sure and self.to_halve else ""
        answer = "yes" if is_sure else "not clear"
        return f"{answer}: {2 * self.n:,} instead of {self.n:,} may give {expected}, {self.now:.3f} now{halved}"

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``outlook`` in a learning curve."""
        names = ("n", "now", "to_halve", "answer")
        values = {name: getattr(self, name) for name in names}
        return {**values, "at_twice": self.at_twice.to_dict(), "sentence": str(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outlook:
        """Read what :meth:`to_dict` gave."""
        to_halve = None if values["to_halve"] is None else int(values["to_halve"])
        at_twice = Interval.from_dict(values["at_twice"])
        return cls(int(values["n"]), float(values["now"]), at_twice, to_halve, str(values["answer"]))


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy by the number of pictures to learn from.

    Parameters
    ----------
    points : tuple of (int, Interval)
        Pictures learnt from, and the accuracy of the head as fitted on the same test parts.
    outlook : Outlook or None
        None where there are too few points to see a trend.
    left_out : tuple of (int, str)
        Numbers of pictures that there is no point for, and why.
    """

    points: tuple[tuple[int, Interval], ...]
    outlook: Outlook | None
    left_out: tuple[tuple[int, str], ...] = ()

    @property
    def at_twice(self) -> float | None:
        """Accuracy to expect with twice the pictures that there are, if the trend holds."""
        return None if self.outlook is None else self.outlook.at_twice.mean

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``learning_curve`` in ``featx fit --json``."""
        return {
            "points": [{"n": n, "accuracy": accuracy.to_dict()} for n, accuracy in self.points],
            "at_twice": self.at_twice,
            "outlook": None if self.outlook is None else self.outlook.to_dict(),
            "left_out": [{"n": n, "reason": reason} for n, reason in self.left_out],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LearningCurve:
        """Read what :meth:`to_dict` gave."""
        points = tuple((int(one["n"]), Interval.from_dict(one["accuracy"])) for one in values["points"])
        outlook = values.get("outlook")
        left_out = tuple((int(one["n"]), str(one["reason"])) for one in values.get("left_out", ()))
        return cls(points, None if outlook is None else Outlook.from_dict(outlook), left_out)
