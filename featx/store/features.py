"""Read and write feature stores; a store consists of a sorted file and a journal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.agreement import MIN_COSINE, cosines
from featx.errors import DamagedStoreError, StoreError
from featx.files import is_regular
from featx.spec import FeatureSpec
from featx.store.files import delete, exists, locked, not_written, prepare_cache, remove_leftovers, write_cache_file
from featx.store.graphs import read_quantized_graph
from featx.store.journal import JournalWriter, read_journal
from featx.store.rows import KEY_DTYPE, RowFile, Rows, no_rows, sortable
from featx.store.sorted_file import StoreHeader, block_bounds, read_header, read_sorted_file, write_sorted_file


class FeatureStore:
    """The cached features of one feature spec, in ``cache/features/<id>.h5`` and ``<id>.journal``.

    Parameters
    ----------
    cache : path
        The cache folder.
    spec : FeatureSpec
        How the features are computed.
    """

    def __init__(self, cache: Path, spec: FeatureSpec) -> None:
        self.spec = spec
        self.path = cache / "features" / f"{spec.id}.h5"
        self._journal = self.path.with_suffix(".journal")
        self._lock = self.path.with_suffix(".lock")
        self._cache = cache

    def graph(self) -> bytes | None:
        """Return the quantized graph of the feature spec; None if there is none, or the cache lacks the graph."""
        return None if self.spec.graph is None else read_quantized_graph(self._cache, self.spec.graph)

    def header(self) -> StoreHeader | None:
        """Return the header of the store; None if there is no store.

        Raises
        ------
        DamagedStoreError, NewerFormatError
            If the store cannot be read, or has another feature spec.
        """
        if not exists(self.path):
            return None
        header = read_header(self.path)
        self._check_spec(header)
        return header

    def snapshot(self) -> StoredFeatures:
        """Return all undamaged rows that are stored now; later writes do not change the result.

        Raises
        ------
        DamagedStoreError, NewerFormatError
            If the file cannot be read, or has another feature spec.
        """
        header = self.header()
        if header is None:
            return StoredFeatures(self.path, no_rows(0), no_rows(0))
        # The journal is read first: another run may move its rows to the sorted file meanwhile, and no row is missed.
        journal = read_journal(self._journal, self.spec.id, header.n_features)
        header, base = read_sorted_file(self.path)
        self._check_spec(header)
        return StoredFeatures(self.path, base, journal)

    @contextlib.contextmanager
    def writer(self, notice: Callable[[str], None]) -> Iterator[StoreWriter]:
        """Lock the store for writing; a second writer waits.

        Rows that were appended before an exception are kept.

        Raises
        ------
        StoreError
            If the cache cannot be written.
        """
        prepare_cache(self._cache, "features")
        waiting = f"another run is writing {self.path.name}; waiting for it to finish"
        with locked(self._lock, lambda: notice(waiting)):
            remove_leftovers(self.path)
            writer = StoreWriter(self, self._journal, notice)
            try:
                yield writer
            finally:
                writer.close()

    def set_aside_if_unreadable(self) -> Path | None:
        """Rename the sorted file if it is damaged or has another feature spec.

        Returns
        -------
        path or None
            New path of the file; None if the store can be read.

        Raises
        ------
        NewerFormatError
            If a later version of featx wrote the file. Such a file is not damaged.
        StoreError
            If the file cannot be read or renamed.
        """
        try:
            self.snapshot()
            return None
        except DamagedStoreError:
            damaged = self.path.with_suffix(".h5.damaged")
            try:
                self.path.replace(damaged)
            except OSError as error:
                raise not_written(damaged, error) from None
            return damaged

    def _check_spec(self, header: StoreHeader) -> None:
        if header.spec != self.spec.to_json():
            raise DamagedStoreError(f"the feature spec in {self.path} does not match its file name")


class StoredFeatures:
    """The undamaged rows of a store at a point in time.

    Parameters
    ----------
    path : path
        Path of the sorted file, for error messages.
    base, journal : RowFile
        Rows of the sorted file, and rows of the journal.
    """

    def __init__(self, path: Path, base: RowFile, journal: RowFile) -> None:
        self._path = path
        self._base = base
        self._journal = journal
        self.n_damaged = base.n_damaged + journal.n_damaged

    @property
    def n_journal(self) -> int:
        """Number of rows in the journal; some may also be in the sorted file."""
        return len(self._journal.keys)

    def keys(self) -> NDArray[np.bytes_]:
        """Return all keys, sorted and without repetition, shape (n,), S34."""
        return np.union1d(self._base.keys, self._journal.keys).astype(KEY_DTYPE, copy=False)

    def contains(self, keys: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return whether a row is stored, for each of the keys of shape (n, 34); shape (n,)."""
        wanted = sortable(keys)
        return (self._base.find(wanted) >= 0) | (self._journal.find(wanted) >= 0)

    def rows(self, keys: NDArray[np.uint8]) -> Rows:
        """Return the rows with the given keys, in the order of the keys.

        Raises
        ------
        DamagedStoreError
            If there is no undamaged row for a key.
        """
        return self._sorted_rows(sortable(keys))

    def merged(self) -> tuple[int, Iterator[Rows]]:
        """Return the number of rows, and an iterator of blocks of all rows, sorted by key."""
        keys = self.keys()
        return len(keys), (self._sorted_rows(keys[start:stop]) for start, stop in block_bounds(len(keys)))

    def _sorted_rows(self, wanted: NDArray[np.bytes_]) -> Rows:
        in_base, in_journal = self._base.find(wanted), self._journal.find(wanted)
        missing = int(((in_base < 0) & (in_journal < 0)).sum())
        if missing:
            which = "1 row is" if missing == 1 else f"{missing:,} rows are"
            raise DamagedStoreError(f"{which} missing from {self._path}; extract the data set again")
        if (in_base >= 0).all():
            return self._base.rows.take(in_base)
        rows = self._journal.rows.take(np.maximum(in_journal, 0))
        here = np.flatnonzero(in_base >= 0)
        if len(here):
            from_base = self._base.rows.take(in_base[here])
            rows.keys[here], rows.signatures[here] = from_base.keys, from_base.signatures
            rows.features[here] = from_base.features
        return rows


