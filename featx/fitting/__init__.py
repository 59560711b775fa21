"""Fit classifiers on feature tables: group, tune, cross-validate, fit, and evaluate on held-out parts."""

from featx.fitting.fitting import default_model_name, fit
from featx.fitting.preparing import features_to_fit

__all__ = ["default_model_name", "features_to_fit", "fit"]
