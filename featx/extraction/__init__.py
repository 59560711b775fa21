"""Extract features from images into a feature table: of a data set, or with the feature spec of a model."""

from featx.extraction.darkness import TooDarkError, stop_if_too_dark
from featx.extraction.extracting import compute_table, extract, extract_checked
from featx.extraction.featurizing import BlockFeatures, Featurizer, ImageBlock, featurize

__all__ = [
    "BlockFeatures",
    "Featurizer",
    "ImageBlock",
    "TooDarkError",
    "compute_table",
    "extract",
    "extract_checked",
    "featurize",
    "stop_if_too_dark",
]
