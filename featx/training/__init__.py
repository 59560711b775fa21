"""Train the top blocks of a network on cached activations or on pixels; Keras is imported on first use."""

from featx.training.config import TrainingConfig, TrainingPlan, make_config
from featx.training.curves import draw_curves
from featx.training.data import TrainingData
from featx.training.initial_top import DenseLayers, layers_of_head
from featx.training.records import Cut, Epoch, History
from featx.training.training import (
    SCRATCH,
    SCRATCH_SIZE,
    TrainedNetwork,
    choose_cut,
    train_blocks,
    train_small_cnn,
)

__all__ = [
    "SCRATCH",
    "SCRATCH_SIZE",
    "Cut",
    "DenseLayers",
    "Epoch",
    "History",
    "TrainedNetwork",
    "TrainingConfig",
    "TrainingData",
    "TrainingPlan",
    "choose_cut",
    "draw_curves",
    "layers_of_head",
    "make_config",
    "train_blocks",
    "train_small_cnn",
]
