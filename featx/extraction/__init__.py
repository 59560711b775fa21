"""From pictures to cached features: the one extraction loop."""

from featx.extraction.darkness import stop_if_too_dark
from featx.extraction.extracting import extract, extract_command, featurize, latest
from featx.extraction.reading import read_pictures

__all__ = ["extract", "extract_command", "featurize", "latest", "read_pictures", "stop_if_too_dark"]
