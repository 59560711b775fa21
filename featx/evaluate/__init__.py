"""Leak-free evaluation: folds, tuning inside them, intervals, calibration."""

from featx.evaluate.calibration import cross_fitted, find_temperature
from featx.evaluate.convergence import Tally
from featx.evaluate.cross_validation import (
    CrossValidated,
    TrainingSet,
    accuracy_as_fitted,
    count_confusions,
    cross_validate,
    out_of_fold_scores,
    quiet_single_threads,
    score_classes,
)
from featx.evaluate.folds import MOST_FOLDED, TooFewGroups
from featx.evaluate.holding_out import HeldOutParts, hold_out
from featx.evaluate.intervals import difference_of_shares, share_of
from featx.evaluate.learning import learning_curve
from featx.evaluate.outside import measure_outside
from featx.evaluate.pairing import paired_difference
from featx.evaluate.parts import Parts, split_parts
from featx.evaluate.reliability import measure_reliability
from featx.evaluate.tuning import Tuned, fit_head, tune_and_fit

__all__ = [
    "MOST_FOLDED",
    "CrossValidated",
    "HeldOutParts",
    "Parts",
    "Tally",
    "TooFewGroups",
    "TrainingSet",
    "Tuned",
    "accuracy_as_fitted",
    "count_confusions",
    "cross_fitted",
    "cross_validate",
    "difference_of_shares",
    "find_temperature",
    "fit_head",
    "hold_out",
    "learning_curve",
    "measure_outside",
    "measure_reliability",
    "out_of_fold_scores",
    "paired_difference",
    "quiet_single_threads",
    "score_classes",
    "share_of",
    "split_parts",
    "tune_and_fit",
]
