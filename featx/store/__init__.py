"""Read and write the cache: feature stores, snapshots of data sets, graphs and training runs (docs/format.md)."""

from featx.store.checking import Finding, check_file
from featx.store.cleanup import SweepResult, sweep_store
from featx.store.contents import (
    CacheFile,
    FileKind,
    last_use,
    list_files,
    list_stores,
    note_use,
    open_store,
    read_store_header,
    spec_of,
)
from featx.store.copying import Copied, CopiedFrom, copy_rows
from featx.store.features import FeatureStore, StoredFeatures, has_store
from featx.store.files import check_cache, is_cache, prepare_cache, write_cache_file, write_content
from featx.store.files import delete as delete_file
from featx.store.graphs import (
    copy_graph_notes,
    copy_quantized_graph,
    has_graph,
    quantized_name,
    read_agreements,
    read_graph,
    read_quantized_graph,
    read_quantized_name,
    read_quantized_names,
    remember_agreement,
    remember_quantized_name,
    write_graph,
)
from featx.store.journal import MOST_BYTES as JOURNAL_BYTES
from featx.store.journal import count_journal
from featx.store.notes import changing_notes, read_input_sizes, read_latest, remember_input_size, write_latest
from featx.store.pairs import StoredPairs, read_pairs, write_pairs
from featx.store.rows import Rows, as_bytes, keys_of
from featx.store.runs import (
    TRAINING_DONE,
    delete_networks,
    delete_run,
    list_foreign,
    list_runs,
    lock_run,
    open_run,
)
from featx.store.segments import list_segments, open_segments, segment_paths
from featx.store.shards import MOST_SHARDS, ShardRecord, list_shards, remember_shards
from featx.store.snapshot import SnapshotContent, SnapshotSummary, read_snapshot, summarize_snapshot, write_snapshot
from featx.store.snapshot_merging import merge_snapshots
from featx.store.tables import write_table
from featx.store.writing import JOURNAL, StoreWriter

__all__ = [
    "JOURNAL",
    "JOURNAL_BYTES",
    "MOST_SHARDS",
    "TRAINING_DONE",
    "CacheFile",
    "Copied",
    "CopiedFrom",
    "FeatureStore",
    "FileKind",
    "Finding",
    "Rows",
    "ShardRecord",
    "SnapshotContent",
    "SnapshotSummary",
    "StoreWriter",
    "StoredFeatures",
    "StoredPairs",
    "SweepResult",
    "as_bytes",
    "changing_notes",
    "check_cache",
    "check_file",
    "copy_graph_notes",
    "copy_quantized_graph",
    "copy_rows",
    "count_journal",
    "delete_file",
    "delete_networks",
    "delete_run",
    "has_graph",
    "has_store",
    "is_cache",
    "keys_of",
    "last_use",
    "list_files",
    "list_foreign",
    "list_runs",
    "list_segments",
    "list_shards",
    "list_stores",
    "lock_run",
    "merge_snapshots",
    "note_use",
    "open_run",
    "open_segments",
    "open_store",
    "prepare_cache",
    "quantized_name",
    "read_agreements",
    "read_graph",
    "read_input_sizes",
    "read_latest",
    "read_pairs",
    "read_quantized_graph",
    "read_quantized_name",
    "read_quantized_names",
    "read_snapshot",
    "read_store_header",
    "remember_agreement",
    "remember_input_size",
    "remember_quantized_name",
    "remember_shards",
    "segment_paths",
    "spec_of",
    "summarize_snapshot",
    "sweep_store",
    "write_cache_file",
    "write_content",
    "write_graph",
    "write_latest",
    "write_pairs",
    "write_snapshot",
    "write_table",
]
