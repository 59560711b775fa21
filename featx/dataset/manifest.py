"""A CSV or Parquet table of paths, labels, groups and splits."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import os
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

from featx.dataset.layout import SPLIT_NAMES
from featx.errors import DatasetError, FeatxError, MissingExtraError
from featx.files import open_regular
from featx.table import Sample

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
"""File names that can be a manifest."""

_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


_MOST_BYTES = 2_000_000_000
_MOST_ROWS = 20_000_000
_MOST_COLUMNS = 1_000
_LONGEST_ROW = 1_000_000
"""Characters; more come from a file that is no table."""

_LONGEST_NAME = 10_000
"""Characters of a path; no system opens longer ones."""

_KNOWN = ("group", "split")
_MOST_PARTS = 1_000_000
_MOST_NAMED = 50
_MOST_SHOWN = 100


def read_manifest(path: Path, path_column: str = "path", label_column: str = "label") -> list[Sample]:
    """Read the samples that a manifest lists; their paths are relative to its folder.

    Parameters
    ----------
    path : path
        A ``.csv`` (any common delimiter, UTF-8 or UTF-16) or ``.parquet`` file, of at most 20 million rows, 1,000
        columns and 2 GB.
    path_column, label_column : str
        Names of the columns; ``group`` and ``split`` are read where they exist.

    Raises
    ------
    DatasetError
        Columns or labels missing, a path outside the folder or listed twice, an unknown split.
    MissingExtraError
        A Parquet file without pyarrow.
    """
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    rows = _parquet_rows(path, (path_column, label_column)) if is_parquet else _csv_rows(path)
    with contextlib.closing(rows):
        header = next(rows, None)
        if header is None:
            raise DatasetError(f"{path} is empty; needed is a header with the columns path and label")
        _stop_if_many(path, len(header), _MOST_COLUMNS, "columns")
        return _samples(path, header, rows, path_column, label_column)


def _samples(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[str]], path_column: str, label_column: str
) -> list[Sample]:
    where = {name: header.index(name) for name in header}
    for option, column in (("--path-column", path_column), ("--label-column", label_column)):
        if column not in where:
            raise DatasetError(
                f"{path} has no column {column!r}; it has {_some(header)}. Name the right one with {option}"
            )
    optional = [where.get(name) for name in _KNOWN]
    others = [name for name in header if name and name not in (path_column, label_column, *_KNOWN)]
    samples: dict[str, Sample] = {}
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DatasetError(f"{path}, row {number}: {len(row)} values for {len(header)} columns")
        _stop_if_many(path, number - 1, _MOST_ROWS, "rows")
        group, split = (row[at].strip() or None if at is not None else None for at in optional)
        sample = _sample(f"{path}, row {number}", row[where[path_column]], row[where[label_column]], group, split)
        if sample.sample_id in samples:
            raise DatasetError(f"{path} lists {sample.sample_id} more than once; keep one row")
        told = tuple((name, row[where[name]].strip()) for name in others)
        samples[sample.sample_id] = replace(sample, others=told)
    if not samples:
        raise DatasetError(f"{path} lists no pictures")
    return sorted(samples.values(), key=lambda sample: sample.sample_id.split("/"))


def _some(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _MOST_NAMED:,} more"] if len(names) > _MOST_NAMED else []
    return ", ".join([*(name[:_MOST_SHOWN] for name in names[:_MOST_NAMED]), *more])


def _stop_if_many(path: Path, n: int, most: int, what: str) -> None:
    if n > most:
        raise DatasetError(f"{path} has more than {most:,} {what}, which is what a manifest may have")


def _sample(place: str, name: str, label: str, group: str | None, split: str | None) -> Sample:
    if not label.strip():
        raise DatasetError(f"{place}: the label is missing; give one or take the row out")
    if split is not None and split.lower() not in SPLIT_NAMES:
        raise DatasetError(
            f"{place}: the split is {split[:_MOST_SHOWN]!r}; allowed are {', '.join(SPLIT_NAMES)} or nothing"
        )
    return Sample(_inside(place, name), label.strip(), group, SPLIT_NAMES[split.lower()] if split else None)


def _inside(place: str, name: str) -> str:
    if len(name) > _LONGEST_NAME:
        raise DatasetError(f"{place}: a path of {len(name):,} characters, which no file has; is this a table of paths?")
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


def _csv_rows(path: Path) -> Generator[list[str], None, None]:
    """Yield the header and the rows that are not blank."""
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > _MOST_BYTES:
                raise DatasetError(f"{path} has {size:,} bytes; a manifest may have {_MOST_BYTES:,}")
            yield from _rows_of(stream, size)
    except csv.Error as error:
        raise DatasetError(f"{path} is no readable CSV: {error}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 ({error.reason}); save it as CSV UTF-8") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None


def _rows_of(stream: BinaryIO, size: int) -> Iterator[list[str]]:
    mark = stream.read(4)
    stream.seek(0)
    encoding = next((name for known, name in _BYTE_ORDER_MARKS if mark.startswith(known)), "utf-8")
    with io.TextIOWrapper(stream, encoding, newline="") as text:
        lines = _Lines(text, size)
        header = next(lines, "")
        has_header = False
        for row in csv.reader(itertools.chain([header], lines), delimiter=_delimiter(header), strict=True):
            lines.left = _LONGEST_ROW
            if any(value.strip() for value in row):
                yield row if has_header else [name.strip() for name in row]
                has_header = True


class _Lines(Iterator[str]):
    """Lines of a text, as few as make one row of bounded length, and no more than it had when it was opened."""

    def __init__(self, text: io.TextIOWrapper, size: int) -> None:
        self._text = text
        self._unread = size
        self.left = _LONGEST_ROW

    def __next__(self) -> str:
        line = self._text.readline(self.left + 1)
        self.left -= len(line)
        self._unread -= len(line)
        if self.left < 0:
            raise csv.Error(f"a row of more than {_LONGEST_ROW:,} characters")
        if self._unread < 0:
            raise csv.Error("it grows while it is read")
        if not line:
            raise StopIteration
        return line


def _delimiter(header: str) -> str:
    """Choose by the header: it has column names in it, so no delimiter is part of a value."""
    return max(",;\t|", key=header.count)


def _parquet_rows(path: Path, needed: Sequence[str]) -> Generator[list[str], None, None]:
    """Yield the header and the rows; columns of lists, structures and other bytes than text are not read."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("a Parquet file needs pyarrow: pip install 'featx[parquet]', or save as CSV") from None
    try:
        with open_regular(path) as stream:
            metadata = pyarrow.parquet.read_metadata(stream)
            schema = metadata.schema.to_arrow_schema()
            names = [field.name for field in schema if _is_text_or_number(field, (*needed, *_KNOWN))]
            _stop_if_bomb(path, metadata, names)
            yield names
            # As dictionaries, in which a text that is repeated a million times is held once.
            file = pyarrow.parquet.ParquetFile(stream, metadata=metadata, read_dictionary=names)
            for number in range(metadata.num_row_groups):
                part = file.read_row_group(number, columns=names, use_threads=False)
                columns = [[text for chunk in column.chunks for text in _texts(chunk)] for column in part.columns]
                yield from map(list, zip(*columns, strict=True))
    except FeatxError:
        raise
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # pyarrow raises ValueError, KeyError, NotImplementedError, MemoryError, ...
        raise DatasetError(f"{path} is no readable Parquet file: {error}") from None


