"""Records of an evaluation: plain frozen values, to and from a dictionary."""

from featx.evaluation.records.contest import Contest
from featx.evaluation.records.evaluation import Evaluation
from featx.evaluation.records.findings import LearningCurve, Outlook, Reliability, SourceAccuracy, ViewsWorth
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
