"""What the cache knows of a data set, without computing anything."""

from featx.lookup.listing import list_images
from featx.lookup.memo import Progress, as_hashes, reading_key
from featx.lookup.retrieval import latest, note_latest, recall_table
from featx.lookup.snapshot import check_strict, notice_odd, notice_own_folders, remember_states, why_none_usable
from featx.lookup.table import dataset_table, joined, table_of
from featx.lookup.views import (
    Augmented,
    contents_to_train_on,
    described,
    lacking_views,
    views_policy,
    views_store,
)

__all__ = [
    "Augmented",
    "Progress",
    "as_hashes",
    "check_strict",
    "contents_to_train_on",
    "dataset_table",
    "described",
    "joined",
    "lacking_views",
    "latest",
    "list_images",
    "note_latest",
    "notice_odd",
    "notice_own_folders",
    "reading_key",
    "recall_table",
    "remember_states",
    "table_of",
    "views_policy",
    "views_store",
    "why_none_usable",
]
