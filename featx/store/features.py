"""Read and write feature stores; a store consists of segments and a journal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import DamagedStoreError
from featx.files import is_real_folder, is_regular
from featx.spec import FeatureSpec
from featx.store.graphs import read_quantized_graph
from featx.store.header import StoreHeader, join_producers
from featx.store.journal import read_journal, read_journal_header
from featx.store.rows import KEY_DTYPE, RowFile, Rows, as_bytes, blocks_of, row_bytes, sortable
from featx.store.segments import list_segments, mark_suspect, open_segments, segment_paths, write_export
from featx.store.writing import JOURNAL, StoreWriter


class FeatureStore:
    """The cached features of one feature spec, in the folder ``cache/features/<id>``.

    Parameters
    ----------
    cache : path
        The cache folder.
    spec : FeatureSpec
        How the features are computed.
    """

    def __init__(self, cache: Path, spec: FeatureSpec) -> None:
        self.spec = spec
        self.path = cache / "features" / spec.id
        self._cache = cache

    def graph(self) -> bytes | None:
        """Return the quantized graph of the feature spec; None if there is none, or the cache lacks the graph."""
        return None if self.spec.graph is None else read_quantized_graph(self._cache, self.spec.graph)

    def exists(self) -> bool:
        """Return whether the store has files with rows; the files are not read."""
        return has_store(self.path)

    def header(self) -> StoreHeader | None:
        """Return the header of the store; None if there is no store.

        Raises
        ------
        NewerFormatError
            If a later version of featx wrote the store.
        """
        headers, errors = list_segments(self.path)
        for error in errors.values():
            if not isinstance(error, DamagedStoreError):
                raise error
        spec = self.spec.to_json()
        own = [header.store for header in headers if header.store.spec == spec]
        journal = read_journal_header(self.path / JOURNAL) if is_real_folder(self.path) else None
        if journal is not None and journal.spec == spec:
            own.append(journal)
        return replace(own[0], producers=join_producers(own)) if own else None

    def snapshot(self) -> StoredFeatures:
        """Return all rows that are stored now; later writes do not change the result.

        The indexes of all segments are verified. Rows are checked when they are read. Segments whose index is damaged
        are left out.

        Raises
        ------
        NewerFormatError
            If a later version of featx wrote a segment.
        StoreError
            If a file cannot be read.
        """
        # The journal is read first: another run may move its rows to a segment meanwhile, and no row is missed.
        journal = read_journal(self.path / JOURNAL) if is_real_folder(self.path) else None
        segments = open_segments(self.path)
        files = [(segment.path, segment.rows) for segment in segments.live]
        headers = [segment.header.store for segment in segments.live]
        if journal is not None and journal.belongs_to(self.spec.to_json(), headers):
            files.append((self.path / JOURNAL, journal.rows))
            headers.append(journal.header)
        return StoredFeatures(self.path, headers, files, tuple(segments.damaged))

    def writer(self, notice: Callable[[str], None]) -> contextlib.AbstractContextManager[StoreWriter]:
        """Lock the store for writing; a second writer waits.

        Damaged segments are set aside, damaged rows that were read are removed, and the rows of a journal that a killed
        run left are stored in a segment. Rows that were appended before an exception are kept.

        Raises
        ------
        StoreError
            If the cache cannot be written, or another machine writes the store.
        NewerFormatError
            If a later version of featx wrote a segment.
        """
        return StoreWriter.opened(self._cache, self.path, self.spec.to_json(), notice)


class StoredFeatures:
    """The rows of a store at a point in time.

    Parameters
    ----------
    path : path
        Folder of the store, for error messages.
    headers : sequence of StoreHeader
        Header of each file.
    files : sequence of (path, RowFile)
        Segments, and the journal if there is one; none contains rows twice.
    damaged : tuple of path
        Segments that are left out, because their index is damaged.
    """

    def __init__(
        self,
        path: Path,
        headers: Sequence[StoreHeader],
        files: Sequence[tuple[Path, RowFile]],
        damaged: tuple[Path, ...] = (),
    ) -> None:
        self._path = path
        self._headers = headers
        self._files = files
        self.damaged = damaged

    def keys(self) -> NDArray[np.bytes_]:
        """Return all keys, sorted and without repetition, shape (n,), S36."""
        keys = [rows.keys for _, rows in self._files]
        return np.unique(np.concatenate(keys)) if keys else np.empty(0, KEY_DTYPE)

    def contains(self, keys: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return whether a row is stored, for each of the keys of shape (n, 36); shape (n,)."""
        # In the order of the first bytes, neighbours are searched in the same part of the memory, which is faster.
        order = np.argsort(np.ascontiguousarray(keys[:, :8]).view(">u8")[:, 0].astype(np.uint64))
        wanted = sortable(keys[order])
        found = np.zeros(len(wanted), np.bool_)
        for _, rows in self._files:
            rest = np.flatnonzero(~found)
            found[rest] = rows.find(wanted[rest]) >= 0
        return found[np.argsort(order)]

    def rows(self, keys: NDArray[np.uint8]) -> Rows:
        """Return the rows with the given keys, in the order of the keys, after checking each row.

        Raises
        ------
        DamagedStoreError
            If there is no undamaged row for a key. A segment with damaged rows is marked, so that the next extraction
            computes these rows again.
        """
        wanted = sortable(keys)
        found = Rows.empty(len(wanted), self._n_features)
        rest = np.arange(len(wanted))
        damaged: dict[Path, int] = {}
        for path, file in self._files:
            at = file.find(wanted[rest])
            here = np.flatnonzero(at >= 0)
            is_lacking = at < 0
            for start, stop in blocks_of(len(here), file.rows.row_bytes):
                block = here[start:stop]
                rows, is_valid = file.read(at[block])
                found.put(rest[block], rows)
                is_lacking[block] = ~is_valid
                if not is_valid.all():
                    damaged[path] = damaged.get(path, 0) + int((~is_valid).sum())
            rest = rest[is_lacking]
        marks = [mark_suspect(path) for path in damaged if path.name != JOURNAL]
        if len(rest):
            raise self._error(len(rest), damaged, all(marks))
        return found

    def export(self, path: Path, progress: Callable[[int, int], None]) -> int:
        """Write all rows to one HDF5 file, sorted by key; return their number.

        The bytes of the file do not depend on the order in which the rows were computed, on interruptions, on workers
        or on the segments of the store.

        Parameters
        ----------
        path : path
            New file.
        progress : callable
            Called with the number of rows that are written, and the number of all rows.

        Raises
        ------
        DamagedStoreError
            If a row is damaged; the segments with damaged rows are marked.
        """
        header = replace(self._headers[0], producers=join_producers(self._headers))
        keys = as_bytes(self.keys())

        def blocks() -> Iterator[Rows]:
            for start, stop in blocks_of(len(keys), row_bytes(self._n_features)):
                yield self.rows(keys[start:stop])
                progress(stop, len(keys))

        write_export(path, header, len(keys), blocks())
        return len(keys)

    @property
    def _n_features(self) -> int:
        return self._headers[0].n_features if self._headers else 0

    def _error(self, n: int, damaged: Mapping[Path, int], is_marked: bool) -> DamagedStoreError:
        """Return the error for ``n`` rows that are missing or damaged."""
        which, verb = ("1 row", "is") if n == 1 else (f"{n:,} rows", "are")
        if not damaged:
            return DamagedStoreError(f"{which} {verb} missing from {self._path}; extract the data set again")
        files = ", ".join(sorted(map(str, damaged)))
        remedy = "the next extract or predict recomputes damaged rows"
        if not is_marked:
            remedy = "the cache cannot be written, so that no row can be computed again; choose another `cache`"
        return DamagedStoreError(f"{which} of {files} {verb} damaged; {remedy}")


def has_store(folder: Path) -> bool:
    """Return whether a folder of the cache has files with rows of a feature store; the files are not read."""
    return bool(segment_paths(folder)) or (is_real_folder(folder) and is_regular(folder / JOURNAL))
