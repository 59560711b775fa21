"""From a feature table to a classifier: group, tune, cross-validate, fit, evaluate on what was set aside."""

from featx.fitting.fitting import fit, model_name

__all__ = ["fit", "model_name"]
