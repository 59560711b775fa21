"""Find duplicates, near-duplicates and recordings, and group the images that every split must keep together."""

from featx.duplicates.conflicts import find_conflicts
from featx.duplicates.grouping import (
    LARGEST_SHARE_OF_VERSIONS,
    Grouping,
    drop_dominating_groups,
    find_named_versions,
    group_samples,
    group_table,
    join_groups,
)
from featx.duplicates.measures import detail_measure, feature_measure
from featx.duplicates.near import find_near_duplicates
from featx.duplicates.recordings import find_recordings, make_frame_name, recording_numbers, recording_of
from featx.duplicates.similar_names import feature_similarity, find_similar_names, thumbnail_similarity
from featx.duplicates.transformed import find_transformed
from featx.duplicates.union_find import UnionFind, group_pairs

__all__ = [
    "LARGEST_SHARE_OF_VERSIONS",
    "Grouping",
    "UnionFind",
    "detail_measure",
    "drop_dominating_groups",
    "feature_measure",
    "feature_similarity",
    "find_conflicts",
    "find_named_versions",
    "find_near_duplicates",
    "find_recordings",
    "find_similar_names",
    "find_transformed",
    "group_pairs",
    "group_samples",
    "group_table",
    "join_groups",
    "make_frame_name",
    "recording_numbers",
    "recording_of",
    "thumbnail_similarity",
]
