"""Two ways to use a network, judged by the same held-out images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from featx.evaluation.records.fields import Fields
from featx.evaluation.records.findings import read_difference
from featx.evaluation.records.scores import Interval

Kept = Literal["frozen", "finetuned"]
"""Which network a classifier has after fine-tuning."""


@dataclass(frozen=True)
class Contest:
    """A frozen network with a head, and the same network fine-tuned, on the same held-out images.

    Parameters
    ----------
    kept : {"frozen", "finetuned"}
        Which of them the classifier is.
    frozen : Interval or None
        Accuracy; None where there is no pretrained network.
    finetuned : Interval
    difference : Interval or None
        Fine-tuned less frozen, paired image by image.
    n : int
        Held-out images.
    is_own_test : bool
        Whether they are the data set's own test part, or were cut off from the rest.
    unfrozen : str
        What was trained, for people.
    history : mapping
        Epochs as :class:`featx.training.History` gives them.
    """

    kept: Kept
    frozen: Interval | None
    finetuned: Interval
    difference: Interval | None
    n: int
    is_own_test: bool
    unfrozen: str
    history: Mapping[str, Any]

    @property
    def accuracy(self) -> Interval:
        """Of the one that is kept."""
        return self.frozen if self.kept == "frozen" and self.frozen is not None else self.finetuned

    def to_dict(self) -> dict[str, Any]:
        """Return the value of ``finetuning`` in ``featx report --json``."""
        return {
            "kept": self.kept,
            "frozen": None if self.frozen is None else {"accuracy": self.frozen.to_dict()},
            "finetuned": {"accuracy": self.finetuned.to_dict()},
            "difference": None if self.difference is None else self.difference.to_dict(),
            "n_held_out": self.n,
            "is_own_test": self.is_own_test,
            "unfrozen": self.unfrozen,
            "history": dict(self.history),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Contest:
        """Read what :meth:`to_dict` gave.

        Raises
        ------
        ClassifierError
            A value is missing or wrong, or they contradict each other.
        """
        frozen = Interval.from_fields(fields.part("frozen").part("accuracy")) if "frozen" in fields else None
        read = cls(
            fields.one_of("kept", get_args(Kept)),
            frozen,
            Interval.from_fields(fields.part("finetuned").part("accuracy")),
            read_difference(fields) if "difference" in fields else None,
            fields.count("n_held_out", 1),
            fields.flag("is_own_test"),
            fields.text("unfrozen"),
            _history(fields.part("history")),
        )
        if (frozen is None) != (read.difference is None) or (frozen is None and read.kept == "frozen"):
            raise fields.contradicts(f"{read.kept} is kept, and there is no frozen accuracy, or no difference from it")
        return read


def _history(fields: Fields) -> dict[str, Any]:
    """Read what :meth:`featx.training.History.to_dict` gave."""
    epochs = fields.parts("epochs")
    numbers = [one.count("number") for one in epochs]
    best = fields.count("best")
    if numbers != list(range(len(numbers))) or (epochs and best not in numbers):
        raise fields.contradicts(f"epoch {best} was kept, of {len(numbers)}")
    for epoch in epochs:
        for name in ("learning_rate", "val_loss", "seconds"):
            epoch.number(name, 0)
        epoch.share("val_accuracy")
        if epoch.values["number"]:
            epoch.number("loss", 0)
            epoch.share("accuracy")
        elif "loss" in epoch or "accuracy" in epoch:
            raise epoch.contradicts("there is a loss before training")
    return {"best": best, "epochs": [{name: epoch.get(name) for name in _EPOCH} for epoch in epochs]}


_EPOCH = ("number", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")
