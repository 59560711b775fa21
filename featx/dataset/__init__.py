"""Data sets: which files are pictures, and what their folders or a manifest say about them."""

from featx.dataset.layout import SPLIT_NAMES, understand
from featx.dataset.scan import Dataset, Found, dataset_id, gather, is_folder, scan, scan_unlabelled
from featx.dataset.walk import OUTPUT_TAG, walk

__all__ = [
    "OUTPUT_TAG",
    "SPLIT_NAMES",
    "Dataset",
    "Found",
    "dataset_id",
    "gather",
    "is_folder",
    "scan",
    "scan_unlabelled",
    "understand",
    "walk",
]
