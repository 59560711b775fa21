"""Write a feature store: append rows to its journal, turn the journal into segments, and merge and repair segments."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.agreement import MIN_COSINE, reproduces
from featx.errors import StoreError
from featx.files import is_regular, read_regular
from featx.store.claims import Claim, claimed
from featx.store.files import (
    delete,
    exists,
    locked,
    make_cache_folder,
    not_written,
    prepare_cache,
    remove_leftovers,
    write_content,
)
from featx.store.header import StoreHeader, join_producers
from featx.store.journal import JournalWriter, read_journal
from featx.store.merging import MergedRows, choose_segments, merge_limit
from featx.store.rows import RowFile, Rows
from featx.store.segments import (
    SEGMENT_NAME,
    Segment,
    SegmentHeader,
    is_suspect,
    open_segment,
    open_segments,
    suspect_path,
    write_segment,
)

JOURNAL, LOCK, CLAIM, UNFINISHED = "journal", "lock", "writer", "unfinished"
"""Names of files in the folder of a store."""

_SPARE_BYTES = 1 << 26
"""Space that remains free on the disk when segments are merged."""


@contextlib.contextmanager
def locked_store(folder: Path, notice: Callable[[str], None]) -> Iterator[Claim]:
    """Lock a store for writing; a second writer waits.

    Raises
    ------
    StoreError
        If the store cannot be locked, or another machine writes it.
    """
    waiting = f"another run is writing {folder.name}; waiting for it to finish"
    with locked(folder / LOCK, lambda: notice(waiting)), claimed(folder / CLAIM, notice) as claim:
        yield claim


def first_unfinished(folder: Path) -> int | None:
    """Return the number of the first segment that an unfinished run may have written; None if all runs are finished."""
    if not exists(folder / UNFINISHED):
        return None
    try:
        return int(read_regular(folder / UNFINISHED, 100, follow=False))
    except (OSError, ValueError):  # not written by featx
        return 0


class StoreWriter:
    """Append rows to a store; created by :meth:`featx.store.FeatureStore.writer`, while the store is locked."""

    def __init__(self, folder: Path, spec: str, claim: Claim, notice: Callable[[str], None]) -> None:
        self._folder = folder
        self._spec = spec
        self._claim = claim
        self._notice = notice
        self._live: list[Segment] = []
        self._sequence = 1
        self._journal: JournalWriter | None = None
        self._journal_header: StoreHeader | None = None
        self._n_new = 0
        self._reports_space = True
        self._is_finished = False

    @classmethod
    @contextlib.contextmanager
    def opened(cls, cache: Path, folder: Path, spec: str, notice: Callable[[str], None]) -> Iterator[StoreWriter]:
        """Lock and repair a store, and yield its writer; rows that were appended before an exception are kept."""
        prepare_cache(cache, "features")
        make_cache_folder(folder)
        with locked_store(folder, notice) as claim:
            remove_leftovers(folder, f"{SEGMENT_NAME}|{CLAIM}|{UNFINISHED}")
            writer = cls(folder, spec, claim, notice)
            try:
                writer._repair()
                yield writer
                if writer._is_finished:
                    delete(folder / UNFINISHED)
            finally:
                writer._close_journal()

    def begin(self, probes: NDArray[np.float32], producer: dict[str, str]) -> None:
        """Check that new rows are compatible with the stored rows, and open the journal.

        Further calls add producers: the rows that follow were computed by any of the producers so far.

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
        producers: tuple[dict[str, str], ...] = (producer,)
        if self._journal_header is not None:
            if producer in self._journal_header.producers:
                return
            producers = (*self._journal_header.producers, producer)
            self._store_journal()
        header = self.header or self._journal_header
        if header is not None:
            self._compare(header, probes, producer)
            probes = header.probes
        self.note_unfinished()
        path = self._folder / JOURNAL
        if exists(path) and not is_regular(path):
            self._notice(
                f"{path} is replaced, because it is not a regular file; if it is a link, the target is not changed"
            )
        self._journal_header = StoreHeader(self._spec, probes, producers)
        self._journal = self._new_journal(self._journal_header)

    def append(self, rows: Rows) -> None:
        """Append rows, which are then safe if the process is killed; they are on the disk after at most 2 seconds."""
        if self._journal_header is None:
            raise StoreError("append was called before begin")
        if self._journal is None:
            self._journal = self._new_journal(self._journal_header)
        self._claim.check()
        try:
            self._journal.append(rows)
        except OSError as error:
            raise not_written(self._folder / JOURNAL, error) from None
        if self._journal.is_full:
            self._store_journal()

    def finish(self) -> None:
        """Store the rows of the journal in a segment, and merge small segments."""
        self._store_journal()
        self._is_finished = True

    def add(self, header: StoreHeader, parts: Iterable[Sequence[RowFile]]) -> int:
        """Add rows of other stores with the same feature spec; return the number of rows that the store lacked.

        Parameters
        ----------
        header : StoreHeader
            Joint header of the other stores.
        parts : iterable of sequence of RowFile
            The files whose rows form one new segment, for each segment; only undamaged rows may be in use. Of rows
            with the same key, the first one is added.
        """
        n_before = self._n_new
        for files in parts:
            for segment in self._live:
                files = [rows.select(segment.rows.find(rows.keys) < 0) for rows in files]
            n_segments = len(self._live)
            self._commit(header, files, [])
            self._n_new += sum(len(segment.rows) for segment in self._live[n_segments:])
        self._merge()
        return self._n_new - n_before

    def note_unfinished(self) -> None:
        """Record that the rows that are added next belong to an unfinished run, so that ``gc`` keeps them."""
        if first_unfinished(self._folder) is None:
            write_content(self._folder / UNFINISHED, b"%d\n" % self._sequence)

    def replace(self, segment: Segment, rows: RowFile) -> None:
        """Replace a segment by a segment with fewer rows; delete the segment if no row is left."""
        self._commit(segment.header.store, [rows], [segment])

    def open(self) -> dict[Path, StoreError]:
        """Open the segments, delete those that were replaced, and return the errors of damaged segments."""
        found = open_segments(self._folder)
        self._live = list(found.live)
        numbers = [segment.header.sequence for segment in found.live] + [header.sequence for header in found.dead]
        self._sequence = 1 + max(numbers, default=0)
        self._delete(found.dead)
        return dict(found.damaged)

    @property
    def live(self) -> tuple[Segment, ...]:
        """The segments of the store."""
        return tuple(self._live)

    @property
    def header(self) -> StoreHeader | None:
        """The header of the first segment; None if the store has no segments."""
        first = min(self._live, key=lambda segment: segment.header.sequence, default=None)
        return None if first is None else first.header.store

    def _repair(self) -> None:
        """Set damaged segments aside, remove damaged rows, and store the rows that a killed run left in the journal."""
        for path in self.open():
            damaged = path.with_suffix(".h5.damaged")
            try:
                path.replace(damaged)
            except OSError as error:
                raise not_written(damaged, error) from None
            delete(suspect_path(path))
            self._notice(
                f"{self._folder.name}/{path.name} was damaged and has been renamed to {damaged.name}; its features are "
                "recomputed"
            )
        for segment in filter(lambda segment: is_suspect(segment.path), self.live):
            rows = segment.rows.check()
            if rows.n_damaged:
                self._report_damage(rows.n_damaged)
                self.replace(segment, rows)
            delete(suspect_path(segment.path))
        old = self._folder.with_suffix(".h5")
        if not self._live and is_regular(old) and not exists(self._folder / JOURNAL):
            self._notice(
                f"{old} has format 1, which this version of featx does not read; its features are recomputed, and "
                "featx cache gc deletes this file"
            )
        self._store_journal()

    def _store_journal(self) -> None:
        """Turn the journal into a segment, delete the journal, and merge small segments."""
        self._close_journal()
        path = self._folder / JOURNAL
        if exists(path):
            self._store_rows(path)
            self._delete_mapped(path)
        self._merge()

    def _store_rows(self, path: Path) -> None:
        journal = read_journal(path)
        headers = [segment.header.store for segment in self._live]
        if journal is None or not journal.belongs_to(self._spec, headers):
            return
        rows = journal.rows
        if rows.n_damaged:
            self._report_damage(rows.n_damaged)
        for segment in self._live:  # a run may have been killed after it stored rows and before it deleted the journal
            rows = rows.select(segment.rows.find(rows.keys) < 0)
        self._n_new += len(rows)
        self._commit(journal.header, [rows], [])

    def _merge(self) -> None:
        """Merge small segments into a larger one, if there are many and the disk has enough space."""
        limit = merge_limit(self._n_new, max((segment.rows.rows.row_bytes for segment in self._live), default=1))
        segments = [self._live[i] for i in choose_segments([len(segment.rows) for segment in self._live], limit)]
        if not segments:
            return
        n_bytes = sum(segment.header.n_bytes for segment in segments)
        free = shutil.disk_usage(self._folder).free
        if n_bytes + _SPARE_BYTES > free:
            self._report_space(f"{n_bytes / 1e6:,.0f} MB are needed, and {free / 1e6:,.0f} MB are free")
            return
        headers = [segment.header.store for segment in sorted(segments, key=lambda one: one.header.sequence)]
        header = StoreHeader(self._spec, headers[0].probes, join_producers(headers))
        try:
            self._commit(header, [segment.rows for segment in segments], segments)
        except StoreError as error:
            self._claim.check()
            self._report_space(str(error).partition(". ")[0])

    def _commit(self, header: StoreHeader, files: Sequence[RowFile], replaced: Sequence[Segment]) -> None:
        """Write the rows of files to a new segment, and then delete the segments that it replaces."""
        merged = MergedRows(files)
        names = {segment.header.name for segment in replaced}
        older = {name for segment in replaced for name in segment.header.replaces}
        names |= {name for name in older if exists(self._folder / f"{name}.h5")}
        self._claim.check()
        if merged.n_rows:
            path = write_segment(self._folder, header, merged, self._sequence, frozenset(names), self._claim.check)
            self._sequence += 1
            self._live.append(open_segment(path))
        self._live = [segment for segment in self._live if segment.header.name not in names]
        self._delete([segment.header for segment in replaced])

    def _delete(self, headers: Sequence[SegmentHeader]) -> None:
        for header in headers:
            self._delete_mapped(header.path)
            delete(suspect_path(header.path))

    def _delete_mapped(self, path: Path) -> None:
        """Delete a file whose rows are in a segment; on Windows, the next writer deletes a file that is being read."""
        try:
            delete(path)
        except StoreError:
            if sys.platform != "win32":
                raise

    def _new_journal(self, header: StoreHeader) -> JournalWriter:
        self._claim.check()
        try:
            return JournalWriter(self._folder / JOURNAL, header)
        except OSError as error:
            raise not_written(self._folder / JOURNAL, error) from None

    def _close_journal(self) -> None:
        """Commit the appended rows, and close the journal."""
        if self._journal is not None:
            journal, self._journal = self._journal, None
            try:
                journal.close()
            except OSError as error:
                raise not_written(self._folder / JOURNAL, error) from None

    def _compare(self, header: StoreHeader, probes: NDArray[np.float32], producer: dict[str, str]) -> None:
        if header.probes.shape != probes.shape:
            raise StoreError(
                f"{self._folder} has {header.n_features} features per image; this backbone gives {probes.shape[1]}"
            )
        if np.array_equal(header.probes, probes):
            return
        is_same, cosine = reproduces(header.probes, probes)
        if not is_same:
            raise StoreError(
                f"the features in {self._folder} cannot be reproduced on this machine: the features of the probe "
                f"images have a cosine similarity of {cosine:.4f}; at least {MIN_COSINE} is required. The stored "
                f"features were computed with {header.producers[0]}. Choose another `cache`, or delete this folder to "
                "recompute all features"
            )
        self._notice(
            f"the features of this machine differ slightly from the features in the cache (cosine similarity "
            f"{cosine:.6f}); the cache records both machines"
        )

    def _report_damage(self, n_rows: int) -> None:
        self._notice(f"{n_rows:,} rows of {self._folder.name} were damaged; they are recomputed")

    def _report_space(self, reason: str) -> None:
        if self._reports_space:
            self._notice(f"the segments of {self._folder.name} are not merged, so that lookups take longer: {reason}")
            self._reports_space = False
