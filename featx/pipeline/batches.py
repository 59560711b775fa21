"""Batches of decoded images for the backbone, and the bookkeeping of what was read and computed."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from featx.engines import Runner
from featx.lookup import Progress, as_hashes
from featx.lookup.memo import with_states_of_duplicates
from featx.readers import Chunk
from featx.store import Rows, StoredFeatures, keys_of
from featx.table import FileStates, Memo, find_rows


class Pending(Protocol):
    """Batches of pixels for the backbone, and the rows of the store for the features of each batch."""

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Return the iterator itself."""
        ...

    def __next__(self) -> NDArray[np.uint8]:
        """Return the next batch."""
        ...

    def rows(self, features: NDArray[np.float32]) -> Rows:
        """Return the rows of the oldest pending batch, given its features; rows that are not finite are left out."""
        ...


def rows_of(engine: Runner, pending: Pending, first: NDArray[np.uint8] | None = None) -> Iterator[tuple[int, Rows]]:
    """Run the backbone on all batches; yield the number of images of each batch, and its rows.

    Parameters
    ----------
    engine : Runner
    pending : Pending
    first : ndarray of shape (n, size, size, 3), uint8, optional
        First batch, if it was already taken from ``pending``.
    """
    batches = pending if first is None else chain([first], pending)
    with contextlib.closing(engine.run(batches)) as features_of:
        for features in features_of:
            yield len(features), pending.rows(features)


class Readings:
    """States of the images that were read in a pass, and what was computed.

    Parameters
    ----------
    n : int
        Number of images to read.

    Attributes
    ----------
    states : FileStates
    notes : Counter of str
        Number of images to which each note applies.
    n_computed, n_not_finite : int
        Number of computed rows, and of images whose features are not finite.
    """

    def __init__(self, n: int) -> None:
        self.states = FileStates.blank(n)
        self.notes: Counter[str] = Counter()
        self.n_computed = 0
        self.n_not_finite = 0

    def skip_undecoded(self, stored: StoredFeatures) -> None:
        """Skip images whose content was to be decoded as another image that could not be read a second time."""
        read = self.states
        rest = self._undecoded()
        rest = rest[find_rows(read.content_hashes[rest], read.content_hashes[self._decoded()]) < 0]
        for at in rest[~stored.contains(keys_of(read.content_hashes[rest]))].tolist():
            reason = "a file with the same content changed while it was read; the next run tries again"
            read.assign(at, [replace(read[at], status="skipped", reason=reason, mtime_ns=-1)])

    def completed(self, memo: Memo) -> FileStates:
        """Return the states of the images that were read; a duplicate gets that of the decoded file of this or an
        earlier run."""
        read, rows = self.states, self._undecoded()
        if not len(rows):
            return read
        is_in_memo = memo.states.widths > 0
        is_in_memo[is_in_memo] = find_rows(memo.states.content_hashes[is_in_memo], read.content_hashes[rows]) >= 0
        shown = FileStates.join([memo.states.take(is_in_memo), read.take(self._decoded())])
        return with_states_of_duplicates(read, rows, shown)

    def _decoded(self) -> NDArray[np.bool_]:
        return (self.states.widths > 0) | self.states.are("skipped")

    def _undecoded(self) -> NDArray[np.int64]:
        """Return the positions of the images that were read, but decoded as another image with the same content."""
        return np.flatnonzero(self.states.are("ok") & (self.states.widths == 0))


class Batches(Iterator[NDArray[np.uint8]]):
    """Pass the decoded images of each chunk to the backbone, and match the features with the images."""

    def __init__(self, chunks: Iterator[Chunk], readings: Readings, progress: Progress, not_finite: str) -> None:
        self._chunks = chunks
        self._readings = readings
        self._progress = progress
        self._not_finite = not_finite
        self._under_way: deque[tuple[Chunk, int]] = deque()
        self._n_read = 0

    def __next__(self) -> NDArray[np.uint8]:
        for chunk in self._chunks:
            start = self._n_read
            self._n_read += len(chunk.images)
            self._readings.states.assign(start, chunk.states)
            self._readings.notes.update(outcome.note for outcome in chunk.outcomes if outcome.note)
            n_decoded = len(chunk.pixels)
            self._progress.advance(len(chunk.images) - n_decoded)
            if n_decoded:
                self._under_way.append((chunk, start))
                return chunk.pixels
            chunk.release()
        raise StopIteration

    def rows(self, features: NDArray[np.float32]) -> Rows:
        """Return the rows of the oldest pending chunk; images whose features are not finite are skipped."""
        chunk, start = self._under_way.popleft()
        decoded = list(chunk.decoded())
        hashes = as_hashes(outcome.state.content_hash for _, outcome in decoded)
        finite = np.asarray(np.isfinite(features).all(axis=1))
        for row in np.flatnonzero(~finite).tolist():
            at, outcome = decoded[row]
            state = replace(outcome.state, status="skipped", reason=self._not_finite, width=0, height=0)
            self._readings.states.assign(start + at, [state])
        self._readings.n_not_finite += int((~finite).sum())
        self._readings.n_computed += int(finite.sum())
        rows = Rows(keys_of(hashes)[finite], chunk.signatures[finite], features[finite])
        chunk.release()
        return rows
