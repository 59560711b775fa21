"""Collect labelled images from a camera or a video file, without blurred and near-identical frames."""

from featx.capturing.capturing import Capture, capture
from featx.capturing.recordings import count_recordings, dataset_root

__all__ = ["Capture", "capture", "count_recordings", "dataset_root"]
