"""Import OpenCV on first use, without messages of OpenCV and FFmpeg."""

from __future__ import annotations

import os
from typing import Any


def start_opencv() -> Any:
    """Import OpenCV and return it."""
    # OpenCV reads these variables at import and at the first video. Values that the user has set are kept.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    return cv2
