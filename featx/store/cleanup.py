"""Remove from a feature store the rows of images that are in no snapshot of a data set."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.files import is_regular
from featx.store.contents import USED, read_store_header, spec_of
from featx.store.files import delete
from featx.store.journal import count_journal
from featx.store.rows import RowFile
from featx.store.segments import Segment, open_segments
from featx.store.writing import JOURNAL, UNFINISHED, StoreWriter, first_unfinished, locked_store

_CONTENT = "S32"


@dataclass(frozen=True)
class SweepResult:
    """Result of removing unused rows from a feature store.

    Parameters
    ----------
    n_removed : int
        Number of rows that were removed because no data set lists them, or because they are damaged.
    n_kept : int
        Number of rows that were kept.
    n_unfinished : int
        Number of rows of an unfinished run. These rows are kept.
    n_bytes : int
        Number of bytes freed.
    deleted : bool
        Whether the store was deleted because no row was left.
    """

    n_removed: int
    n_kept: int
    n_unfinished: int
    n_bytes: int
    deleted: bool


def sweep_store(
    folder: Path, named: Callable[[], NDArray[np.uint8]], notice: Callable[[str], None], dry_run: bool = False
) -> SweepResult:
    """Remove damaged rows and rows of images that ``named`` does not return; delete the store if no row is left.

    The store is locked while all rows are checked and the segments with rows to remove are written again. Rows of an
    unfinished run are kept, because no snapshot lists them yet.

    Parameters
    ----------
    folder : path
        Folder of the store.
    named : callable
        Returns the content hashes to keep, shape (n, 32), uint8. The function is called while the store is locked, so
        that contents that another run has just written are included.
    notice : callable
        Called with one line of text if the function waits for another run.
    dry_run : bool
        Whether to only count the rows, without changing the store.

    Raises
    ------
    DamagedStoreError, NewerFormatError
        If the store cannot be read. The store is then not changed.
    StoreError
        If the store cannot be written.
    """
    with contextlib.ExitStack() as stack:
        claim = None if dry_run else stack.enter_context(locked_store(folder, notice))
        found = open_segments(folder)
        for error in found.damaged.values():
            raise error
        spec_of(folder, read_store_header(folder))
        unfinished, names = first_unfinished(folder), _strings(named())
        n_unfinished, _ = count_journal(folder / JOURNAL)
        kept: list[tuple[Segment, RowFile]] = []
        for segment in found.live:
            if unfinished is not None and segment.header.sequence >= unfinished:
                n_unfinished += len(segment.rows)
                continue
            rows = segment.rows.check()
            kept.append((segment, rows.select(np.isin(rows.keys.astype(_CONTENT), names))))
        n_kept = sum(len(rows) for _, rows in kept)
        n_removed = sum(len(segment.rows) for segment, _ in kept) - n_kept
        deleted = not n_kept and not n_unfinished
        if deleted:
            n_bytes = sum(segment.header.n_bytes for segment, _ in kept)
        else:
            n_bytes = sum((len(segment.rows) - len(rows)) * rows.rows.row_bytes for segment, rows in kept)
        if claim is not None:
            writer = StoreWriter(folder, "", claim, notice)
            writer.open()
            for segment, rows in kept:
                if len(rows) < len(segment.rows):
                    writer.replace(segment, rows)
            if deleted:
                for own in filter(is_regular, (folder / USED, folder / JOURNAL, folder / UNFINISHED)):
                    delete(own)
    return SweepResult(n_removed, n_kept, n_unfinished, n_bytes, deleted)


def _strings(content_hashes: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    return np.ascontiguousarray(content_hashes).view(_CONTENT).reshape(len(content_hashes))
