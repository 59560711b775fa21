"""Leak-free evaluation: folds, tuning inside them, intervals, calibration."""

from featx.evaluate.calibration import Calibrated, calibrate, find_temperature
from featx.evaluate.convergence import Tally
from featx.evaluate.cross_validation import (
    CrossValidated,
    TrainingSet,
    count_confusions,
    cross_validate,
    quiet_single_threads,
    score_classes,
)
from featx.evaluate.folds import MOST_FOLDED, TooFewGroups
from featx.evaluate.holding_out import HeldOutParts, hold_out
from featx.evaluate.intervals import difference_of_shares, share_of
from featx.evaluate.learning import learning_curve
from featx.evaluate.outside import measure_outside
from featx.evaluate.pairing import paired_difference
from featx.evaluate.parts import Parts, check_samples, split_parts
from featx.evaluate.reliability import measure_reliability
from featx.evaluate.tuning import Tuned, fit_head, tune_and_fit

__all__ = [
    "MOST_FOLDED",
    "Calibrated",
    "CrossValidated",
    "HeldOutParts",
    "Parts",
    "Tally",
    "TooFewGroups",
    "TrainingSet",
    "Tuned",
    "calibrate",
    "check_samples",
    "count_confusions",
    "cross_validate",
    "difference_of_shares",
    "find_temperature",
    "fit_head",
    "hold_out",
    "learning_curve",
    "measure_outside",
    "measure_reliability",
    "paired_difference",
    "quiet_single_threads",
    "score_classes",
    "share_of",
    "split_parts",
    "tune_and_fit",
]
