"""Two ways to use a network, judged by the same held-out pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from featx.evaluation.scores import Interval


@dataclass(frozen=True)
class Contest:
    """A frozen network with a head, and the same network fine-tuned, on the same held-out pictures.

    Parameters
    ----------
    kept : {"frozen", "finetuned"}
        Which of them the classifier is.
    frozen : Interval or None
        Accuracy; None where there is no pretrained network.
    finetuned : Interval
    difference : Interval or None
        Fine-tuned less frozen, paired picture by picture.
    n : int
        Held-out pictures.
    is_own_test : bool
        Whether they are the data set's own test part, or were cut off from the rest.
    unfrozen : str
        What was trained, for people.
    history : mapping
        Epochs as :class:`featx.training.History` gives them.
    """

    kept: str
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
    def from_dict(cls, values: dict[str, Any]) -> Contest:
        """Read what :meth:`to_dict` gave."""
        frozen, difference = values["frozen"], values["difference"]
        return cls(
            str(values["kept"]),
            None if frozen is None else Interval.from_dict(frozen["accuracy"]),
            Interval.from_dict(values["finetuned"]["accuracy"]),
            None if difference is None else Interval.from_dict(difference),
            int(values["n_held_out"]),
            bool(values["is_own_test"]),
            str(values["unfrozen"]),
            dict(values["history"]),
        )
