"""Evaluate classifiers: the records of an evaluation, and the procedures that compute them.

This package exports the records only. :mod:`featx.evaluation.procedures` imports scikit-learn; import it explicitly.
"""

from featx.evaluation.records.evaluation import (
    CalibratedOn,
    Evaluation,
    FinetuneEvaluation,
    ModelEvaluation,
    read_evaluation,
)
from featx.evaluation.records.findings import (
    CurvePoint,
    GroupHintAccuracy,
    LearningCurve,
    MissingPoint,
    Outlook,
    Reliability,
    ReliabilityBin,
    ViewsGain,
)
from featx.evaluation.records.finetune_comparison import FinetuneComparison, Kept
from featx.evaluation.records.new_images import NewImagesAccuracy
from featx.evaluation.records.scores import (
    ByClass,
    ClassScore,
    CrossValidation,
    HeldOut,
    Interval,
)
from featx.evaluation.records.verdict import Contradiction, TrustedAccuracy, judge_baseline

__all__ = [
    "ByClass",
    "CalibratedOn",
    "ClassScore",
    "Contradiction",
    "CrossValidation",
    "CurvePoint",
    "Evaluation",
    "FinetuneComparison",
    "FinetuneEvaluation",
    "GroupHintAccuracy",
    "HeldOut",
    "Interval",
    "Kept",
    "LearningCurve",
    "MissingPoint",
    "ModelEvaluation",
    "NewImagesAccuracy",
    "Outlook",
    "Reliability",
    "ReliabilityBin",
    "TrustedAccuracy",
    "ViewsGain",
    "judge_baseline",
    "read_evaluation",
]
