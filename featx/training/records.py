"""The cut of a network and the history of its training, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from featx.spec import Pooling


@dataclass(frozen=True)
class Cut:
    """The place where a network is cut in two.

    Parameters
    ----------
    below : str
        Last frozen layer, whose output is the input of the trained blocks.
    first : str
        First trained block or layer.
    n_blocks : int
        Number of trained blocks.
    shape : tuple of int
        Shape of the activations at the cut, without the batch axis.
    is_whole : bool
        Whether the whole network is trained.
    """

    below: str
    first: str
    n_blocks: int
    shape: tuple[int, ...]
    is_whole: bool

    @property
    def part(self) -> str:
        """The number of trained blocks as text, as in "2 blocks"."""
        return f"{self.n_blocks} block{'' if self.n_blocks == 1 else 's'}"

    @property
    def blocks(self) -> str:
        """The trained blocks as text, as in "2 blocks (from block14 on)"."""
        return f"{self.part} ({self.first if self.n_blocks == 1 else f'from {self.first} on'})"

    @property
    def pooling(self) -> Pooling:
        """The pooling that keeps all activations at the cut: ``flatten`` for maps, ``avg`` for vectors."""
        return "flatten" if len(self.shape) > 1 else "avg"


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images.

    Parameters
    ----------
    number : int
        Number of the epoch; the first is 1, and 0 is the network before training.
    learning_rate : float
        Learning rate of the dense layers at the end of the epoch.
    loss, accuracy : float or None
        Means over the training batches; None before training.
    val_loss, val_accuracy : float
        Loss and accuracy on the validation part after the epoch. The loss is computed without label smoothing, and with
        the temperature that minimises it.
    seconds : float
        Wall time in seconds, including validation.
    """

    number: int
    learning_rate: float
    loss: float | None
    accuracy: float | None
    val_loss: float
    val_accuracy: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class History:
    """The history of a training run.

    Parameters
    ----------
    epochs : tuple of Epoch
        All epochs; the first is the network before training.
    best : int
        Number of the epoch with the lowest validation loss; its weights are kept.
    """

    epochs: tuple[Epoch, ...] = ()
    best: int = 0

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean wall time of an epoch in seconds; None without epochs."""
        trained = [epoch.seconds for epoch in self.epochs if epoch.number]
        return sum(trained) / len(trained) if trained else None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {"best": self.best, "epochs": [epoch.to_dict() for epoch in self.epochs]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> History:
        """Return the history from the output of :meth:`to_dict`.

        Raises
        ------
        KeyError, OverflowError, TypeError, ValueError
            If the dictionary is invalid.
        """
        return cls(read_epochs(values["epochs"]), int(values["best"]))


def read_epochs(values: Any) -> tuple[Epoch, ...]:
    """Return the epochs of a run from the outputs of :meth:`Epoch.to_dict`, beginning with number 0.

    Raises
    ------
    TypeError, ValueError
        If the values are invalid.
    """
    epochs = tuple(Epoch(**value) for value in values)
    if [epoch.number for epoch in epochs] != list(range(len(epochs))) or not epochs:
        raise ValueError("the epochs of a run must be numbered from 0")
    for epoch in epochs:
        trained = (epoch.loss, epoch.accuracy) if epoch.number else ()
        if not all(
            isinstance(x, float)
            for x in (epoch.learning_rate, epoch.val_loss, epoch.val_accuracy, epoch.seconds, *trained)
        ):
            raise TypeError(f"epoch {epoch.number} has values that are not numbers")
    return epochs
