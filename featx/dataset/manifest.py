"""A CSV or Parquet table of paths, labels, groups and splits."""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Any, TypeVar

from featx.dataset.layout import one_form, some
from featx.dataset.spelling import Spellings
from featx.dataset.splits import split_of
from featx.errors import DatasetError, MissingExtraError
from featx.images import image_format, looks_like_image
from featx.table import Sample

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
"""File names that can be a manifest."""

_T = TypeVar("_T")
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DECLARED = re.compile(r'"?sep=([,;\t|])"?[,;\t|]*\r?\n')
"""The first line that Excel writes and reads for itself."""

_MISSING = {"nan", "<na>", "#n/a", "#na", "#nv", "#ref!", "#value!", "#name?", "#num!", "#null!", "#div/0!"}
"""What pandas and spreadsheets write where a value is missing or wrong."""

# What Western European text has besides ASCII. Other code pages have letters where Windows-1252 has rarer ones and
# signs, or have several such letters in a row.
_WESTERN = set("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûü°µ²€–—‘’“”„«»\u00a0")
_NOT_WESTERN = re.compile(r"[^\x00-\x7f]{3}")


@dataclass(frozen=True)
class Manifest:
    """What a manifest lists.

    Parameters
    ----------
    samples : list of Sample
        In sample_id order, each once.
    remarks : tuple of str
        What was taken otherwise than it is written.
    """

    samples: list[Sample]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Table:
    """A table as text, with the number of each row for people."""

    header: list[str]
    rows: list[list[str]]
    numbers: list[int]
    remarks: tuple[str, ...] = ()
    unusable: dict[str, str] = field(default_factory=dict)
    """Columns that are not in the header, because they hold ``images``, or lists and records (``other``)."""


class _RowError(Exception):
    """A row that cannot be used; the message says why and what to do."""


def read_manifest(path: Path, path_column: str = "path", label_column: str = "label") -> Manifest:
    """Read the samples that a manifest lists; their paths are relative to its folder, or absolute and inside it.

    Parameters
    ----------
    path : path
        A ``.csv`` (any common delimiter or blanks, UTF-8, UTF-16 or Windows-1252, with or without a header) or
        ``.parquet`` file.
    path_column, label_column : str
        Names of the columns; ``group`` and ``split`` are read where they exist.

    Raises
    ------
    DatasetError
        Columns or labels missing, a path outside the folder or listed twice with two labels, an unknown split.
    MissingExtraError
        A Parquet file without pyarrow.
    """
    table = _with_header(path, _read_table(path, path_column), path_column, label_column)
    where = {name: table.header.index(name) for name in table.header}
    for parameter, column in (("--path-column", path_column), ("--label-column", label_column)):
        _check_column(path, table, parameter, column)
    optional = [where.get("group"), where.get("split")]
    others = [name for name in where if name and name not in (path_column, label_column, "group", "split")]
    inside = _inside(path.parent)

    def read(row: Sequence[str]) -> Sample:
        label = row[where[label_column]].strip()
        group, split = (_value(row[at]) or None if at is not None else None for at in optional)
        name = inside(row[where[path_column]])
        told = tuple((name, _value(row[where[name]])) for name in others)
        return Sample(name, _label(label), group, _split(split), told)

    samples = _each_row(path, table, read)
    if not samples:
        raise DatasetError(f"{path} lists no pictures")
    once, remarks = each_once(path, samples)
    return Manifest(once, (*table.remarks, *remarks))


def read_list(path: Path, path_column: str = "path") -> list[str]:
    """Read the paths that a manifest lists, relative to its folder, in its order; labels do not matter.

    Parameters
    ----------
    path : path
        As for :func:`read_manifest`.
    path_column : str
        If there is none of this name: the only column, or the only one whose first value is the path of a file.

    Raises
    ------
    DatasetError, MissingExtraError
        As for :func:`read_manifest`.
    """
    table = _with_header(path, _read_table(path, path_column), path_column, None)
    if path_column not in table.header:
        spellings = Spellings(path.parent)
        first = dict(zip(table.header, table.rows[0] if table.rows else (), strict=False))
        name_files = [name for name, cell in first.items() if spellings.find(posixpath.normpath(cell)) is not None]
        if len(table.header) == 1 or len(name_files) == 1:
            path_column = (name_files or table.header)[0]
    _check_column(path, table, "--path-column", path_column)
    inside, at = _inside(path.parent), table.header.index(path_column)
    names = _each_row(path, table, lambda row: inside(row[at]))
    if not names:
        raise DatasetError(f"{path} lists no images")
    return names


