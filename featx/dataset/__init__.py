"""Scan data sets: find the images, and read labels, groups and splits from folder names or a manifest."""

from featx.dataset.layout import read_layout
from featx.dataset.lines import STDIN, stream_lines
from featx.dataset.scan import (
    Dataset,
    dataset_id,
    is_list,
    scan,
    scan_files,
    scan_list,
    scan_unlabelled,
    stop_if_packed,
    stream_folder,
    stream_list,
)
from featx.dataset.splits import exact_split_name
from featx.dataset.versions import find_versions, original_stem, stem_without_change

__all__ = [
    "STDIN",
    "Dataset",
    "dataset_id",
    "exact_split_name",
    "find_versions",
    "is_list",
    "original_stem",
    "read_layout",
    "scan",
    "scan_files",
    "scan_list",
    "scan_unlabelled",
    "stem_without_change",
    "stop_if_packed",
    "stream_folder",
    "stream_lines",
    "stream_list",
]
