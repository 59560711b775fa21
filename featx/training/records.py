"""Where a network is cut, and how its training went: plain frozen values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from featx.spec import Pooling


@dataclass(frozen=True)
class Cut:
    """Where a network is cut in two.

    Parameters
    ----------
    below : str
        The layer whose output enters the part that is trained.
    first : str
        The first block, or layer, that is trained.
    n_blocks : int
        Blocks that are trained.
    shape : tuple of int
        Of the activations at the cut, without the batch.
    is_whole : bool
        Whether all of it is trained.
    """

    below: str
    first: str
    n_blocks: int
    shape: tuple[int, ...]
    is_whole: bool

    @property
    def part(self) -> str:
        """How many blocks are trained, for people: "2 blocks"."""
        return f"{self.n_blocks} block{'' if self.n_blocks == 1 else 's'}"

    @property
    def pooling(self) -> Pooling:
        """What keeps all activations at the cut as one vector: a map is laid out, a vector stays."""
        return "flatten" if len(self.shape) > 1 else "avg"


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images.

    Parameters
    ----------
    number : int
        From 1; 0 is the network before training.
    learning_rate : float
        Learning rate of the top at its end.
    loss, accuracy : float or None
        On the training images, as they were trained on; None before training.
    val_loss, val_accuracy : float
        On the validation part afterwards; the loss without label smoothing, at the temperature that suits it best.
    seconds : float
        Wall time, validation included.
    """

    number: int
    learning_rate: float
    loss: float | None
    accuracy: float | None
    val_loss: float
    val_accuracy: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class History:
    """How training went.

    Parameters
    ----------
    epochs : tuple of Epoch
        From the network before training on.
    best : int
        Number of the epoch whose weights were kept: that of the lowest validation loss.
    """

    epochs: tuple[Epoch, ...] = ()
    best: int = 0

    @property
    def seconds_per_epoch(self) -> float | None:
        """Mean wall time of an epoch; None if there was none."""
        trained = [epoch.seconds for epoch in self.epochs if epoch.number]
        return sum(trained) / len(trained) if trained else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"best": self.best, "epochs": [epoch.to_dict() for epoch in self.epochs]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> History:
        """Read what :meth:`to_dict` gave.

        Raises
        ------
        KeyError, OverflowError, TypeError, ValueError
            It is something else.
        """
        return cls(read_epochs(values["epochs"]), int(values["best"]))


def read_epochs(values: Any) -> tuple[Epoch, ...]:
    """Read what :meth:`Epoch.to_dict` gave of the epochs of a run, from the network before training on.

    Raises
    ------
    TypeError, ValueError
        It is something else.
    """
    epochs = tuple(Epoch(**value) for value in values)
    if [epoch.number for epoch in epochs] != list(range(len(epochs))) or not epochs:
        raise ValueError("the epochs of a run are numbered from 0 on")
    for epoch in epochs:
        trained = (epoch.loss, epoch.accuracy) if epoch.number else ()
        if not all(
            isinstance(x, float)
            for x in (epoch.learning_rate, epoch.val_loss, epoch.val_accuracy, epoch.seconds, *trained)
        ):
            raise TypeError(f"epoch {epoch.number} has something else than numbers")
    return epochs
