"""Train networks: cut in two, the upper part trained on cached activations or on pixels. Imports Keras when used."""

from featx.training.curves import draw_curves
from featx.training.data import Material, divide
from featx.training.initial_top import FrozenHead
from featx.training.records import Course, Cut, Epoch, History, usual_course
from featx.training.training import (
    SCRATCH,
    SCRATCH_SIZE,
    Plan,
    TrainedNetwork,
    check_views,
    cut_network,
    train_blocks,
    train_scratch,
)

__all__ = [
    "SCRATCH",
    "SCRATCH_SIZE",
    "Course",
    "Cut",
    "Epoch",
    "FrozenHead",
    "History",
    "Material",
    "Plan",
    "TrainedNetwork",
    "check_views",
    "cut_network",
    "divide",
    "draw_curves",
    "train_blocks",
    "train_scratch",
    "usual_course",
]
