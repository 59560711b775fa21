"""Leak-free evaluation: folds, tuning inside them, intervals, calibration."""

from featx.evaluate.calibration import find_temperature
from featx.evaluate.cross_validation import (
    CrossValidated,
    TrainingSet,
    accuracy_as_fitted,
    cross_validate,
    out_of_fold_scores,
    quiet_single_threads,
)
from featx.evaluate.folds import TooFewGroups
from featx.evaluate.holding_out import HeldOutParts, hold_out
from featx.evaluate.intervals import paired_difference, wilson
from featx.evaluate.learning import learning_curve
from featx.evaluate.outside import measure_outside
from featx.evaluate.pairing import paired_on_pictures
from featx.evaluate.parts import Parts, split_parts
from featx.evaluate.reliability import measure_reliability
from featx.evaluate.tuning import Tuned, tune_and_fit

__all__ = [
    "CrossValidated",
    "HeldOutParts",
    "Parts",
    "TooFewGroups",
    "TrainingSet",
    "Tuned",
    "accuracy_as_fitted",
    "cross_validate",
    "find_temperature",
    "hold_out",
    "learning_curve",
    "measure_outside",
    "measure_reliability",
    "out_of_fold_scores",
    "paired_difference",
    "paired_on_pictures",
    "quiet_single_threads",
    "split_parts",
    "tune_and_fit",
    "wilson",
]