class StoreWriter:
    """Append rows to a store; created by :meth:`FeatureStore.writer`."""

    def __init__(self, store: FeatureStore, journal: Path, notice: Callable[[str], None]) -> None:
        self._store = store
        self._journal_path = journal
        self._notice = notice
        self._journal: JournalWriter | None = None

    def begin(self, probes: NDArray[np.float32], producer: dict[str, str]) -> None:
        """Check that new rows are compatible with the stored rows, and open the journal.

        Parameters
        ----------
        probes : ndarray of shape (n_probes, n_features), float32
            Features of the probe images, computed by the engine that will compute the rows.
        producer : dict
            Versions of the libraries, and kind of processor, of this engine.

        Raises
        ------
        StoreError
            If this machine does not reproduce the features in the store, or the cache cannot be written.
        """
        header = self._store.header()
        if header is None:
            delete(self._journal_path)  # without a sorted file, the feature spec of the rows in the journal is unknown
            self._write(StoreHeader(self._store.spec.to_json(), probes, (producer,)), 0, iter(()))
        else:
            self._compare(header, probes, producer)
        if exists(self._journal_path) and not is_regular(self._journal_path):
            self._notice(
                f"{self._journal_path} is replaced, because it is not a regular file; if it is a link, the target is "
                "not changed"
            )
        try:
            self._journal = JournalWriter(self._journal_path, self._store.spec.id, probes.shape[1])
        except OSError as error:
            raise not_written(self._journal_path, error) from None

    def append(self, rows: Rows) -> None:
        """Append rows; appended rows are committed after at most 256 rows or 2 seconds."""
        if self._journal is None:
            raise StoreError("append was called before begin")
        try:
            self._journal.append(rows)
        except OSError as error:
            raise not_written(self._journal_path, error) from None

    def finish(self) -> None:
        """Merge the journal into the sorted file."""
        self.close()
        stored = self._store.snapshot()
        if stored.n_journal or stored.n_damaged:
            header = self._store.header()
            if header is None:
                raise StoreError(f"{self._store.path} no longer exists; run the same command again")
            self._write(header, *stored.merged())
        del stored  # Windows cannot delete a file that is mapped into memory
        delete(self._journal_path)

    def close(self) -> None:
        """Commit the appended rows, and close the journal."""
        if self._journal is not None:
            journal, self._journal = self._journal, None
            try:
                journal.close()
            except OSError as error:
                raise not_written(self._journal_path, error) from None

    def _compare(self, header: StoreHeader, probes: NDArray[np.float32], producer: dict[str, str]) -> None:
        if header.probes.shape != probes.shape:
            raise StoreError(
                f"{self._store.path} has {header.n_features} features per image; this backbone gives {probes.shape[1]}"
            )
        if not np.array_equal(header.probes, probes):
            cosine = float(cosines(header.probes, probes).min())
            if not cosine >= MIN_COSINE:
                raise StoreError(
                    f"the features in {self._store.path} cannot be reproduced on this machine: the features of the "
                    f"probe images have a cosine similarity of {cosine:.4f}; at least {MIN_COSINE} is required. The "
                    f"stored features were computed with {header.producers[0]}. Choose another `cache`, or delete the "
                    "file to recompute all features"
                )
            self._notice(
                f"the features of this machine differ slightly from the features in the cache (cosine similarity "
                f"{cosine:.6f}); the cache records both machines"
            )
        if producer not in header.producers:
            stored = self._store.snapshot()
            self._write(replace(header, producers=(*header.producers, producer)), *stored.merged())

    def _write(self, header: StoreHeader, n_rows: int, blocks: Iterator[Rows]) -> None:
        write_cache_file(self._store.path, lambda path: write_sorted_file(path, header, n_rows, blocks))
