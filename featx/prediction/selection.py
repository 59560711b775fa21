"""Choose the images that a table of predictions lacks, by path and content."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from featx.extraction import Featurizer, ImageBlock
from featx.prediction.counts import Tally
from featx.prediction.extending import Removal
from featx.prediction.known import WIDTH, KnownRows, counts_of, row_keys
from featx.table import FileStates


class Selection:
    """Chooses the images whose rows must be made; an image that is given several times is chosen once.

    Parameters
    ----------
    featurizer : Featurizer
    tally : Tally
        Counts the images whose rows are kept.
    folder : str
        Folder to which the relative paths of the table are relative.

    Attributes
    ----------
    known : KnownRows
        Content hash and flag of each row of the table.
    n_changed : int
        Number of images whose rows are replaced.
    """

    def __init__(self, featurizer: Featurizer, tally: Tally, folder: str) -> None:
        self._featurizer = featurizer
        self._tally = tally
        self._folder = folder
        self._given = KnownRows()
        self._replaced: list[NDArray[np.bytes_]] = []
        self._looked_up: tuple[NDArray[np.int64], FileStates] | None = None
        self._chosen = np.empty(0, np.int64)
        self.known = KnownRows(WIDTH)

    @property
    def n_changed(self) -> int:
        """Number of images whose rows are replaced."""
        return sum(map(len, self._replaced))

    def removal(self) -> Removal:
        """Return the rows of the table that new rows replace."""
        return Removal(np.concatenate([np.empty(0, "S16"), *self._replaced]), self._folder)

    def first(self, block: ImageBlock) -> NDArray[np.int64]:
        """Return the positions of the images of a block that were not given before, in order."""
        return self._first(row_keys(block.addresses, os.getcwd()))

    def choose(self, block: ImageBlock) -> NDArray[np.int64]:
        """Return the positions of the images of a block whose rows must be made, in order.

        An image is known if the table has its path. If the content of a known file differs, the row is replaced; if the
        file cannot be read, the row is kept.
        """
        keys = row_keys(block.addresses, os.getcwd())
        first = self._first(keys)
        found, values = self.known.find(keys[first])
        at, hashes, flags = first[found], values[found, :-1], values[found, -1]
        states = self._featurizer.look_up(block, at)
        now = states.content_hashes
        is_changed = now.any(axis=1) & (now != hashes).any(axis=1)
        self._tally.keep(counts_of(flags[~is_changed]))
        if is_changed.any():
            self._replaced.append(keys[at[is_changed]])
        self._looked_up = at[~is_changed], states.take(~is_changed)
        self._chosen = np.sort(np.concatenate([first[~found], at[is_changed]]))
        return self._chosen

    def note(self, block: ImageBlock, states: FileStates | None) -> None:
        """Pass the states of all images to the block, once those of the chosen images are known."""
        if self._looked_up is None:
            return
        at, looked_up = self._looked_up
        parts = [looked_up] if states is None else [looked_up, states]
        if sum(map(len, parts)) < len(block) or looked_up.are("lacking").any():
            return
        order = np.argsort(np.concatenate([at, self._chosen]))
        block.noted(FileStates.gather(parts, order))

    def _first(self, keys: NDArray[np.bytes_]) -> NDArray[np.int64]:
        is_given, _ = self._given.find(keys)
        _, first = np.unique(keys, return_index=True)
        first = np.sort(first[~is_given[first]])
        self._given.add(keys[first])
        return first
