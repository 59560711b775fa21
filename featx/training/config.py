"""The configuration of a training run, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from featx.augmentation import read_policy
from featx.errors import TrainingError, as_usage
from featx.options import BatchNorm, ClassWeight, Optimizer, TrainOptions


@dataclass(frozen=True)
class TrainingConfig:
    """The hyper-parameters of a training run.

    Parameters
    ----------
    epochs : int
        Largest number of epochs; training ends earlier when the validation loss stops decreasing.
    batch_size : int
        Images per step.
    optimizer : {"adamw", "adam", "rmsprop", "sgd"}
    learning_rate : float
        Peak learning rate of the top.
    layer_decay : float
        Ratio of the learning rate of each block to that of the block above it.
    warmup : float
        Fraction of all steps in which the learning rate rises from 0; afterwards it falls to 0 along half a cosine.
    weight_decay : float
        Decoupled weight decay, applied to kernels only.
    label_smoothing : float
    patience : int
        Epochs without a lower validation loss after which training ends; after half of them the learning rate
        is halved.
    batch_norm : {"frozen", "train"}
        Whether batch normalisation keeps its pretrained statistics or updates them with each batch.
    dropout : float
        Dropout rate after each hidden dense layer of the top, or before the last layer if there is no hidden layer.
    class_weight : {"balanced"}, optional
        Weight classes by the inverse of their size.
    seed : int
        Random seed of the order of images, views, dropout and new weights.

    Raises
    ------
    TrainingError
        The optimizer, the handling of batch normalisation or the class weight is unknown.
    OptionError
        A number is outside its range.
    """

    epochs: int = 10
    batch_size: int = TrainOptions.batch_size
    optimizer: Optimizer = TrainOptions.optimizer
    learning_rate: float = 3e-4
    layer_decay: float = TrainOptions.layer_decay
    warmup: float = TrainOptions.warmup
    weight_decay: float = TrainOptions.weight_decay
    label_smoothing: float = TrainOptions.label_smoothing
    patience: int = TrainOptions.patience
    batch_norm: BatchNorm = TrainOptions.batch_norm
    dropout: float = 0.0
    class_weight: ClassWeight | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("optimizer", self.optimizer, get_args(Optimizer))
        _one_of("batch_norm", self.batch_norm, get_args(BatchNorm))
        if self.class_weight is not None:
            _one_of("class_weight", self.class_weight, ("balanced",))
        TrainOptions.of(vars(self))  # checks the ranges

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


_FROM_SCRATCH: dict[str, Any] = {"epochs": 30, "learning_rate": 1e-3, "dropout": 0.5}


def make_config(is_scratch: bool, seed: int, options: TrainOptions) -> TrainingConfig:
    """Return a configuration; options that are None get the default for this kind of training.

    Parameters
    ----------
    is_scratch : bool
        Whether the network starts from random weights.
    seed : int
    options : TrainOptions
    """
    defaults = _FROM_SCRATCH if is_scratch else {}
    names = [field.name for field in fields(TrainingConfig) if field.name in TrainOptions.names()]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return TrainingConfig(**{**defaults, **given, "seed": seed})


@dataclass(frozen=True)
class TrainingPlan:
    """The configuration of a training run with the trained blocks, the views and the hidden layers.

    Parameters
    ----------
    config : TrainingConfig
    unfreeze : int or str
        See :func:`featx.training.choose_cut`.
    augment : str, optional
        Augmentation policy.
    views : int
        Number of augmented views of each image.
    trunk_cache : bool
        Whether the frozen part runs once and its activations are cached.
    hidden : tuple of int
        Widths of the hidden dense layers of the top.
    """

    config: TrainingConfig
    unfreeze: int | str = "auto"
    augment: str | None = None
    views: int = 0
    trunk_cache: bool = True
    hidden: tuple[int, ...] = ()

    @property
    def view_spec(self) -> dict[str, Any]:
        """Return the fields of the feature spec that describe the views."""
        if self.augment is None:
            return {}
        return {"augment": read_policy(self.augment), "augment_seed": self.config.seed}

    @property
    def view_options(self) -> dict[str, Any]:
        """Return the options of :func:`featx.extract` that describe the views."""
        return {} if self.augment is None else {"augment": self.augment, "views": self.views, "seed": self.config.seed}

    def to_dict(self) -> dict[str, Any]:
        """Return all values that change the result; together they identify a training run in the cache."""
        return {
            "config": self.config.to_dict(),
            "unfreeze": str(self.unfreeze),
            "hidden": list(self.hidden),
            **self.view_spec,
            "views": self.views,
        }


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise as_usage(TrainingError(f"{name} is {value!r}; expected {', '.join(allowed)}"))
