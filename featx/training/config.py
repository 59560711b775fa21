"""The configuration of a training run, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from featx.augmentation import read_policy
from featx.errors import TrainingError, as_usage
from featx.options import BatchNorm, ClassWeight, Optimizer, TrainOptions, check_ranges


@dataclass(frozen=True)
class TrainingConfig:
    """The hyper-parameters of a training run.

    Parameters
    ----------
    epochs : int
        Maximum number of epochs; training ends earlier if the validation loss no longer decreases.
    batch_size : int
        Number of images per step.
    optimizer : {"adamw", "adam", "rmsprop", "sgd"}
    learning_rate : float
        Maximum learning rate of the dense layers.
    layer_decay : float
        Learning rate of each block divided by the learning rate of the next block towards the output.
    warmup : float
        Fraction of the steps in which the learning rate increases from 0; afterwards, the learning rate decreases to 0
        along half a cosine.
    weight_decay : float
        Coefficient of the decoupled weight decay, which is applied to kernels only.
    label_smoothing : float
        Fraction of each target that is distributed equally over all classes.
    patience : int
        Number of consecutive epochs without a lower validation loss after which training ends. Each time half of this
        number has passed, the learning rate is halved.
    batch_norm : {"frozen", "train"}
        Whether batch normalisation uses the statistics of the backbone or those of each batch.
    dropout : float
        Dropout rate after each hidden dense layer, or before the last layer if there is no hidden layer.
    class_weight : {"balanced"}, optional
        Class weights inversely proportional to the number of training images of each class.
    seed : int
        Random seed of the order of images, views, dropout and new weights.

    Raises
    ------
    TrainingError
        If the optimizer, the handling of batch normalisation or the class weight is unknown.
    OptionError
        If a number is outside its range.
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
        check_ranges(vars(self), TrainOptions)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


_FROM_SCRATCH: dict[str, Any] = {"epochs": 30, "learning_rate": 1e-3, "dropout": 0.5}


def make_config(is_scratch: bool, seed: int, options: TrainOptions) -> TrainingConfig:
    """Return the configuration of a training run; options that are None get their default.

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
    """A training run: configuration, trained blocks, views and hidden layers.

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
        Whether the activations of the frozen blocks are computed once and cached.
    hidden : tuple of int
        Numbers of units in the hidden dense layers.
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
        """Return all values on which the result depends; these values identify a training run in the cache."""
        return {
            "config": self.config.to_dict(),
            "unfreeze": str(self.unfreeze),
            "hidden": list(self.hidden),
            **self.view_spec,
            "views": self.views,
        }


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        choices = " or ".join(filter(None, [", ".join(allowed[:-1]), allowed[-1]]))
        raise as_usage(TrainingError(f"`{name}={value}`: expected {choices}"))
