"""Import OpenCV late, with its own messages and those of its FFmpeg switched off."""

from __future__ import annotations

import os
from typing import Any

from featx.errors import MissingExtraError


def start_opencv() -> Any:
    """Import OpenCV and return it.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    # Read once, at the import and at the first video; who sets them for himself sees the messages.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError:
        raise MissingExtraError("cameras and videos need OpenCV: pip install 'featx[capture]'") from None
    return cv2
