"""From a feature table to a classifier: group, tune, cross-validate, fit, evaluate on what was set aside."""

from featx.fitting.fitting import default_model_name, fit
from featx.fitting.preparing import features_to_fit

__all__ = ["default_model_name", "features_to_fit", "fit"]
