"""Predict the classes of any number of images in files and folders with a fitted classifier."""

from featx.prediction.predicting import PredictionSummary, load, predict

__all__ = ["PredictionSummary", "load", "predict"]
