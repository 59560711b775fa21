"""Take rows out of a feature store: those of contents that nothing names any more."""

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
class Swept:
    """What a sweep of a feature store took out.

    Parameters
    ----------
    n_removed : int
        Rows that are gone: without a name, or damaged.
    n_kept : int
        The others.
    n_unfinished : int
        Rows in the journal, of a run that did not come to its end; they are left alone.
    n_bytes : int
        Bytes that are free now.
    deleted : bool
        Whether no row was left, and the store was deleted.
    """

    n_removed: int
    n_kept: int
    n_unfinished: int
    n_bytes: int
    deleted: bool


def sweep_store(
    path: Path, named: Callable[[], NDArray[np.uint8]], notice: Callable[[str], None], dry_run: bool = False
) -> Swept:
    """Remove the rows of contents that nothing names; a store without rows is deleted.

    The store is locked meanwhile, and written anew as a whole: its bytes are those of a store that never had the rows.

    Parameters
    ----------
    path : path
        The base file.
    named : callable
        Returns the contents that are named, shape (n, 32), uint8. Called with the store locked, so that what another
        run has just written counts.
    notice : callable
        Called with one line of text if another run must be waited for.
    dry_run : bool
        Change nothing.

    Raises
    ------
    DamagedStoreError, NewerFormatError
        It cannot be read; nothing was changed.
    StoreError
        It cannot be written.
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
    return Swept(n_all - n_kept, n_kept, n_unfinished, n_bytes, deleted)


def delete_leftover(path: Path, notice: Callable[[str], None]) -> bool:
    """Delete a file that a killed run or a repair left; a journal only while nobody writes and it has no store.

    Returns
    -------
    bool
        Whether it is gone.
    """
    if path.suffix != ".journal":
        delete(path)
        return True
    with locked(path.with_suffix(".lock"), lambda: notice(f"another run is writing {path.name}; waiting for it")):
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
