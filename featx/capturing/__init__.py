"""Labelled pictures from a camera or a video file: faces found, blurred and near-identical frames left out."""

from featx.capturing.capturing import Capture, capture
from featx.capturing.takes import count_takes, dataset_root

__all__ = ["Capture", "capture", "count_takes", "dataset_root"]
