"""The classifier that is saved and that predicts: a fitted head, its feature spec and its class names."""

from featx.classifier.classifier import FeatureClassifier
from featx.classifier.dense import DenseHead, softmax, to_dense
from featx.classifier.estimators import dump_estimator, types_to_trust
from featx.classifier.novelty import Rejector, learn_subspace
from featx.classifier.records import OutOfFold, Predictions, library_versions
from featx.classifier.suspicion import rank_suspects, suspicion_margins

__all__ = [
    "DenseHead",
    "FeatureClassifier",
    "OutOfFold",
    "Predictions",
    "Rejector",
    "dump_estimator",
    "learn_subspace",
    "library_versions",
    "rank_suspects",
    "softmax",
    "suspicion_margins",
    "to_dense",
    "types_to_trust",
]
