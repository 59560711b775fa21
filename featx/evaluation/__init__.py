"""What is known of a classifier's accuracy: plain records below, the procedures that fill them above.

The records are the face of the room; :mod:`featx.evaluation.procedures` imports scikit-learn and is asked by name.
"""

from featx.evaluation.records import (
    ByClass,
    ClassScore,
    Contest,
    CrossValidation,
    Evaluation,
    HeldOut,
    Interval,
    LearningCurve,
    Outlook,
    Outside,
    Reliability,
    SourceAccuracy,
    ViewsWorth,
    judge_baseline,
)

__all__ = [
    "ByClass",
    "ClassScore",
    "Contest",
    "CrossValidation",
    "Evaluation",
    "HeldOut",
    "Interval",
    "LearningCurve",
    "Outlook",
    "Outside",
    "Reliability",
    "SourceAccuracy",
    "ViewsWorth",
    "judge_baseline",
]
