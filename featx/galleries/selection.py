"""Choose a limited number of predicted images, balanced by class and status, in bounded memory."""

from __future__ import annotations

import hashlib
import heapq
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "rejected", "skipped"]


@dataclass(frozen=True)
class Tile:
    """Data that are shown for a predicted image.

    Parameters
    ----------
    path : str
    label : str
        Predicted class; empty unless the status is ``ok``.
    confidence : float or None
        Calibrated probability of the predicted class; None for a skipped image.
    status : {"ok", "rejected", "skipped"}
    seen : bool or None
        Whether the model was fitted on this image; None for a skipped image.
    reason : str
        Reason why the image was rejected or skipped; otherwise empty.
    """

    path: str
    label: str
    confidence: float | None
    status: Status
    seen: bool | None
    reason: str

    @property
    def kind(self) -> tuple[str, str]:
        """Status and label; the selection is balanced over these pairs."""
        return self.status, self.label


_Held = tuple[int, int, Tile]
"""Negative digest, negative position, and the tile."""


class BalancedSample:
    """Select the same number of images of each kind: of each class, of the rejected and of the skipped images.

    If a kind has few images, all of them are kept. Otherwise, the images with the smallest digests of their paths are
    kept. This pseudo-random selection is the same whenever the same images are predicted.

    Parameters
    ----------
    most : int
        Maximum total number of images to keep, which also limits the memory.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[tuple[str, str], list[_Held]] = {}
        self._n_held = 0
        self._fullest = 0
        self.n = 0
        """Number of images added."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """Number of images added, by kind."""

    def add(self, tiles: Iterable[Tile]) -> None:
        """Add predicted images."""
        for tile in tiles:
            self.counts[tile.kind] += 1
            self._consider(tile, self._held.setdefault(tile.kind, []))
            self.n += 1

    def tiles(self) -> list[Tile]:
        """Return the selected images, in the order in which they were added."""
        held = sorted((-position, tile) for kind in self._held.values() for _, position, tile in kind)
        return [tile for _, tile in held]

    def _consider(self, tile: Tile, own: list[_Held]) -> None:
        held = (-_digest(tile.path), -self.n, tile)  # a heap removes the smallest item: here the largest digest
        if self._n_held < self._most:
            self._n_held += 1
            heapq.heappush(own, held)
            self._fullest = max(self._fullest, len(own))
        elif len(own) >= max(self._fullest - 1, 1):
            # An image of the same kind is removed, even if another kind has as many images. Each kind therefore always
            # keeps the smallest digests of all its images.
            heapq.heappushpop(own, held)
        else:
            heapq.heappush(own, held)
            heapq.heappop(self._crowded())
            self._fullest = max(map(len, self._held.values()))

    def _crowded(self) -> list[_Held]:
        if self._fullest == 1:  # more kinds than images to keep
            return min(filter(None, self._held.values()), key=lambda heap: heap[0])
        return next(heap for heap in self._held.values() if len(heap) == self._fullest)


def _digest(path: str) -> int:
    return int.from_bytes(hashlib.sha256(os.fsencode(path)).digest()[:8])
