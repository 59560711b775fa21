"""Select the frames of a recording to keep: sharp frames that differ from the last kept frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.capturing.boxes import Box

_SHARPNESS_SIDE = 256
"""Sharpness is measured at about the input size of backbones, because noise in larger images would increase it."""

_RECENT = 60
_FIRST = 15
"""Number of candidates for the first median of the sharpness, because a camera may be out of focus at the start."""

_THUMBNAIL = (32, 32)


@dataclass(frozen=True)
class FrameCandidate:
    """A part of a frame that may be kept.

    Parameters
    ----------
    frame : ndarray of shape (height, width, 3), uint8
        Pixels in BGR order.
    grey : ndarray of shape (height, width), uint8
        The frame in grey levels.
    subject : Box
        Part that must be sharp: the face, or the whole frame.
    crop : Box
        Part that is kept.
    """

    frame: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    subject: Box
    crop: Box


def sharpness(cv2: Any, grey: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian of an image scaled down to at most 256 pixels.

    Source: J. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000.

    Parameters
    ----------
    cv2 : module
    grey : ndarray of shape (height, width), uint8
    """
    scale = _SHARPNESS_SIDE / max(grey.shape)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


class Chooser:
    """Selects candidates of a recording by sharpness and by difference from the last kept candidate.

    Parameters
    ----------
    cv2 : module
    min_sharpness : float
        Minimum sharpness, relative to the median of the last 60 candidates. Sharpness depends on the subject (it
        spans a factor of 20 over 167 portraits), so only frames of one recording are compared. Within a recording,
        the relative sharpness of sharp frames is 0.6 or more. The median over a data set is at most 0.08 for frames
        blurred by 1 % of the width, and at most 0.25 for motion blur over 4 % of the width
        (``python -m benchmarks.capture``).
    min_difference : float
        Minimum difference from the last kept candidate, in grey levels.
    """

    def __init__(self, cv2: Any, min_sharpness: float, min_difference: float) -> None:
        self._cv2 = cv2
        self._min_sharpness = min_sharpness
        self._min_difference = min_difference
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._last: NDArray[np.uint8] | None = None

    def judge(self, candidates: Iterable[FrameCandidate]) -> Iterator[tuple[FrameCandidate, str]]:
        """Yield each candidate with ``kept``, ``blurred`` or ``alike``, in order."""
        waiting: list[tuple[FrameCandidate, float]] = []
        for candidate in candidates:
            value = sharpness(self._cv2, candidate.subject.cut(candidate.grey))
            self._recent.append(value)
            waiting.append((candidate, value))
            if len(self._recent) >= _FIRST:
                yield from self._judged(waiting)
                waiting.clear()
        yield from self._judged(waiting)

    def _judged(self, candidates: Iterable[tuple[FrameCandidate, float]]) -> Iterator[tuple[FrameCandidate, str]]:
        for candidate, value in candidates:
            yield candidate, self._verdict(candidate, value)

    def _verdict(self, candidate: FrameCandidate, value: float) -> str:
        if value < self._min_sharpness * median(self._recent):
            return "blurred"
        if self._last is not None and self._difference(candidate) < self._min_difference:
            return "alike"
        self._last = candidate.grey
        return "kept"

    def _difference(self, candidate: FrameCandidate) -> float:
        """Return the mean absolute difference from the last kept frame, both cropped to the box of this candidate.

        The box of a detector varies by a pixel or two even for a still scene; with a box for each frame, no two frames
        would be similar.
        """
        if self._last is None or self._last.shape != candidate.grey.shape:
            return float("inf")
        new, old = (
            self._cv2.resize(candidate.crop.cut(grey), _THUMBNAIL, interpolation=self._cv2.INTER_AREA).astype(np.int16)
            for grey in (candidate.grey, self._last)
        )
        return float(np.abs(new - old).mean())
