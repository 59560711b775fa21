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
from featx.store.snapshot import is_path, summarize_snapshot
from featx.store.sorted_file import check_sorted_file, read_header, read_sorted_file

Condition = Literal["ok", "damaged", "newer", "unfinished", "leftover", "foreign"]
_RECOMPUTED = "the next extract or predict with this feature spec recomputes these rows"


@dataclass(frozen=True)
class Finding:
    """Result of the check of a cache file.

    Parameters
    ----------
    status : {"ok", "damaged", "newer", "unfinished", "leftover", "foreign"}
        ``unfinished``: a journal whose last row is incomplete, because the run was killed. ``newer``: a file of a later
        version of featx. ``leftover``: a file that a killed run or a repair left behind. ``foreign``: a file that featx
        did not write.
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
        "features": _check_base,
        "journal": _check_journal,
        "data set": _check_snapshot,
        "graph": _check_graph,
        "note": _check_note,
        "mark": _check_mark,
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
    "features": "the next extract with this feature spec sets the file aside and recomputes all its features",
    "journal": "the next extract with this feature spec starts a new journal and recomputes the features in it",
    "data set": "the next extract or predict of the data set rewrites this file",
    "graph": "featx rebuilds a graph when it is needed; extract `recalibrate=True` rebuilds a quantized graph",
    "note": "delete this file; featx recreates it when it is needed",
    "mark": "delete this file; featx recreates it when it is needed",
}


def _check_base(path: Path) -> Finding:
    header, rows = read_sorted_file(path)
    spec_of(path, header)
    if rows.n_damaged:
        n = len(rows.rows)
        problem = f"{path}: {rows.n_damaged:,} of {n:,} rows {'is' if rows.n_damaged == 1 else 'are'} damaged"
        return Finding("damaged", n, rows.n_damaged, problem, _RECOMPUTED)
    try:
        check_sorted_file(path)
    except DamagedStoreError as error:
        remedy = "the rows are undamaged; the next extract of a new image rewrites the file"
        return Finding("damaged", len(rows.rows), 0, str(error), remedy)
    return Finding(n_rows=len(rows.rows))


def _check_journal(path: Path) -> Finding:
    header = read_header(path.with_suffix(".h5"))
    rows = read_journal(path, path.stem, header.n_features)
    expected, torn = count_journal(path, header.n_features)
    n_damaged = expected - len(rows.rows) + rows.n_damaged
    if n_damaged:
        return Finding(
            "damaged", expected, n_damaged, f"{path}: {n_damaged:,} of {expected:,} rows are damaged", _RECOMPUTED
        )
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


def _check_note(path: Path) -> Finding:
    value = read_json(path)
    if value is None:
        raise DamagedStoreError(f"{path} is not a JSON object")
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


def _leftover(path: Path) -> Finding:
    reasons = {
        ".tmp": "belongs to a killed run, or to a run that is still active",
        ".damaged": "is a damaged store that was set aside",
    }
    problem = f"{path} {reasons.get(path.suffix, 'is a journal without a store')}"
    return Finding("leftover", problem=problem, remedy="featx cache gc deletes this file")
