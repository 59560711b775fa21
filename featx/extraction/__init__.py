"""From pictures to cached features: the one extraction loop."""

from featx.extraction.bundling import bundled
from featx.extraction.darkness import TooDarkError, stop_if_too_dark
from featx.extraction.extracting import compute_table, extract, extract_checked, extract_command
from featx.extraction.featurizing import featurize
from featx.extraction.reading import preparing_as, read_file, read_pictures
from featx.extraction.recalling import latest, recall_table
from featx.extraction.recipes import locate
from featx.extraction.settling import notice_left_out, why_none_usable
from featx.extraction.starting import graph_key

__all__ = [
    "TooDarkError",
    "bundled",
    "compute_table",
    "extract",
    "extract_checked",
    "extract_command",
    "featurize",
    "graph_key",
    "latest",
    "locate",
    "notice_left_out",
    "preparing_as",
    "read_file",
    "read_pictures",
    "recall_table",
    "stop_if_too_dark",
    "why_none_usable",
]
