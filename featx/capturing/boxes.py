"""Rectangular parts of a frame, in pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Box(NamedTuple):
    """A rectangle of columns ``left`` to ``right`` and rows ``top`` to ``bottom``; the upper bounds are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def grown(self, margin: float) -> Box:
        """Return the box enlarged on every side by a fraction ``margin`` of its width."""
        by = round(margin * (self.right - self.left))
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def within(self, height: int, width: int) -> Box:
        """Return the part of the box inside a frame of the given height and width."""
        return Box(max(0, self.left), max(0, self.top), min(width, self.right), min(height, self.bottom))

    def cut(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the part of a frame inside the box, shape (height, width) or (height, width, 3)."""
        return frame[self.top : self.bottom, self.left : self.right]