def each_once(path: Path, samples: Sequence[Sample]) -> tuple[list[Sample], list[str]]:
    """Return samples in sample_id order, each once, and remarks on those that were listed more than once.

    Raises
    ------
    DatasetError
        Rows of one image differ in label, group or split.
    """
    rows = defaultdict(list)
    for sample in samples:
        rows[sample.sample_id].append(sample)
    twice = {name: found for name, found in rows.items() if len(found) > 1}
    for what in ("label", "split", "group"):
        differ = {name: sorted({str(getattr(one, what)) for one in found}) for name, found in twice.items()}
        differ = {name: values for name, values in differ.items() if len(values) > 1}
        if differ:
            shown = some([f"{name} ({', '.join(values)})" for name, values in sorted(differ.items())])
            raise DatasetError(
                f"{path} lists {len(differ):,} {'image' if len(differ) == 1 else 'images'} more than once, with "
                f"different {what}s: {shown}; keep one row of each"
            )
    in_order = [rows[name][0] for name in sorted(rows, key=lambda name: name.split("/"))]
    if not twice:
        return in_order, []
    more = len(samples) - len(in_order)
    return in_order, [
        f"{more:,} {'row repeats' if more == 1 else 'rows repeat'} an image with the same label, which counts once: "
        f"{some(sorted(twice))}"
    ]


def _check_column(path: Path, table: _Table, parameter: str, column: str) -> None:
    images = [name for name, kind in table.unusable.items() if kind == "images"]
    if images and column not in table.header and (column in images or parameter == "--path-column"):
        raise DatasetError(
            f"column {some(images)} of {path} holds the images themselves, not paths; featx reads files: write each "
            "image to a file, and its path into a column (docs/commands.md shows how)"
        )
    if column in table.unusable:
        raise DatasetError(f"column {column!r} of {path} holds lists or records; needed are text or numbers")
    if column not in table.header:
        has = ", ".join(table.header)
        raise DatasetError(f"{path} has no column {column!r}; it has {has}. Name the right one with {parameter}")
    if table.header.count(column) > 1:
        raise DatasetError(f"{path} has {table.header.count(column)} columns {column!r}; rename all but one")


def _each_row(path: Path, table: _Table, read: Callable[[Sequence[str]], _T]) -> list[_T]:
    """Read all rows; those that cannot be used are counted, and the first is named."""
    read_rows = []
    faults: list[tuple[int, str]] = []
    for number, row in zip(table.numbers, table.rows, strict=True):
        try:
            if len(row) != len(table.header):
                raise _RowError(f"{len(row)} values for {len(table.header)} columns")
            read_rows.append(read(row))
        except _RowError as error:
            faults.append((number, str(error)))
    if faults:
        number, text = faults[0]
        n = len(faults)
        more = f" ({n:,} rows in all cannot be used, the last is row {faults[-1][0]})" if n > 1 else ""
        raise DatasetError(f"{path}, row {number}: {text}{more}")
    return read_rows


def _value(text: str) -> str:
    return "" if text.strip().lower() in _MISSING else text.strip()


def _label(text: str) -> str:
    if not text:
        raise _RowError("the label is missing; give one or take the row out")
    if text.lower() in _MISSING:
        raise _RowError(f"the label is {text!r}, as programs write a missing value; give one or take the row out")
    return one_form(text)


def _split(text: str | None) -> str | None:
    split = None if text is None else split_of(text)
    if text is not None and split is None:
        raise _RowError(f"the split is {text!r}; allowed are train, val, validation, test or nothing")
    return split


def _inside(folder: Path) -> Callable[[str], str]:
    """Return what turns a listed path into one relative to the manifest's folder, and refuses what lies outside."""
    tops = tuple(dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder))))

    def inside(name: str) -> str:
        text = name.strip().replace("\\", "/")
        if "\0" in text:
            raise _RowError("the path holds a NUL character, which no file name can; is this a CSV file?")
        path = posixpath.normpath(text)
        if path == ".":
            raise _RowError("the path is missing")
        has_drive = ":" in path and bool(PureWindowsPath(path).drive)
        if not path.startswith(("/", "../")) and path != ".." and not has_drive:
            return path
        below = None if has_drive and os.sep == "/" else _below(tops, path)
        if below is None and posixpath.isabs(path):  # through a link, as /tmp is on macOS
            below = _below(tops, posixpath.join(os.path.realpath(posixpath.dirname(path)), posixpath.basename(path)))
        if below is not None:
            return below
        raise _RowError(
            f"{name.strip()} lies outside the manifest's folder; give paths relative to it, "
            f"or put the manifest at the top of the pictures{_without_start(folder, path)}"
        )

    return inside


