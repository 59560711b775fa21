"""Choose some of any number of predicted images, fairly and in bounded memory."""

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
    """What is shown of one predicted image.

    Parameters
    ----------
    path : str
    label : str
        Empty unless the status is ``ok``.
    confidence : float or None
        None for a skipped image.
    status : {"ok", "rejected", "skipped"}
    seen : bool or None
        Whether the model was fitted on it; None for a skipped image.
    reason : str
        Why it was rejected or skipped.
    """

    path: str
    label: str
    confidence: float | None
    status: Status
    seen: bool | None
    reason: str

    @property
    def kind(self) -> tuple[str, str]:
        """Status and label: what a fair choice is fair to."""
        return self.status, self.label


_Held = tuple[int, int, Tile]
"""Digest and place, both negative, and what is held."""


class Choice:
    """Keeps some of the images that come: of each class, of the rejected and of the skipped equally many.

    Of a kind with fewer images all are kept. Which ones are kept of the others is decided by a digest of their
    paths: as good as at random, and the same whenever the same images are predicted.

    Parameters
    ----------
    most : int
        Images to keep in all; no more are ever held.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[tuple[str, str], list[_Held]] = {}
        self._n_held = 0
        self._fullest = 0
        self.n = 0
        """Images that came."""
        self.counts: Counter[tuple[str, str]] = Counter()
        """The same by kind."""

    def add(self, tiles: Iterable[Tile]) -> None:
        """Consider predicted images."""
        for tile in tiles:
            self.counts[tile.kind] += 1
            self._consider(tile, self._held.setdefault(tile.kind, []))
            self.n += 1

    def tiles(self) -> list[Tile]:
        """Return those kept, in the order in which they came."""
        held = sorted((-place, tile) for kind in self._held.values() for _, place, tile in kind)
        return [tile for _, tile in held]

    def _consider(self, tile: Tile, mine: list[_Held]) -> None:
        held = (-_digest(tile.path), -self.n, tile)  # heaps give up their smallest first: here the largest digest
        if self._n_held < self._most:
            self._n_held += 1
            heapq.heappush(mine, held)
            self._fullest = max(self._fullest, len(mine))
        elif len(mine) >= max(self._fullest - 1, 1):
            # It gives up one of its own, even where another kind is as full: so each kind always holds the smallest
            # digests of all that came of it.
            heapq.heappushpop(mine, held)
        else:
            heapq.heappush(mine, held)
            heapq.heappop(self._crowded())
            self._fullest = max(map(len, self._held.values()))

    def _crowded(self) -> list[_Held]:
        if self._fullest == 1:  # more kinds than places
            return min(filter(None, self._held.values()), key=lambda one: one[0])
        return next(one for one in self._held.values() if len(one) == self._fullest)


def _digest(path: str) -> int:
    return int.from_bytes(hashlib.sha256(os.fsencode(path)).digest()[:8])
