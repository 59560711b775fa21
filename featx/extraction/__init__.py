"""From pictures to cached features: the one extraction loop."""

from featx.extraction.extracting import extract, extract_command, featurize, latest

__all__ = ["extract", "extract_command", "featurize", "latest"]
