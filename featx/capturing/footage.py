"""Frames of a camera or a video file, one after the other."""

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
"""The first frames of a camera are dark or green, until its exposure is set."""

_HEAD_BYTES = 4096
_WHOLE_SHARE = 0.95
"""Containers count their frames roughly; a file that gives fewer than this share of them is cut off or damaged."""


class Footage:
    """A camera or a video file that was opened.

    Parameters
    ----------
    video : cv2.VideoCapture
    source : int or str
        Number of the camera, or the file.
    title : str
        For people.
    """

    def __init__(self, video: Any, source: int | str, title: str) -> None:
        self._video = video
        self.source = source
        self.title = title
        self.is_camera = isinstance(source, int)
        self.ended = ""

    def frames(self, every: int = 1) -> Iterator[NDArray[np.uint8]]:
        """Yield every Nth frame, shape (height, width, 3), blue first. ``ended`` then says why no more came, if early.

        A camera is waited for 10 s at most.
        """
        n = -_WARM_UP_FRAMES if self.is_camera else 0
        while self._grab():
            n += 1
            if n < 1 or (n - 1) % every:
                continue
            with quiet_native_stderr():  # a camera's torn JPEG frames make the decoder complain
                decoded, frame = self._video.retrieve()
            if not decoded:
                break
            yield frame
        announced = 0 if self.is_camera else self._video.get(_FRAME_COUNT)
        if self.is_camera:
            self.ended = "it gives no more frames: was it unplugged, or taken by another program?"
        elif n < _WHOLE_SHARE * announced:
            self.ended = f"{n:,} of {announced:,.0f} frames could be read: it is cut off or damaged"

    def _grab(self) -> bool:
        if not self.is_camera:
            return bool(self._video.grab())
        return bool(_within(_FRAME_SECONDS, self._video.grab))

    def close(self) -> None:
        """Let the camera go."""
        # A camera that hangs would hang here too.
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
        No such camera or file, or a file that is no video.
    """
    if isinstance(source, str) and source.isdecimal():
        source = int(source)
    return _camera(cv2, source) if isinstance(source, int) else _file(cv2, Path(source))


def _camera(cv2: Any, number: int) -> Footage:
    if number < 0:
        raise CaptureError(f"`source={number}`: cameras are numbered from 0")
    with quiet_native_stderr():
        video = _within(_OPEN_SECONDS, lambda: cv2.VideoCapture(number))
    if video is None:
        raise CaptureError(
            f"camera {number} did not answer in {_OPEN_SECONDS:.0f} s; close programs that may use it, "
            "plug it in again, or name another one with `source`"
        )
    if not video.isOpened():
        raise CaptureError(
            f"there is no camera {number}, or it may not be used: close programs that use it, allow this terminal to "
            "use cameras, name another one (`source=0` is the first) or a video file"
        )
    return Footage(video, number, f"camera {number}, {_size(cv2, video)}")


def _file(cv2: Any, path: Path) -> Footage:
    try:
        with open_regular(path) as stream:
            head = stream.read(_HEAD_BYTES)
    except NotRegularError as error:
        raise CaptureError(
            f"`source={path}` is {error.strerror}; allowed are the number of a camera and a video file"
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise CaptureError(
            f"no such video file: {path}; allowed are the number of a camera (0, 1) and a video file"
        ) from None
    except OSError as error:
        raise CaptureError(f"{path} cannot be read: {error.strerror or error}") from None
    if looks_like_image(path.name, head):
        raise CaptureError(f"{path} is an image, no video; put it into the folder of its label as it is")
    # FFmpeg would type out text as a film; no video is without zero bytes at its start.
    video = cv2.VideoCapture(str(path)) if b"\0" in head else None
    if video is None or not video.isOpened():
        raise CaptureError(
            f"{path} is no video that can be read (it may be cut off, or of a kind that OpenCV does not know); "
            "save it as MP4 or AVI"
        )
    return Footage(video, str(path), f"{path}, {_size(cv2, video)}")


def _size(cv2: Any, video: Any) -> str:
    return f"{video.get(cv2.CAP_PROP_FRAME_WIDTH):.0f} x {video.get(cv2.CAP_PROP_FRAME_HEIGHT):.0f}"


def _within(seconds: float, call: Callable[[], _T]) -> _T | None:
    """Return what a call returns; None if it recordings too long, as drivers of cameras may without end."""
    answers: queue.SimpleQueue[_T] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(call()), daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return None
