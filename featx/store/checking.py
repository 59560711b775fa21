"""Check every byte of a cache file without changing the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from featx.errors import DamagedStoreError, NewerFormatError, SpecError, StoreError
from featx.spec import FeatureSpec
from featx.store.contents import CacheFile, spec_of
from featx.store.files import exists
from featx.store.graphs import check_graph_file
from featx.store.journal import count_journal, read_journal
from featx.store.notes import read_json
from featx.store.pairs import check_pairs
from featx.store.segments import check_content, open_segment
from featx.store.shards import check_shards
from featx.store.snapshot import is_path, summarize_snapshot

Condition = Literal["ok", "damaged", "newer", "unfinished", "old", "leftover", "foreign"]
_RECOMPUTED = "featx cache gc removes these rows; the next extract or predict with this feature spec recomputes them"


@dataclass(frozen=True)
class Finding:
    """Result of the check of a cache file.

    Parameters
    ----------
    status : {"ok", "damaged", "newer", "unfinished", "old", "leftover", "foreign"}
        ``unfinished``: a journal whose last row is incomplete, because the run was killed. ``newer``: a file of a later
        version of featx. ``old``: a file of a feature store of format 1, which is not read. ``leftover``: a
        file that a killed run or a repair left behind. ``foreign``: a file that featx did not write.
    n_rows, n_damaged : int
        Number of feature rows that were checked, and number of damaged rows.
    problem, remedy : str
        Description of the problem, and what to do; empty if there is no problem.
    """

    status: Condition = "ok"
    n_rows: int = 0
    n_damaged: int = 0
    problem: str = ""
    remedy: str = ""


def check_file(file: CacheFile) -> Finding | None:
    """Check a cache file, and return the result; None if another run has deleted the file."""
    checks: dict[str, Callable[[Path], Finding]] = {
        "features": _check_segment_file,
        "journal": _check_journal,
        "data set": _check_snapshot,
        "graph": _check_graph,
        "pairs": _check_pairs,
        "note": _check_note,
        "mark": _check_mark,
        "old": _old,
        "leftover": _leftover,
        "other": lambda path: Finding(
            "foreign", problem=f"{path} {_foreign(path)}", remedy="featx leaves this file unchanged"
        ),
    }
    try:
        return checks[file.kind](file.path)
    except NewerFormatError as error:
        return Finding("newer", problem=str(error))
    except OSError as error:
        if not exists(file.path):
            return None
        problem = str(error) if isinstance(error, StoreError) else f"{file.path} cannot be read: {error.strerror}"
        return Finding("damaged", problem=problem, remedy=_REMEDIES[file.kind])


_REMEDIES = {
    "features": "the next extract with this feature spec sets this file aside and recomputes its features",
    "journal": "the next extract with this feature spec recomputes these rows",
    "data set": "the next extract or predict of the data set rewrites this file",
    "graph": "featx rebuilds a graph when it is needed; extract `recalibrate=True` rebuilds a quantized graph",
    "pairs": "the next fit of the data set compares all its images again and rewrites this file",
    "note": "delete this file; featx recreates it when it is needed",
    "mark": "delete this file; featx recreates it when it is needed",
}


def _check_segment_file(path: Path) -> Finding:
    segment = open_segment(path)
    spec_of(path.parent, segment.header.store)
    n, rows = len(segment.rows), segment.rows.check()
    if rows.n_damaged:
        problem = f"{path}: {rows.n_damaged:,} of {n:,} rows {'is' if rows.n_damaged == 1 else 'are'} damaged"
        return Finding("damaged", n, rows.n_damaged, problem, _RECOMPUTED)
    try:
        check_content(segment)
    except DamagedStoreError as error:
        remedy = "the rows are undamaged, and featx reads them; for other programs, export the store"
        return Finding("damaged", n, 0, str(error), remedy)
    return Finding(n_rows=n)


def _check_journal(path: Path) -> Finding:
    expected, torn = count_journal(path)
    journal = read_journal(path)
    if journal is not None:
        spec_of(path.parent, journal.header)
        n_damaged = journal.rows.n_damaged
        if n_damaged:
            problem = f"{path}: {n_damaged:,} of {expected:,} rows are damaged"
            return Finding("damaged", expected, n_damaged, problem, _REMEDIES["journal"])
    if torn:
        problem = f"{path}: {torn:,} bytes follow the last complete row; a killed run left them"
        return Finding(
            "unfinished", expected, 0, problem, "the next extract with this feature spec removes these bytes"
        )
    return Finding(n_rows=expected)


def _check_snapshot(path: Path) -> Finding:
    summarize_snapshot(path)
    return Finding()


def _check_graph(path: Path) -> Finding:
    check_graph_file(path)
    return Finding()


def _check_pairs(path: Path) -> Finding:
    check_pairs(path)
    return Finding()


def _check_note(path: Path) -> Finding:
    value = read_json(path)
    if value is None:
        raise DamagedStoreError(f"{path} is not a JSON object")
    if path.parent.name == "datasets":
        check_shards(path)
    if path.name == "latest.json":
        try:
            FeatureSpec.from_json(value["spec"])
            if not is_path(value["data"]) or not isinstance(value["options"], dict):
                raise TypeError("the path of the data set or the options are missing")
        except (KeyError, TypeError, SpecError) as error:
            raise DamagedStoreError(f"{path} does not have the content that featx writes: {error}") from None
    return Finding()


def _check_mark(path: Path) -> Finding:
    return Finding()  # the cache tag is valid, because list_files lists no file without the tag


def _foreign(path: Path) -> str:
    return "is a link; featx does not follow it" if path.is_symlink() else "was not written by featx"


def _old(path: Path) -> Finding:
    problem = f"{path} belongs to a feature store of format 1, which this version of featx does not read"
    return Finding("old", problem=problem, remedy="featx cache gc deletes this file; extract recomputes its features")


def _leftover(path: Path) -> Finding:
    reasons = {".damaged": "is a damaged segment that was set aside"}
    problem = f"{path} {reasons.get(path.suffix, 'belongs to a killed run, or to a run that is still active')}"
    return Finding("leftover", problem=problem, remedy="featx cache gc deletes this file")
