"""What the cache knows of a data set, without computing anything."""

from featx.lookup.listing import list_images
from featx.lookup.memo import Progress, as_hashes, how_read
from featx.lookup.retrieval import latest, note_latest, recall_table
from featx.lookup.snapshot import check_strict, notice_left_out, notice_odd, remember_states, why_none_usable
from featx.lookup.table import dataset_table, joined, table_of
from featx.lookup.views import (
    Augmented,
    check_views,
    contents_to_learn,
    described,
    lacking_views,
    views_store,
)

__all__ = [
    "Augmented",
    "Progress",
    "as_hashes",
    "check_strict",
    "check_views",
    "contents_to_learn",
    "dataset_table",
    "described",
    "how_read",
    "joined",
    "lacking_views",
    "latest",
    "list_images",
    "note_latest",
    "notice_left_out",
    "notice_odd",
    "recall_table",
    "remember_states",
    "table_of",
    "views_store",
    "why_none_usable",
]
