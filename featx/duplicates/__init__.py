"""Copies of pictures: exact and near ones, frames of takes, and the groups that must not be torn apart."""

from featx.duplicates.conflicts import find_conflicts
from featx.duplicates.grouping import (
    MOST_COMPARED,
    Grouping,
    group_samples,
    group_table,
    join_groups,
    without_too_alike,
)
from featx.duplicates.near import agree_in_detail, agree_in_features, near_copies
from featx.duplicates.takes import declared_take, find_takes, frame_name, take_numbers
from featx.duplicates.ties import group_pairs

__all__ = [
    "MOST_COMPARED",
    "Grouping",
    "agree_in_detail",
    "agree_in_features",
    "declared_take",
    "find_conflicts",
    "find_takes",
    "frame_name",
    "group_pairs",
    "group_samples",
    "group_table",
    "join_groups",
    "near_copies",
    "take_numbers",
    "without_too_alike",
]
