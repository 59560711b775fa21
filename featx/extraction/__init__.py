"""From pictures to cached features: the one extraction loop."""

from featx.extraction.darkness import stop_if_too_dark
from featx.extraction.extracting import extract, extract_command, featurize
from featx.extraction.reading import read_pictures
from featx.extraction.recalling import latest, recall_table
from featx.extraction.starting import graph_key

__all__ = [
    "extract",
    "extract_command",
    "featurize",
    "graph_key",
    "latest",
    "read_pictures",
    "recall_table",
    "stop_if_too_dark",
]