def _below(tops: Sequence[str], path: str) -> str | None:
    for top in tops:
        whole = os.path.normpath(os.path.join(top, path))
        if whole.startswith(top.rstrip(os.sep) + os.sep):
            return os.path.relpath(whole, top).replace(os.sep, "/")
    return None


def _without_start(folder: Path, path: str) -> str:
    """Say what to cut off a path where the rest of it is a file here: the list was made elsewhere."""
    parts = path.split("/")
    for at in range(1, min(len(parts), 50)):
        if (folder / "/".join(parts[at:])).is_file():
            return f" ({'/'.join(parts[at:])} is there: take {'/'.join(parts[:at])}/ out of the paths)"
    return ""


def _with_header(path: Path, table: _Table, path_column: str, label_column: str | None) -> _Table:
    """Return a table whose first row names columns; a first row that names an image is data.

    Columns of a table without a header are known by position where they are path and label, or by their first values.
    """
    spellings = Spellings(path.parent)

    def names_image(at: int) -> bool:
        if path_column in table.header or looks_like_image(table.header[at], b""):
            return looks_like_image(table.header[at], b"")
        column = [row[at] for row in (table.header, *table.rows[:1]) if at < len(row)]
        found = [
            spellings.find(posixpath.normpath(cell)) for cell in column
        ]  # image,label beside label.png is a header
        return all(one is not None and looks_like_image(one.name, b"") for one in found)

    paths = [at for at in range(len(table.header)) if names_image(at)]
    if not paths or path.suffix.lower() in (".parquet", ".pq"):
        return table
    first, header = table.header, list(table.header)
    if label_column is None:
        if path_column not in header:
            header = [path_column if at == paths[0] else f"column {at}" for at in range(len(first))]
    elif path_column not in header or label_column not in header:
        if len(header) != 2 or len(paths) != 1:
            names = ",".join("path" if at == paths[0] else f"name{at}" for at in range(len(first)))
            raise DatasetError(
                f"{path} has no header: its first row names the file {first[paths[0]]}. Name its columns in a first "
                f"line, as {names}, one of them label; or by that row: --path-column '{first[paths[0]]}' "
                "--label-column VALUE"
            )
        header = [path_column, label_column] if paths[0] == 0 else [label_column, path_column]
    remark = f"no header: the first row names the file {first[paths[0]]}, and is read like the others"
    return replace(
        table,
        header=header,
        rows=[first, *table.rows],
        numbers=[table.numbers[0] - 1 if table.numbers else 1, *table.numbers],
        remarks=(*table.remarks, remark),
    )


def _read_table(path: Path, path_column: str) -> _Table:
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    return _read_parquet(path) if is_parquet else _read_csv(path, path_column)


def _read_csv(path: Path, path_column: str) -> _Table:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None
    text, remarks = _decode(path, content)
    delimiter = _delimiter(text)
    if delimiter is None:
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
        numbers = [number for number, _ in lines]
        rows = _by_blanks(path, [line for _, line in lines], path_column)
    else:
        numbers, rows = _by_delimiter(path, text, delimiter)
    if not rows:
        raise DatasetError(f"{path} is empty; needed is a header with the columns path and label")
    header = [name.strip() for name in rows[0]]
    while len(header) > 1 and not header[-1]:  # a delimiter at the end of each line
        header.pop()
    for row in rows[1:]:
        while len(row) > len(header) and not row[-1].strip():
            row.pop()
    return _Table(header, rows[1:], numbers[1:], tuple(remarks))


