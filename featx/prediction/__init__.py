"""Score files and folders of any size with a fitted classifier."""

from featx.prediction.predicting import Prediction, load, predict

__all__ = ["Prediction", "load", "predict"]
