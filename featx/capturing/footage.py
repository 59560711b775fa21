"""Read frames from a camera or a video file."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from featx.errors import CaptureError
from featx.files import NotRegularError, open_regular
from featx.images import looks_like_image
from featx.libraries import quiet_native_stderr

_T = TypeVar("_T")

_OPEN_SECONDS = 20.0
_FRAME_SECONDS = 10.0

_WARM_UP_FRAMES = 10
"""Number of first frames that are not used: they are dark or green until the camera has adjusted the exposure."""

_HEAD_BYTES = 4096
_WHOLE_SHARE = 0.95
"""Minimum fraction of the frames that the file announces (approximately); with fewer, the file is damaged."""


class Footage:
    """An open camera or video file.

    Parameters
    ----------
    video : cv2.VideoCapture
    source : int or str
        Number of the camera, or the file.
    title : str
        Name in messages.
    """

    def __init__(self, video: Any, source: int | str, title: str) -> None:
        self._video = video
        self.source = source
        self.title = title
        self.is_camera = isinstance(source, int)
        self.ended = ""

    def frames(self, every: int = 1) -> Iterator[NDArray[np.uint8]]:
        """Yield every Nth frame in BGR order, shape (height, width, 3).

        If the frames end early, ``ended`` states the reason. A camera has at most 10 s for each frame.
        """
        n = -_WARM_UP_FRAMES if self.is_camera else 0
        while self._grab():
            n += 1
            if n < 1 or (n - 1) % every:
                continue
            with quiet_native_stderr():  # the decoder prints warnings for incomplete JPEG frames of a camera
                decoded, frame = self._video.retrieve()
            if not decoded:
                break
            yield frame
        announced = 0 if self.is_camera else self._video.get(_FRAME_COUNT)
        if self.is_camera:
            self.ended = "it gives no more frames, perhaps because it was unplugged or another program uses it"
        elif n < _WHOLE_SHARE * announced:
            self.ended = f"{n:,} of {announced:,.0f} frames could be read: the file is truncated or damaged"

    def _grab(self) -> bool:
        if not self.is_camera:
            return bool(self._video.grab())
        return bool(_within(_FRAME_SECONDS, self._video.grab))

    def close(self) -> None:
        """Release the camera or close the file."""
        # The driver of a camera that does not respond may also block here.
        if self.is_camera:
            _within(_FRAME_SECONDS, self._video.release)
        else:
            self._video.release()


_FRAME_COUNT = 7  # cv2.CAP_PROP_FRAME_COUNT


def open_footage(cv2: Any, source: int | str | Path) -> Footage:
    """Open a camera by its number, or a video file.

    Raises
    ------
    CaptureError
        If the camera or file does not exist, or the file is not a video.
    """
    if isinstance(source, str) and source.isdecimal():
        source = int(source)
    return _camera(cv2, source) if isinstance(source, int) else _file(cv2, Path(source))


def _camera(cv2: Any, number: int) -> Footage:
    if number < 0:
        raise CaptureError(f"`source={number}`: expected the number of a camera (the first is 0) or a video file")
    with quiet_native_stderr():
        video = _within(_OPEN_SECONDS, lambda: cv2.VideoCapture(number))
    if video is None:
        raise CaptureError(
            f"camera {number} did not respond within {_OPEN_SECONDS:.0f} s; close programs that may use it, "
            "reconnect it, or choose another camera with `source`"
        )
    if not video.isOpened():
        raise CaptureError(
            f"camera {number} does not exist or cannot be accessed; close programs that use it, allow this terminal to "
            "use cameras, or choose another camera (`source=0` is the first) or a video file"
        )
    return Footage(video, number, f"camera {number}, {_size(cv2, video)}")


def _file(cv2: Any, path: Path) -> Footage:
    try:
        with open_regular(path) as stream:
            head = stream.read(_HEAD_BYTES)
    except NotRegularError as error:
        raise CaptureError(
            f"`source={path}` is {error.strerror}; expected the number of a camera or a video file"
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise CaptureError(
            f"`source={path}`: no such video file; expected the number of a camera (the first is 0) or a video file"
        ) from None
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror or error}") from None
    if looks_like_image(path.name, head):
        raise CaptureError(f"{path} is an image, not a video; copy it into the folder of its label")
    # FFmpeg would render a text file as a video; every video file has zero bytes at its start.
    video = cv2.VideoCapture(str(path)) if b"\0" in head else None
    if video is None or not video.isOpened():
        raise CaptureError(
            f"{path} cannot be read as a video (it may be truncated, or in a format that OpenCV does not support); "
            "save it as MP4 or AVI"
        )
    return Footage(video, str(path), f"{path}, {_size(cv2, video)}")


def _size(cv2: Any, video: Any) -> str:
    return f"{video.get(cv2.CAP_PROP_FRAME_WIDTH):.0f} x {video.get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}"


def _within(seconds: float, call: Callable[[], _T]) -> _T | None:
    """Return the result of a call; None after a time limit, because camera drivers may block for ever."""
    results: queue.SimpleQueue[_T] = queue.SimpleQueue()
    threading.Thread(target=lambda: results.put(call()), daemon=True).start()
    try:
        return results.get(timeout=seconds)
    except queue.Empty:
        return None