def _by_delimiter(path: Path, text: str, delimiter: str) -> tuple[list[int], list[list[str]]]:
    """Return the rows of a CSV text that are not empty, and the line where each begins."""
    numbers, rows = [], []
    n_before = 0
    if declared := _DECLARED.match(text):
        n_before, text = 1, text[declared.end() :]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = n_before + 1
    try:
        for row in reader:
            if any(value.strip() for value in row):
                rows.append(row)
                numbers.append(line)
            line = n_before + reader.line_num + 1
    except csv.Error as error:
        raise DatasetError(f"{path} is no readable CSV: {error}") from None
    return numbers, rows


def _decode(path: Path, content: bytes) -> tuple[str, list[str]]:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding), []
    except UnicodeDecodeError as error:
        fault = f"{path} is not {'UTF-8' if encoding.startswith('utf-8') else 'UTF-16'} (byte {error.start})"
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        raise DatasetError(f"{fault}; save it as CSV UTF-8") from None
    odd = [c for c in text if not c.isascii()]
    if encoding != "utf-8" or not _WESTERN.issuperset(odd) or _NOT_WESTERN.search(text):
        raise DatasetError(f"{fault}, and not clearly in another code; save it as CSV UTF-8") from None
    word = next(word for word in re.findall(r"[^\s,;|\"]+", text) if not word.isascii())
    return text, [f"not UTF-8, but read as Windows-1252, as Excel saves CSV: one word is {word!r}"]


def _delimiter(text: str) -> str | None:
    """Choose by the header: it has column names in it, so no delimiter is part of a value; None for blanks."""
    if declared := _DECLARED.match(text):
        return declared[1]
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=header.count)
    return delimiter if delimiter in header else None


def _by_blanks(path: Path, lines: Sequence[str], path_column: str) -> list[list[str]]:
    """Divide lines at their blanks so that the first one names a file; names and labels may have blanks in them."""
    spellings = Spellings(path.parent)
    first = lines[0] if lines else ""

    def names_file(cell: str) -> bool:
        return spellings.find(posixpath.normpath(cell)) is not None

    whole = [[line.strip("\"'")] for line in lines]
    if first.split() == [path_column] or names_file(first) or len(first.split()) < 2:
        return whole
    ways: list[list[list[str]]] = [[re.split(r"\s{2,}|\t", line) for line in lines], [line.split() for line in lines]]
    ways = [rows for rows in ways if len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows)]
    ways += [[line.split(None, 1) for line in lines], [line.rsplit(None, 1) for line in lines]]
    for is_path in (names_file, lambda cell: looks_like_image(cell, b"")):
        for rows in ways:
            if path_column in rows[0] or any(map(is_path, rows[0])):
                return rows
    return whole


def _read_parquet(path: Path) -> _Table:
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("a Parquet file needs pyarrow: pip install 'featx[parquet]', or save as CSV") from None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            kinds = {field.name: _kind(file, field) for field in file.schema_arrow}
            table = file.read([name for name, kind in kinds.items() if kind == "text"])
    except (OSError, ValueError) as error:  # pyarrow's errors derive from ValueError or OSError
        raise DatasetError(f"{path} is no readable Parquet file: {error}") from None
    columns = [_texts(column.to_pylist()) for column in table.columns]
    rows = [list(row) for row in zip(*columns, strict=True)]
    unusable = {name: kind for name, kind in kinds.items() if kind != "text"}
    return _Table(list(table.column_names), rows, list(range(1, len(rows) + 1)), (), unusable)


def _kind(file: Any, column: Any) -> str:
    """Tell whether a column of a Parquet file holds text or numbers, images, or something else."""
    from pyarrow import types

    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    is_bytes = [types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view]
    if types.is_struct(kind):
        return "images" if any(test(part.type) for part in kind for test in is_bytes) else "other"
    if types.is_nested(kind):
        return "other"
    if not any(test(kind) for test in is_bytes):
        return "text"
    for batch in file.iter_batches(100, columns=[column.name]):
        value = next((value for value in batch.column(0).to_pylist() if value), b"")
        return "images" if image_format(value[:16]) else "text"
    return "text"


def _texts(values: Sequence[Any]) -> list[str]:
    """Return values as text; those that are missing are empty, and whole numbers have no point."""
    numbers = [value for value in values if isinstance(value, float) and value == value]
    are_whole = all(value.is_integer() for value in numbers)

    def text(value: Any) -> str:
        if value is None or value != value:
            return ""
        if isinstance(value, float) and are_whole:
            return str(int(value))
        return os.fsdecode(value) if isinstance(value, bytes) else str(value)

    return list(map(text, values))
