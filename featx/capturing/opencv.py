"""Import OpenCV on first use, with its own messages and those of FFmpeg disabled."""

from __future__ import annotations

import os
from typing import Any

from featx.errors import MissingExtraError


def start_opencv() -> Any:
    """Import OpenCV and return it.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    """
    # OpenCV reads these at import and at the first video; values that the user has set are respected.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("cameras and videos need OpenCV: pip install 'featx[capture]'") from None
    return cv2
