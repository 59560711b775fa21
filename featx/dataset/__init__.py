"""Data sets: which files are pictures, and what their folders or a manifest say about them."""

from featx.dataset.scan import Dataset, Found, dataset_id, gather, scan, scan_unlabelled
from featx.dataset.walk import OUTPUT_TAG

__all__ = ["OUTPUT_TAG", "Dataset", "Found", "dataset_id", "gather", "scan", "scan_unlabelled"]
