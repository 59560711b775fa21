"""The cache on disk: feature stores, data-set snapshots and what was extracted last (docs/format.md)."""

from featx.store.features import FeatureStore, StoredFeatures, StoreWriter
from featx.store.files import CACHE_TAG, write_whole
from featx.store.graphs import (
    read_agreements,
    read_calibration,
    read_graph,
    remember_agreement,
    remember_calibration,
    write_graph,
)
from featx.store.latest import read_latest, read_sizes, remember_size, write_latest
from featx.store.rows import Rows, keys_of
from featx.store.snapshot import read_snapshot, write_snapshot

__all__ = [
    "CACHE_TAG",
    "FeatureStore",
    "Rows",
    "StoreWriter",
    "StoredFeatures",
    "keys_of",
    "read_agreements",
    "read_calibration",
    "read_graph",
    "read_latest",
    "read_sizes",
    "read_snapshot",
    "remember_agreement",
    "remember_calibration",
    "remember_size",
    "write_graph",
    "write_latest",
    "write_snapshot",
    "write_whole",
]
