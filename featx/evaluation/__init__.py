"""What is known of a classifier's accuracy: plain frozen values, to and from a dictionary."""

from featx.evaluation.contest import Contest
from featx.evaluation.evaluation import Evaluation
from featx.evaluation.findings import LearningCurve, Outlook, Reliability, SourceAccuracy, ViewsWorth
from featx.evaluation.scores import ClassScore, CrossValidation, HeldOut, Interval, Outside, judge_baseline

__all__ = [
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