def _is_text_or_number(field: Any, needed: Sequence[str]) -> bool:
    import pyarrow

    kinds = pyarrow.types
    if kinds.is_nested(field.type) or kinds.is_fixed_size_binary(field.type):
        return False
    is_bytes = kinds.is_binary(field.type) or kinds.is_large_binary(field.type)
    return field.name in needed or not is_bytes


def _stop_if_bomb(path: Path, metadata: Any, names: Collection[str]) -> None:
    _stop_if_many(path, metadata.num_columns, _MOST_COLUMNS, "columns")
    _stop_if_many(path, metadata.num_rows, _MOST_ROWS, "rows")
    _stop_if_many(path, metadata.num_row_groups * metadata.num_columns, _MOST_PARTS, "parts of columns")
    n_bytes = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        parts = [group.column(i) for i in range(group.num_columns)]
        n_bytes += sum(part.total_uncompressed_size for part in parts if part.path_in_schema in names)
    if n_bytes > _MOST_BYTES:
        raise DatasetError(f"{path} unpacks to {n_bytes:,} bytes; a manifest may have {_MOST_BYTES:,}")


def _texts(values: Any) -> list[str]:
    if hasattr(values, "dictionary"):
        words = _texts(values.dictionary)
        return ["" if at is None else words[at] for at in values.indices.to_pylist()]
    return ["" if value is None else str(value) for value in values.to_pylist()]
