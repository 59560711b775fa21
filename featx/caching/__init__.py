"""List, check, clean and merge caches, and export feature tables from the cache."""

from featx.caching.cleaning import Cleaning, Removed, clean_cache
from featx.caching.exporting import Export, export_features
from featx.caching.listing import CacheListing, DatasetEntry, GraphEntry, StoreEntry, list_cache
from featx.caching.merging import Merge, MergedDataset, MergedShards, MergedStore, merge_caches
from featx.caching.verifying import CheckedFile, Verification, verify_cache

__all__ = [
    "CacheListing",
    "CheckedFile",
    "Cleaning",
    "DatasetEntry",
    "Export",
    "GraphEntry",
    "Merge",
    "MergedDataset",
    "MergedShards",
    "MergedStore",
    "Removed",
    "StoreEntry",
    "Verification",
    "clean_cache",
    "export_features",
    "list_cache",
    "merge_caches",
    "verify_cache",
]
