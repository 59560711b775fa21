"""From a feature table to a classifier: group, tune, cross-validate, fit, evaluate on what was set aside."""

from featx.fitting.fitting import fit, model_name
from featx.fitting.preparing import features_to_fit

__all__ = ["features_to_fit", "fit", "model_name"]
