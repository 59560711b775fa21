"""Copies of pictures: exact and near ones, frames of takes, and the groups that must not be torn apart."""

from featx.duplicates.grouping import Grouping, group_samples, join_groups
from featx.duplicates.near import agree_in_detail, near_copies
from featx.duplicates.takes import find_takes
from featx.duplicates.ties import group_pairs

__all__ = ["Grouping", "agree_in_detail", "find_takes", "group_pairs", "group_samples", "join_groups", "near_copies"]
