"""Parts of a frame, in pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Box(NamedTuple):
    """A part of a frame: columns ``left`` to ``right`` and rows ``top`` to ``bottom``, the last ones left out."""

    left: int
    top: int
    right: int
    bottom: int

    def grown(self, margin: float) -> Box:
        """Return it with a margin on every side, in parts of its width."""
        by = round(margin * (self.right - self.left))
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def within(self, height: int, width: int) -> Box:
        """Return what of it lies in a frame of a size."""
        return Box(max(0, self.left), max(0, self.top), min(width, self.right), min(height, self.bottom))

    def cut(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return this part of a frame, shape (height, width) or (height, width, 3)."""
        return frame[self.top : self.bottom, self.left : self.right]
