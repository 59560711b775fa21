"""Import OpenCV on first use, without messages of OpenCV and FFmpeg."""

from __future__ import annotations

import os
from typing import Any

from featx.errors import MissingExtraError


def start_opencv() -> Any:
    """Import OpenCV and return it.

    Raises
    ------
    MissingExtraError
        If OpenCV is not installed.
    """
    # OpenCV reads these variables at import and at the first video. Values that the user has set are kept.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("cameras and videos need OpenCV: pip install 'featx[capture]'") from None
    return cv2
