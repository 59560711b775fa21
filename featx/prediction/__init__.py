"""Predict files and folders of any size with a fitted classifier."""

from featx.prediction.predicting import PredictionSummary, load, predict

__all__ = ["PredictionSummary", "load", "predict"]
