"""Check every byte of a file of the cache; nothing is changed."""

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
_AGAIN = "the next extract or predict with this recipe computes them again"


@dataclass(frozen=True)
class Finding:
    """What a check of a file found.

    Parameters
    ----------
    status : {"ok", "damaged", "newer", "unfinished", "leftover", "foreign"}
        Unfinished is a journal whose last row a killed run left torn; foreign is a file that is none of featx.
    n_rows, n_damaged : int
        Rows of features that were checked; those of them whose checksum is wrong.
    problem, remedy : str
        What is wrong and what to do; empty where nothing is.
    """

    status: Condition = "ok"
    n_rows: int = 0
    n_damaged: int = 0
    problem: str = ""
    remedy: str = ""


def check_file(file: CacheFile) -> Finding | None:
    """Check a file of a cache; None if another run has taken it away."""
    checks: dict[str, Callable[[Path], Finding]] = {
        "features": _check_base,
        "journal": _check_journal,
        "data set": _check_snapshot,
        "graph": _check_graph,
        "note": _check_note,
        "mark": _check_mark,
        "leftover": _leftover,
        "other": lambda path: Finding("foreign", problem=f"{path} {_what(path)}", remedy="it is left alone"),
    }
    try:
        return checks[file.kind](file.path)
    except NewerFormatError as error:
        return Finding("newer", problem=str(error))
    except OSError as error:
        if not exists(file.path):
            return None
        told = str(error) if isinstance(error, StoreError) else f"{file.path} cannot be read: {error.strerror}"
        return Finding("damaged", problem=told, remedy=_REMEDIES[file.kind])


_REMEDIES = {
    "features": "the next extract with this recipe sets it aside and computes all its features again",
    "journal": "the next extract with this recipe begins it anew and computes its features again",
    "data set": "the next extract or predict of its data set writes it anew",
    "graph": "it is made again when it is needed; a quantized one by extract `recalibrate=True`",
    "note": "delete it; it is made again when it is needed",
    "mark": "delete it; it is made again when it is needed",
}


def _check_base(path: Path) -> Finding:
    header, rows = read_sorted_file(path)
    spec_of(path, header)
    if rows.n_damaged:
        n = len(rows.rows)
        problem = f"{path}: {rows.n_damaged:,} of {n:,} rows {'is' if rows.n_damaged == 1 else 'are'} damaged"
        return Finding("damaged", n, rows.n_damaged, problem, _AGAIN)
    try:
        check_sorted_file(path)
    except DamagedStoreError as error:
        remedy = "its rows are whole; the next extract of a new image writes the file anew"
        return Finding("damaged", len(rows.rows), 0, str(error), remedy)
    return Finding(n_rows=len(rows.rows))


def _check_journal(path: Path) -> Finding:
    header = read_header(path.with_suffix(".h5"))
    rows = read_journal(path, path.stem, header.n_features)
    expected, torn = count_journal(path, header.n_features)
    n_damaged = expected - len(rows.rows) + rows.n_damaged
    if n_damaged:
        return Finding(
            "damaged", expected, n_damaged, f"{path}: {n_damaged:,} of {expected:,} rows are damaged", _AGAIN
        )
    if torn:
        problem = f"{path}: {torn:,} bytes after its last whole row, as a killed run leaves them"
        return Finding("unfinished", expected, 0, problem, "the next extract with this recipe cuts them off")
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
        raise DamagedStoreError(f"{path} is no JSON object")
    if path.name == "latest.json":
        try:
            FeatureSpec.from_json(value["spec"])
            if not is_path(value["data"]) or not isinstance(value["options"], dict):
                raise TypeError("it names no data set")
        except (KeyError, TypeError, SpecError) as error:
            raise DamagedStoreError(f"{path} is not what featx wrote: {error}") from None
    return Finding()


def _check_mark(path: Path) -> Finding:
    return Finding()  # the tag is what featx wrote: otherwise this were no cache


def _what(path: Path) -> str:
    return "is a link, and is not followed" if path.is_symlink() else "is no file of featx"


def _leftover(path: Path) -> Finding:
    what = {".tmp": "is of a killed run, or of one that is writing", ".damaged": "was set aside"}
    problem = f"{path} {what.get(path.suffix, 'has no store')}"
    return Finding("leftover", problem=problem, remedy="featx cache gc deletes it")
