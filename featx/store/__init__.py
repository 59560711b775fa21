"""The cache on disk: feature stores, data-set snapshots and what was extracted last (docs/format.md)."""

from featx.store.base import count_base
from featx.store.checking import Finding, check_file
from featx.store.contents import CacheFile, FileKind, last_use, list_files, note_use, open_store, spec_of
from featx.store.features import FeatureStore, StoredFeatures, StoreWriter
from featx.store.files import check_cache, is_cache, prepare_cache, write_content, write_whole
from featx.store.files import delete as delete_file
from featx.store.graphs import (
    has_graph,
    quantized_name,
    read_agreements,
    read_calibration,
    read_calibrations,
    read_graph,
    read_quantized_graph,
    remember_agreement,
    remember_calibration,
    write_graph,
)
from featx.store.journal import count_journal
from featx.store.latest import read_latest, read_sizes, remember_size, write_latest
from featx.store.rows import SIGNATURE_SHAPE, Rows, keys_of
from featx.store.runs import (
    TRAINING_DONE,
    delete_networks,
    delete_run,
    list_runs,
    list_strangers,
    lock_run,
    open_run,
)
from featx.store.snapshot import SnapshotSummary, read_snapshot, summarize_snapshot, write_snapshot
from featx.store.sweeping import Swept, delete_leftover, sweep_store
from featx.store.tables import write_table

__all__ = [
    "SIGNATURE_SHAPE",
    "TRAINING_DONE",
    "CacheFile",
    "FeatureStore",
    "FileKind",
    "Finding",
    "Rows",
    "SnapshotSummary",
    "StoreWriter",
    "StoredFeatures",
    "Swept",
    "check_cache",
    "check_file",
    "count_base",
    "count_journal",
    "delete_file",
    "delete_leftover",
    "delete_networks",
    "delete_run",
    "has_graph",
    "is_cache",
    "keys_of",
    "last_use",
    "list_files",
    "list_runs",
    "list_strangers",
    "lock_run",
    "note_use",
    "open_run",
    "open_store",
    "prepare_cache",
    "quantized_name",
    "read_agreements",
    "read_calibration",
    "read_calibrations",
    "read_graph",
    "read_latest",
    "read_quantized_graph",
    "read_sizes",
    "read_snapshot",
    "remember_agreement",
    "remember_calibration",
    "remember_size",
    "spec_of",
    "summarize_snapshot",
    "sweep_store",
    "write_content",
    "write_graph",
    "write_latest",
    "write_snapshot",
    "write_table",
    "write_whole",
]
