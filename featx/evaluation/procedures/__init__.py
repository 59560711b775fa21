"""Evaluation without leakage: folds, tuning inside the folds, confidence intervals and calibration."""

from featx.evaluation.procedures.calibration import calibrate, find_temperature
from featx.evaluation.procedures.contradictions import (
    Outcomes,
    group_at_chance,
    judge_group_hint,
    judge_part,
    judge_ungrouped,
)
from featx.evaluation.procedures.convergence import FitCounter
from featx.evaluation.procedures.cross_validation import (
    CrossValidated,
    cross_validate,
    quiet_single_threads,
)
from featx.evaluation.procedures.data_split import DataSplit, check_samples, split_table
from featx.evaluation.procedures.folds import MOST_CROSS_VALIDATED, TooFewGroups
from featx.evaluation.procedures.held_out import HeldOutParts, split_train_val_test
from featx.evaluation.procedures.intervals import difference_of_shares, share_of
from featx.evaluation.procedures.learning import learning_curve
from featx.evaluation.procedures.memory import MemoryPlan, plan_memory
from featx.evaluation.procedures.new_images import measure_new_images
from featx.evaluation.procedures.pairing import paired_difference
from featx.evaluation.procedures.reliability import measure_reliability
from featx.evaluation.procedures.threads import in_threads
from featx.evaluation.procedures.training_set import TrainingSet
from featx.evaluation.procedures.tuning import Tuned, fit_head, tune_and_fit

__all__ = [
    "MOST_CROSS_VALIDATED",
    "CrossValidated",
    "DataSplit",
    "FitCounter",
    "HeldOutParts",
    "MemoryPlan",
    "Outcomes",
    "TooFewGroups",
    "TrainingSet",
    "Tuned",
    "calibrate",
    "check_samples",
    "cross_validate",
    "difference_of_shares",
    "find_temperature",
    "fit_head",
    "group_at_chance",
    "in_threads",
    "judge_group_hint",
    "judge_part",
    "judge_ungrouped",
    "learning_curve",
    "measure_new_images",
    "measure_reliability",
    "paired_difference",
    "plan_memory",
    "quiet_single_threads",
    "share_of",
    "split_table",
    "split_train_val_test",
    "tune_and_fit",
]
