"""From images to a feature table: extract, and the features that a model asks for."""

from featx.extraction.darkness import TooDarkError, stop_if_too_dark
from featx.extraction.extracting import compute_table, extract, extract_checked
from featx.extraction.featurizing import featurize

__all__ = ["TooDarkError", "compute_table", "extract", "extract_checked", "featurize", "stop_if_too_dark"]
