"""What is known of a classifier's accuracy: plain records below, the procedures that fill them above.

The records are the face of the room; :mod:`featx.evaluation.procedures` imports scikit-learn and is asked by name.
"""

from featx.evaluation.records.contest import Contest, Kept
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
from featx.evaluation.records.scores import (
    ByClass,
    ClassScore,
    CrossValidation,
    HeldOut,
    Interval,
    Outside,
    judge_baseline,
)

__all__ = [
    "ByClass",
    "CalibratedOn",
    "ClassScore",
    "Contest",
    "CrossValidation",
    "CurvePoint",
    "Evaluation",
    "FinetuneEvaluation",
    "GroupHintAccuracy",
    "HeldOut",
    "Interval",
    "Kept",
    "LearningCurve",
    "MissingPoint",
    "ModelEvaluation",
    "Outlook",
    "Outside",
    "Reliability",
    "ReliabilityBin",
    "ViewsGain",
    "judge_baseline",
    "read_evaluation",
]
