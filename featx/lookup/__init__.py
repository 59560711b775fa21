"""Look up the cached features of a data set; no features are computed."""

from featx.lookup.listing import list_images
from featx.lookup.memo import PassResult, Progress, as_hashes, look_up, reading_key
from featx.lookup.retrieval import fit_call, fit_options, latest, note_latest, recall_store, recall_table
from featx.lookup.shards import images_of_shard, note_shard, read_shard, stop_if_empty
from featx.lookup.snapshot import (
    check_strict,
    describe_unusable,
    notice_own_folders,
    remember_states,
    report_remarks,
    skipped_error,
)
from featx.lookup.table import dataset_table, join_passes, table_of
from featx.lookup.views import (
    StoredViews,
    describe_views,
    lacking_views,
    unique_training_images,
    views_policy,
    views_store,
)

__all__ = [
    "PassResult",
    "Progress",
    "StoredViews",
    "as_hashes",
    "check_strict",
    "dataset_table",
    "describe_unusable",
    "describe_views",
    "fit_call",
    "fit_options",
    "images_of_shard",
    "join_passes",
    "lacking_views",
    "latest",
    "list_images",
    "look_up",
    "note_latest",
    "note_shard",
    "notice_own_folders",
    "read_shard",
    "reading_key",
    "recall_store",
    "recall_table",
    "remember_states",
    "report_remarks",
    "skipped_error",
    "stop_if_empty",
    "table_of",
    "unique_training_images",
    "views_policy",
    "views_store",
]
