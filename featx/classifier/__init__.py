"""What is saved and what predicts: a fitted head with its feature recipe and class names."""

from featx.classifier.classifier import Classifier, OutOfFold, Predictions
from featx.classifier.folded import Folded, fold, softmax

__all__ = ["Classifier", "Folded", "OutOfFold", "Predictions", "fold", "softmax"]
