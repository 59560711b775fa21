"""How a network is trained, and how that went: plain frozen values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from featx.errors import TrainingError, as_usage
from featx.options import BatchNorm, ClassWeight, Optimizer, TrainOptions
from featx.spec import Pooling


@dataclass(frozen=True)
class Course:
    """How a network is trained.

    Parameters
    ----------
    epochs : int
        At most; training ends before where the validation part no longer gains.
    batch_size : int
        Pictures a step.
    optimizer : {"adamw", "adam", "rmsprop", "sgd"}
    rate : float
        Learning rate of the top, at its highest.
    layer_decay : float
        Rate of each block relative to what lies above it.
    warmup : float
        Share of all steps in which the rate rises from 0; a half cosine brings it down to 0 afterwards.
    weight_decay : float
        Decoupled, of kernels only.
    label_smoothing : float
    patience : int
        Epochs without a lower validation loss after which training ends; after half of them the rate is halved.
    batch_norm : {"frozen", "train"}
        Whether batch normalisation keeps the statistics that it came with, or learns those of each batch.
    dropout : float
        After each hidden dense layer of the top, or before the last one where there is none.
    class_weight : {"balanced"}, optional
        Weigh classes by the inverse of their size.
    seed : int
        Of order, views, dropout and new weights.

    Raises
    ------
    TrainingError
        A value outside the allowed ones.
    """

    epochs: int = 10
    batch_size: int = 32
    optimizer: Optimizer = "adamw"
    rate: float = 3e-4
    layer_decay: float = 0.8
    warmup: float = 0.1
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    patience: int = 4
    batch_norm: BatchNorm = "frozen"
    dropout: float = 0.0
    class_weight: ClassWeight | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("optimizer", self.optimizer, get_args(Optimizer))
        _one_of("batch_norm", self.batch_norm, get_args(BatchNorm))
        if self.class_weight is not None:
            _one_of("class_weight", self.class_weight, ("balanced",))
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise as_usage(TrainingError(f"{name} is {getattr(self, name)}; it must be 1 or more"))
        for name in ("warmup", "label_smoothing", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise as_usage(TrainingError(f"{name} is {getattr(self, name)}; allowed are 0 to below 1"))
        if not (self.rate > 0 and 0 < self.layer_decay <= 1 and self.weight_decay >= 0):
            message = (
                f"rate is {self.rate}, layer_decay {self.layer_decay}, weight_decay {self.weight_decay}; needed are "
                "a rate above 0, a layer_decay above 0 and at most 1, a weight_decay of at least 0"
            )
            raise as_usage(TrainingError(message))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


_FROM_SCRATCH: dict[str, Any] = {"epochs": 30, "rate": 1e-3, "dropout": 0.5}


def usual_course(is_scratch: bool, seed: int, options: TrainOptions) -> Course:
    """Return a course with the given options; for those that are None, with what suits this kind of training."""
    usual = _FROM_SCRATCH if is_scratch else {}
    names = [one.name for one in fields(Course) if one.name in TrainOptions.names()]
    given = {name: getattr(options, name) for name in names}
    return Course(**{**usual, **{name: value for name, value in given.items() if value is not None}, "seed": seed})


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise as_usage(TrainingError(f"{name} is {value!r}; allowed are {', '.join(allowed)}"))


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
    """One pass over the training pictures.

    Parameters
    ----------
    number : int
        From 1; 0 is the network before training.
    rate : float
        Learning rate of the top at its end.
    loss, accuracy : float or None
        On the training pictures, as they were trained on; None before training.
    val_loss, val_accuracy : float
        On the validation part afterwards; the loss without label smoothing, at the temperature that suits it best.
    seconds : float
        Wall time, validation included.
    """

    number: int
    rate: float
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
            isinstance(x, float) for x in (epoch.rate, epoch.val_loss, epoch.val_accuracy, epoch.seconds, *trained)
        ):
            raise TypeError(f"epoch {epoch.number} has something else than numbers")
    return epochs
