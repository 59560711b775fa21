"""Copy the rows of a feature store from other caches, whose files are only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from featx.agreement import MIN_COSINE, cosines
from featx.errors import StoreError
from featx.store.features import FeatureStore
from featx.store.files import exists
from featx.store.header import StoreHeader, join_producers
from featx.store.journal import read_journal
from featx.store.rows import RowFile
from featx.store.segments import open_segments
from featx.store.writing import JOURNAL, UNFINISHED, StoreWriter

_MOST_FILES = 64
"""Number of files that are merged at a time; each needs a file descriptor."""

_SEGMENT_BYTES = 1 << 30
_MOST_SEGMENTS = 8
"""Least size, and most number, of the segments into which rows are copied: what a kill interrupts is copied again."""


@dataclass(frozen=True)
class CopiedFrom:
    """What was found in the store of another cache.

    Parameters
    ----------
    path : path
        Folder of the store in the other cache.
    n_rows, n_damaged : int
        Number of undamaged rows, and of damaged rows, which are not copied.
    problems : tuple of str
        What was not copied, and why.
    """

    path: Path
    n_rows: int
    n_damaged: int
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Copied:
    """Result of copying the rows of a store.

    Parameters
    ----------
    sources : tuple of CopiedFrom
    n_added : int
        Number of rows that the store lacked.
    """

    sources: tuple[CopiedFrom, ...]
    n_added: int


class _Opened(NamedTuple):
    """The files of a store of another cache, with their headers and checked rows."""

    headers: list[StoreHeader]
    files: list[RowFile]
    is_unfinished: bool


def copy_rows(
    store: FeatureStore,
    sources: Sequence[Path],
    notice: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> Copied:
    """Add the rows that a store lacks and that stores of other caches with the same feature spec have.

    Each row is checked. The other caches are not changed. A second writer of the store waits. If the process is killed,
    the segments that are written so far remain, and the next call copies the other rows.

    Parameters
    ----------
    store : FeatureStore
        Store to which rows are added; created if it does not exist.
    sources : sequence of path
        Folders of the stores of the other caches. Of rows with the same key, the row of the first folder is used.
    notice : callable
        Called with one line of text for each notice.
    progress : callable
        Called with the number of sources that are processed, and the number of all sources.

    Raises
    ------
    StoreError
        If the store cannot be written, or a folder is deleted meanwhile.
    """
    found: list[CopiedFrom] = []
    n_added = 0
    with store.writer(notice) as writer:
        group: list[_Opened] = []
        for number, path in enumerate(sources, 1):
            reference = writer.header or (group[0].headers[0] if group else None)
            opened, result = _open(path, store.spec.to_json(), reference, notice)
            found.append(result)
            if opened.files:
                if sum(len(other.files) for other in [*group, opened]) > _MOST_FILES and group:
                    n_added += _add(writer, group)
                    group = []
                group.append(opened)
            progress(number, len(sources))
        if group:
            n_added += _add(writer, group)
    return Copied(tuple(found), n_added)


def _open(
    path: Path, spec: str, reference: StoreHeader | None, notice: Callable[[str], None]
) -> tuple[_Opened, CopiedFrom]:
    """Open and check the files of a store; those that cannot be used are stated as problems."""
    is_unfinished = exists(path / UNFINISHED)
    try:
        journal = read_journal(path / JOURNAL)  # before the segments, into which its rows may move meanwhile
        segments = open_segments(path)
    except StoreError as error:
        return _Opened([], [], False), CopiedFrom(path, 0, 0, (str(error),))
    problems = [f"{error}; its rows are not merged" for error in segments.damaged.values()]
    named = [(segment.path, segment.header.store, segment.rows) for segment in segments.live]
    if journal is not None and journal.belongs_to(spec, [header for _, header, _ in named]):
        named.append((path / JOURNAL, journal.header, journal.rows))
    if not named and not problems:
        raise StoreError(f"{path} was deleted while it was merged; merge the other folders, or restore this one")
    headers, files, n_damaged = list[StoreHeader](), list[RowFile](), 0
    for file, header, rows in named:
        cosine = _similarity(reference or (headers[0] if headers else header), header)
        if cosine < MIN_COSINE:
            problems.append(
                f"{file}: the features of the probe images have a cosine similarity of {cosine:.4f} to those of the "
                f"other rows; at least {MIN_COSINE} is required, so that its {len(rows):,} rows are not merged. They "
                f"were computed with {header.producers[0]}"
            )
            continue
        if cosine < 1:
            notice(
                f"{file}: computed on another machine with slightly different results (cosine similarity {cosine:.6f})"
            )
        checked = rows.check()
        if checked.n_damaged:
            which = "1 row is" if checked.n_damaged == 1 else f"{checked.n_damaged:,} rows are"
            problems.append(f"{file}: {which} damaged and not merged; the next extract computes the features again")
        n_damaged += checked.n_damaged
        headers.append(header)
        files.append(checked)
    return _Opened(headers, files, is_unfinished), CopiedFrom(path, sum(map(len, files)), n_damaged, tuple(problems))


def _similarity(one: StoreHeader, other: StoreHeader) -> float:
    """Return the smallest cosine similarity of the features of the probe images; 1 if all are equal."""
    if one.probes.shape != other.probes.shape:
        return 0.0
    return 1.0 if (one.probes == other.probes).all() else min(float(cosines(one.probes, other.probes).min()), 0.9999999)


def _add(writer: StoreWriter, group: Sequence[_Opened]) -> int:
    """Add the rows of several stores in the order of their keys; return the number of rows that were lacking."""
    headers = [header for opened in group for header in opened.headers]
    files = [file for opened in group for file in opened.files]
    first = writer.header or headers[0]
    if any(opened.is_unfinished for opened in group):
        writer.note_unfinished()
    header = StoreHeader(first.spec, first.probes, join_producers(headers))
    return writer.add(header, _parts(files))


def _parts(files: Sequence[RowFile]) -> Iterator[list[RowFile]]:
    """Divide the rows of files by their keys, which are digests and therefore distributed evenly, into equal parts."""
    n_bytes = sum(len(file) * file.rows.row_bytes for file in files)
    n = max(1, min(_MOST_SEGMENTS, n_bytes // _SEGMENT_BYTES))
    bounds = [(number * (1 << 64) // n).to_bytes(9, "big")[1:] for number in range(n)]
    for first, stop in zip(bounds, [*bounds[1:], None], strict=True):
        yield [file.between(first, stop) for file in files]
