"""A CSV or Parquet table of paths, labels, groups and splits."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from featx.dataset.layout import SPLIT_NAMES
from featx.errors import DatasetError, MissingExtraError
from featx.table import Sample

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
"""File names that can be a manifest."""

_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True)
class _Columns:
    header: list[str]
    rows: list[list[str]]


def read_manifest(path: Path, path_column: str = "path", label_column: str = "label") -> list[Sample]:
    """Read the samples that a manifest lists; their paths are relative to its folder.

    Parameters
    ----------
    path : path
        A ``.csv`` (any common delimiter, UTF-8 or UTF-16) or ``.parquet`` file.
    path_column, label_column : str
        Names of the columns; ``group`` and ``split`` are read where they exist.

    Raises
    ------
    DatasetError
        Columns or labels missing, a path outside the folder or listed twice, an unknown split.
    MissingExtraError
        A Parquet file without pyarrow.
    """
    table = _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path)
    where = {name: table.header.index(name) for name in table.header}
    for option, column in (("--path-column", path_column), ("--label-column", label_column)):
        if column not in where:
            raise DatasetError(
                f"{path} has no column {column!r}; it has {', '.join(table.header)}. Name the right one with {option}"
            )
    optional = [where.get("group"), where.get("split")]
    others = [name for name in table.header if name and name not in (path_column, label_column, "group", "split")]
    samples = []
    for number, row in enumerate(table.rows, start=2):
        if len(row) != len(table.header):
            raise DatasetError(f"{path}, row {number}: {len(row)} values for {len(table.header)} columns")
        group, split = (row[at].strip() or None if at is not None else None for at in optional)
        sample = _sample(f"{path}, row {number}", row[where[path_column]], row[where[label_column]], group, split)
        samples.append(replace(sample, others=tuple((name, row[where[name]].strip()) for name in others)))
    return _sorted_once(path, samples)


def _sample(place: str, name: str, label: str, group: str | None, split: str | None) -> Sample:
    if not label.strip():
        raise DatasetError(f"{place}: the label is missing; give one or take the row out")
    if split is not None and split.lower() not in SPLIT_NAMES:
        raise DatasetError(f"{place}: the split is {split!r}; allowed are {', '.join(SPLIT_NAMES)} or nothing")
    return Sample(_inside(place, name), label.strip(), group, SPLIT_NAMES[split.lower()] if split else None)


def _inside(place: str, name: str) -> str:
    path = PurePosixPath(name.strip().replace("\\", "/"))
    if not path.parts:
        raise DatasetError(f"{place}: the path is missing")
    if "\0" in name:
        raise DatasetError(f"{place}: the path holds a NUL character, which no file name can; is this a CSV file?")
    if path.is_absolute() or PureWindowsPath(name.strip()).drive or ".." in path.parts:
        raise DatasetError(
            f"{place}: {name.strip()} lies outside the manifest's folder; give paths relative to it, "
            "or put the manifest at the top of the pictures"
        )
    return path.as_posix()


def _sorted_once(path: Path, samples: Sequence[Sample]) -> list[Sample]:
    if not samples:
        raise DatasetError(f"{path} lists no pictures")
    in_order = sorted(samples, key=lambda sample: sample.sample_id.split("/"))
    for one, other in itertools.pairwise(in_order):
        if one.sample_id == other.sample_id:
            raise DatasetError(f"{path} lists {one.sample_id} more than once; keep one row")
    return in_order


def _read_csv(path: Path) -> _Columns:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 (byte {error.start}); save it as CSV UTF-8") from None
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True))
    except csv.Error as error:
        raise DatasetError(f"{path} is no readable CSV: {error}") from None
    rows = [row for row in rows if any(value.strip() for value in row)]
    if not rows:
        raise DatasetError(f"{path} is empty; needed is a header with the columns path and label")
    return _Columns([name.strip() for name in rows[0]], rows[1:])


def _delimiter(text: str) -> str:
    """Choose by the header: it has column names in it, so no delimiter is part of a value."""
    header = text.split("\n", 1)[0]
    return max(",;\t|", key=header.count)


def _read_parquet(path: Path) -> _Columns:
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("a Parquet file needs pyarrow: pip install 'featx[parquet]', or save as CSV") from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, ValueError) as error:  # pyarrow's errors derive from ValueError or OSError
        raise DatasetError(f"{path} is no readable Parquet file: {error}") from None
    columns = [["" if value is None else str(value) for value in column.to_pylist()] for column in table.columns]
    return _Columns(list(table.column_names), [list(row) for row in zip(*columns, strict=True)])
