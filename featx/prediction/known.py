"""Which images a table of predictions has already, by path and content."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.errors import OutputError
from featx.output import import_pyarrow, reason_of, utf8_text
from featx.prediction.counts import RowCounts
from featx.prediction.writing import CONTENT_HASH
from featx.source import Member, place_of

_BLOCK = 4096
_STATUSES = ("ok", "rejected", "skipped")
_SEEN = 4
"""Bit of a flag that marks a training image; the two bits below are the status."""

_READ = ("path", "status", "seen", CONTENT_HASH)

WIDTH = 33
"""Number of bytes that are kept of a known row: its content hash, and a flag for its status and column ``seen``."""


class KnownRows:
    """Values of rows by the key of their path, in a few sorted arrays whose sizes grow geometrically.

    Parameters
    ----------
    width : int
        Number of bytes that are kept for each key.
    """

    def __init__(self, width: int = 0) -> None:
        self._width = width
        self._levels: list[tuple[NDArray[np.bytes_], NDArray[np.uint8]]] = []

    def add(self, keys: NDArray[np.bytes_], values: NDArray[np.uint8] | None = None) -> None:
        """Add rows with values of shape (n, width); if a key occurs several times, any of its values may be found."""
        added = np.empty((len(keys), self._width), np.uint8) if values is None else values
        order = np.argsort(keys, kind="stable")
        self._levels.append((keys[order], added[order]))
        while len(self._levels) > 1 and 2 * len(self._levels[-1][0]) > len(self._levels[-2][0]):
            pairs = self._levels.pop(-2), self._levels.pop()
            keys = np.concatenate([pair[0] for pair in pairs])
            order = np.argsort(keys, kind="stable")
            self._levels.append((keys[order], np.concatenate([pair[1] for pair in pairs])[order]))

    def find(self, keys: NDArray[np.bytes_]) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        """Return whether each key is known, and its values (zeros if it is unknown)."""
        found = np.zeros(len(keys), np.bool_)
        values = np.zeros((len(keys), self._width), np.uint8)
        for known, its_values in self._levels:
            if len(known):
                at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
                here = known[at] == keys
                found |= here
                values[here] = its_values[at[here]]
        return found, values


def row_keys(paths: Iterable[str], folder: str) -> NDArray[np.bytes_]:
    """Return a key of 16 bytes for each path; all spellings of a path have the same key.

    Two paths are spellings of the same path if they are equal after relative paths are joined to ``folder``, and ``.``,
    ``..`` and repeated slashes are removed. Links are not resolved. Addresses are compared as they are; of a member of
    an archive, the path of the archive is joined to ``folder``.
    """
    normal = (_normal(path, folder) for path in paths)
    digests = [hashlib.blake2b(utf8_text(path).encode(), digest_size=16).digest() for path in normal]
    return np.array(digests, "S16")


def _normal(path: str, folder: str) -> str:
    if "://" in path:
        place = place_of(path)
        if isinstance(place, Member) and isinstance(place.archive, Path):
            return str(replace(place, archive=Path(os.path.normpath(os.path.join(folder, place.archive)))))
        if not isinstance(place, Path):
            return str(place)
    return os.path.normpath(os.path.join(folder, path))


def counts_of(flags: NDArray[np.uint8]) -> RowCounts:
    """Return the counts of rows with the given flags."""
    n_by_status = np.bincount(flags & (_SEEN - 1), minlength=len(_STATUSES))
    return RowCounts(len(flags), int(n_by_status[1]), int(n_by_status[2]), int((flags & _SEEN > 0).sum()))


class TableRows(NamedTuple):
    """Some rows of a table.

    Parameters
    ----------
    paths, statuses : list of str
    seen : list of object
        ``True`` or ``"true"`` for training images.
    hashes : list of str
        Content hashes; empty for files that could not be read.
    """

    paths: list[str]
    statuses: list[str]
    seen: list[Any]
    hashes: list[str]

    def add_to(self, known: KnownRows, folder: str) -> None:
        """Add the rows to the known ones; relative paths are relative to ``folder``."""
        flags = [
            _STATUSES.index(status) | (_SEEN if seen in (True, "true") else 0)
            for status, seen in zip(self.statuses, self.seen, strict=True)
        ]
        content = [bytes.fromhex(text) if text else bytes(32) for text in self.hashes]
        if any(len(one) != 32 for one in content):
            raise ValueError("a content hash has another length")
        hashes = np.frombuffer(b"".join(content), np.uint8).reshape(-1, 32)
        known.add(row_keys(self.paths, folder), np.column_stack([hashes, np.array(flags, np.uint8)]))


def read_known(known: KnownRows, file: Path, suffix: str, columns: Sequence[str], folder: str) -> None:
    """Add the rows of a table to the known ones.

    Raises
    ------
    OutputError
        If the table cannot be read, or has other columns.
    """
    try:
        for rows in _READERS[suffix](file, columns):
            rows.add_to(known, folder)
    except OSError as error:
        raise OutputError(f"{file} cannot be read: {reason_of(error)}") from None
    except (KeyError, TypeError, ValueError, csv.Error, RecursionError) as error:
        raise OutputError(
            f"{file} cannot be continued: it was changed by another program ({error}); start again with "
            "`overwrite=True`, or choose another `output`"
        ) from None


def _from_csv(file: Path, columns: Sequence[str]) -> Iterator[TableRows]:
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        _check_columns(next(reader, []), columns)
        at = [columns.index(name) for name in _READ]
        rows: list[list[str]] = []
        for row in reader:
            if len(row) != len(columns):
                raise ValueError(f"a row has {len(row)} values, expected {len(columns)}")
            rows.append([row[i] for i in at])
            if len(rows) == _BLOCK:
                yield TableRows(*map(list, zip(*rows, strict=True)))
                rows = []
        if rows:
            yield TableRows(*map(list, zip(*rows, strict=True)))


def _from_json_lines(file: Path, columns: Sequence[str]) -> Iterator[TableRows]:
    with file.open(encoding="utf-8") as stream:
        rows: list[list[Any]] = []
        for line in stream:
            row = json.loads(line)
            _check_columns(list(row), columns)
            rows.append([row[name] for name in _READ])
            if len(rows) == _BLOCK:
                yield TableRows(*map(list, zip(*rows, strict=True)))
                rows = []
        if rows:
            yield TableRows(*map(list, zip(*rows, strict=True)))


def _from_parquet(file: Path, columns: Sequence[str]) -> Iterator[TableRows]:
    _, parquet = import_pyarrow()
    with parquet.ParquetFile(file) as table:
        _check_columns(table.schema_arrow.names, columns)
        for batch in table.iter_batches(_BLOCK, columns=list(_READ)):
            values = batch.to_pydict()
            yield TableRows(*(values[name] for name in _READ))


def _check_columns(found: Sequence[str], columns: Sequence[str]) -> None:
    if list(found) != list(columns):
        raise ValueError(f"its columns are {', '.join(found)[:500]}")


_READERS = {
    ".csv": _from_csv,
    ".jsonl": _from_json_lines,
    ".ndjson": _from_json_lines,
    ".parquet": _from_parquet,
}
