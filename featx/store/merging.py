"""Merge the rows of several files in the order of their keys, and choose the segments that are merged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from featx.store.rows import RowFile, Rows, blocks_of

FEW_SEGMENTS, MANY_SEGMENTS = 8, 32
"""Number of segments up to which none are merged, and from which on they are merged at any cost."""

_CHEAP_BYTES = 1 << 27
"""Size of the segments that any run may merge; this takes less than a second."""

_NEW_ROWS_FACTOR = 16
"""A run may merge this number of rows for each row that it adds."""

_STEP = 1 << 15
"""Number of keys of all files that are merged at a time, if the files have equal sizes."""


def merge_limit(n_new: int, n_bytes: int) -> int:
    """Return the number of rows that a run may merge, so that its duration depends on the rows that it adds.

    Parameters
    ----------
    n_new : int
        Number of rows that the run has added.
    n_bytes : int
        Size of a row in bytes.
    """
    return max(_NEW_ROWS_FACTOR * n_new, _CHEAP_BYTES // n_bytes)


def choose_segments(sizes: Sequence[int], limit: int) -> list[int]:
    """Return the positions of the segments that are merged into one; an empty list if none are merged.

    A segment is merged if it is not larger than all smaller segments together. Each row is therefore in a segment of at
    least twice the size after each merge, and is written again only a logarithmic number of times; and the number of
    segments grows with the logarithm of the number of rows, beyond :data:`MANY_SEGMENTS`.

    Parameters
    ----------
    sizes : sequence of int
        Number of rows of each segment.
    limit : int
        Maximum number of rows that are merged, unless there are many segments.

    Examples
    --------
    >>> choose_segments([1_000_000, 10, 10], limit=1000)
    []
    >>> choose_segments([1_000_000, *[10] * 8], limit=1000)
    [1, 2, 3, 4, 5, 6, 7, 8]
    >>> choose_segments([1_000_000] * 9, limit=1000)
    []
    """
    if len(sizes) <= FEW_SEGMENTS:
        return []
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    chosen, total = 1, sizes[order[0]]
    for rank, i in enumerate(order[1:], 2):
        is_allowed = len(sizes) > MANY_SEGMENTS or total + sizes[i] <= limit
        if sizes[i] <= total and is_allowed:
            chosen = rank
        total += sizes[i]
    return sorted(order[:chosen]) if chosen > 1 else []


class MergedRows:
    """The rows of several files, sorted by key; of rows with the same key, the row of the first file is used.

    Parameters
    ----------
    files : sequence of RowFile
        Files with the same number of features.
    """

    def __init__(self, files: Sequence[RowFile]) -> None:
        self._files = files
        self.n_rows = len(files[0]) if len(files) == 1 else sum(len(keys) for keys, _, _ in self._order())

    def index(self) -> Iterator[tuple[NDArray[np.bytes_], NDArray[np.uint32]]]:
        """Yield the keys and the checksums of consecutive rows, in parts."""
        for keys, which, at in self._order():
            yield keys, self._crcs(which, at)

    def blocks(self) -> Iterator[tuple[Rows, NDArray[np.uint32]]]:
        """Yield consecutive rows with their checksums, in blocks; rows are read without being checked."""
        n_bytes = self._files[0].rows.row_bytes
        for _, which, at in self._order():
            for start, stop in blocks_of(len(at), n_bytes):
                block = slice(start, stop)
                yield self._rows(which[block], at[block]), self._crcs(which[block], at[block])

    def _order(self) -> Iterator[tuple[NDArray[np.bytes_], NDArray[np.intp], NDArray[np.int64]]]:
        """Yield sorted keys in parts, with the number of the file and the position in this file of each key."""
        largest = max(self._files, key=len)
        step = _STEP // min(len(self._files), _STEP)
        bounds = largest.keys[step::step]
        stops = np.array([[*np.searchsorted(file.keys, bounds), len(file)] for file in self._files])
        starts = np.column_stack([np.zeros(len(stops), np.int64), stops[:, :-1]])
        for first, last in zip(starts.T.tolist(), stops.T.tolist(), strict=True):
            spans = [slice(start, stop) for start, stop in zip(first, last, strict=True)]
            keys = np.concatenate([file.keys[span] for file, span in zip(self._files, spans, strict=True)])
            at = np.concatenate([file.at[span] for file, span in zip(self._files, spans, strict=True)])
            which = np.repeat(np.arange(len(self._files)), [span.stop - span.start for span in spans])
            if len(self._files) > 1:
                order = np.argsort(keys, kind="stable")
                keys = keys[order]
                is_first = np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]
                keys, which, at = keys[is_first], which[order][is_first], at[order][is_first]
            yield keys, which, at

    def _rows(self, which: NDArray[np.intp], at: NDArray[np.int64]) -> Rows:
        if len(self._files) == 1:
            return self._files[0].rows.take(at)
        rows = Rows.empty(len(at), self._files[0].rows.n_features)
        for number, file in enumerate(self._files):
            mine = np.flatnonzero(which == number)
            if len(mine):
                rows.put(mine, file.rows.take(at[mine]))
        return rows

    def _crcs(self, which: NDArray[np.intp], at: NDArray[np.int64]) -> NDArray[np.uint32]:
        if len(self._files) == 1:
            return self._files[0].crcs[at]
        crcs = np.empty(len(at), np.uint32)
        for number, file in enumerate(self._files):
            mine = which == number
            crcs[mine] = file.crcs[at[mine]]
        return crcs
