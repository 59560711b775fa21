"""Comparison of a frozen backbone and a fine-tuned network on the same held-out images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from featx.evaluation.records.fields import Fields
from featx.evaluation.records.findings import read_difference
from featx.evaluation.records.scores import Interval

Kept = Literal["frozen", "finetuned"]
"""The network that a classifier uses after fine-tuning."""


@dataclass(frozen=True)
class FinetuneComparison:
    """Accuracy of a frozen backbone with a head and of the fine-tuned network, on the same held-out images.

    Parameters
    ----------
    kept : {"frozen", "finetuned"}
        The network that the classifier uses.
    frozen : Interval or None
        Accuracy of the frozen backbone with a head; None without a pretrained backbone.
    finetuned : Interval
        Accuracy of the fine-tuned network.
    difference : Interval or None
        Fine-tuned minus frozen accuracy, paired by image; None without a pretrained backbone.
    n : int
        Number of held-out images.
    is_own_test : bool
        Whether the held-out images are the split ``test`` of the data set; otherwise, they were taken from the training
        images.
    unfrozen : str
        Description of the trained layers, for display.
    history : mapping
        Results of the epochs, as returned by :meth:`featx.training.History.to_dict`.
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
        """Accuracy of the kept network."""
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
    def from_fields(cls, fields: Fields) -> FinetuneComparison:
        """Read the output of :meth:`to_dict`.

        Raises
        ------
        ClassifierError
            If a value is missing or invalid, or two values contradict each other.
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
            raise fields.contradicts(f"kept is {read.kept}, but the frozen accuracy or the difference is missing")
        return read


def _history(fields: Fields) -> dict[str, Any]:
    """Read the output of :meth:`featx.training.History.to_dict`."""
    epochs = fields.parts("epochs")
    numbers = [epoch.count("number") for epoch in epochs]
    best = fields.count("best")
    if numbers != list(range(len(numbers))) or (epochs and best not in numbers):
        raise fields.contradicts(
            f"the best epoch is {best}; expected epochs numbered 0, 1, 2, ..., with the best epoch among them"
        )
    for epoch in epochs:
        for name in ("learning_rate", "val_loss", "seconds"):
            epoch.number(name, 0)
        epoch.share("val_accuracy")
        if epoch.values["number"]:
            epoch.number("loss", 0)
            epoch.share("accuracy")
        elif "loss" in epoch or "accuracy" in epoch:
            raise epoch.contradicts("epoch 0 is evaluated before training, but has a training loss or accuracy")
    return {"best": best, "epochs": [{name: epoch.get(name) for name in _EPOCH} for epoch in epochs]}


_EPOCH = ("number", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")
