"""What is known of a classifier's accuracy: plain frozen values, to and from a dictionary."""

from featx.evaluation.evaluation import Evaluation
from featx.evaluation.findings import LearningCurve, Outlook, Reliability, SourceAccuracy
from featx.evaluation.scores import ClassScore, CrossValidation, HeldOut, Interval, Outside

__all__ = [
    "ClassScore",
    "CrossValidation",
    "Evaluation",
    "HeldOut",
    "Interval",
    "LearningCurve",
    "Outlook",
    "Outside",
    "Reliability",
    "SourceAccuracy",
]
