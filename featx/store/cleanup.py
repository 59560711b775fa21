"""Remove from a feature store the rows of images that are in no snapshot of a data set."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.files import is_regular
from featx.store.contents import spec_of
from featx.store.files import delete, exists, locked, write_cache_file
from featx.store.journal import count_journal
from featx.store.rows import RowFile, Rows
from featx.store.sorted_file import StoreHeader, block_bounds, read_sorted_file, write_sorted_file

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
        Number of rows in the journal of an unfinished run. These rows are kept.
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
    path: Path, named: Callable[[], NDArray[np.uint8]], notice: Callable[[str], None], dry_run: bool = False
) -> SweepResult:
    """Remove damaged rows and rows of images that ``named`` does not return; delete the store if no row is left.

    The store is locked while the whole file is rewritten. The new file has the same bytes as a file that never
    contained the removed rows.

    Parameters
    ----------
    path : path
        Sorted file of the store.
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
    waiting = f"another run is writing {path.name}; waiting for it to finish"
    lock = path.with_suffix(".lock")
    with contextlib.nullcontext() if dry_run else locked(lock, lambda: notice(waiting)):
        header, base = read_sorted_file(path)
        spec_of(path, header)
        kept = np.isin(base.keys.astype(_CONTENT), _strings(named()))
        n_kept, n_all = int(kept.sum()), len(base.rows)
        n_unfinished, _ = count_journal(path.with_suffix(".journal"), header.n_features)
        deleted = not n_kept and not n_unfinished
        size = path.stat().st_size
        n_bytes = size if deleted else (n_all - n_kept) * base.rows.row_bytes
        if deleted and not dry_run:
            for own in filter(is_regular, map(path.with_suffix, (".h5", ".used", ".journal"))):
                delete(own)
        elif n_kept < n_all and not dry_run:
            _rewrite(path, header, base, base.at[kept])
    return SweepResult(n_all - n_kept, n_kept, n_unfinished, n_bytes, deleted)


def delete_leftover(path: Path, notice: Callable[[str], None]) -> bool:
    """Delete a file that a killed run or a repair left behind.

    A journal is deleted only if the store does not exist, and while no other run has locked the store.

    Returns
    -------
    bool
        Whether the file was deleted.
    """
    if path.suffix != ".journal":
        delete(path)
        return True
    waiting = f"another run is writing {path.name}; waiting for it to finish"
    with locked(path.with_suffix(".lock"), lambda: notice(waiting)):
        if exists(path.with_suffix(".h5")):
            return False
        delete(path)
    return True


def _rewrite(path: Path, header: StoreHeader, base: RowFile, at: NDArray[np.int64]) -> None:
    def blocks() -> Iterator[Rows]:
        for start, stop in block_bounds(len(at)):
            yield base.rows.take(at[start:stop])

    write_cache_file(path, lambda new: write_sorted_file(new, header, len(at), blocks()))


def _strings(content_hashes: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    return np.ascontiguousarray(content_hashes).view(_CONTENT).reshape(len(content_hashes))
