"""Leak-free evaluation: folds, tuning inside them, intervals, calibration."""

from featx.evaluate.calibration import find_temperature
from featx.evaluate.cross_validation import (
    CrossValidated,
    TrainingSet,
    cross_validate,
    out_of_fold_scores,
    quiet_single_threads,
)
from featx.evaluate.folds import TooFewGroups
from featx.evaluate.intervals import wilson
from featx.evaluate.tuning import Tuned, tune_and_fit

__all__ = [
    "CrossValidated",
    "TooFewGroups",
    "TrainingSet",
    "Tuned",
    "cross_validate",
    "find_temperature",
    "out_of_fold_scores",
    "quiet_single_threads",
    "tune_and_fit",
    "wilson",
]
