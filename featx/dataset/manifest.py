"""Read a manifest: a CSV or Parquet table of paths, labels, groups and splits."""

from __future__ import annotations

import codecs
import contextlib
import csv
import functools
import io
import itertools
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO, TypeVar

from featx.dataset.layout import first_few, one_form, shortened
from featx.dataset.spelling import Spellings
from featx.dataset.splits import exact_split_name
from featx.errors import DatasetError, FeatxError, MissingExtraError
from featx.images import image_format, looks_like_image
from featx.source import Place, place_of, relative_id, source_beside, without_query
from featx.table import Sample, Split

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
"""File name endings of manifests."""

_T = TypeVar("_T")
_Row = tuple[int, list[str]]
"""The number of a row for messages (its first line in a CSV file, its position in a Parquet file), and its values."""

_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DECLARED = re.compile(r'"?sep=([,;\t|])"?[,;\t|]*\r?\n')
"""Line before the header with which Excel states the delimiter."""

_MISSING = {"nan", "<na>", "#n/a", "#na", "#nv", "#ref!", "#value!", "#name?", "#num!", "#null!", "#div/0!"}
"""Texts that pandas and spreadsheet programs write for a missing or invalid value."""

# Characters of Western European text besides ASCII. If text in another code page is read as Windows-1252, rare letters
# or signs occur, or several of these characters in a row.
_WESTERN = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûü°µ²€–—‘’“”„«»\u00a0".encode("cp1252")
_NOT_WESTERN = re.compile(rb"[\x80-\xff]{3}")
_WESTERN_WORD = re.compile(rb'[^\s,;|"]*[\x80-\xff][^\s,;|"]*')

_MOST_BYTES = 2_000_000_000
_MOST_ROWS = 20_000_000
_MOST_COLUMNS = 1_000
_LONGEST_ROW = 1_000_000
"""Maximum length of a row in characters; a file with longer rows is not a table."""

LONGEST_NAME = 10_000
"""Maximum length of a path in characters; no system opens longer paths."""

_KNOWN = ("group", "split")
_MOST_PARTS = 1_000_000
_MOST_NAMED = 50
_MOST_SHOWN = 100
_SAMPLED = 100
_PIECE = 1_000_000
_LARGEST_WHOLE = 2**53


Remark = Callable[[str], None]
"""Function that is called with a message when the manifest is not read literally."""


def _ignore(text: str) -> None:
    pass


@dataclass(frozen=True)
class _Table:
    """A table of text, whose rows are read on demand and only once."""

    header: list[str]
    rows: Iterator[_Row]
    unusable: dict[str, str]
    """Columns that are not read, with the reason: they contain ``images``, or lists and records (``other``)."""


class _RowError(Exception):
    """A row cannot be used; the message states the reason and what to do."""


def read_manifest(
    path: Place, path_column: str = "path", label_column: str = "label", remark: Remark = _ignore
) -> list[Sample]:
    """Return the samples of a manifest.

    The paths in a manifest are relative to its folder, or absolute paths of files inside this folder.

    Parameters
    ----------
    path : path
        A text file (``.csv``, ``.tsv`` or ``.txt``; any common delimiter or blanks; UTF-8, UTF-16 or Windows-1252; with
        or without a header) or a Parquet file (``.parquet`` or ``.pq``), of at most 20 million rows, 1,000 columns and
        2 GB.
    path_column, label_column : str
        Names of the columns of paths and labels. The columns ``group`` and ``split`` are read if they exist.
    remark : callable
        Called with a message if the manifest is not read literally, for example if repeated rows are ignored.

    Returns
    -------
    list of Sample
        In sample_id order.

    Raises
    ------
    DatasetError
        If the file cannot be read, a column or a label is missing, a path is outside the folder, an image has two
        labels, or a split is unknown.
    MissingExtraError
        If pyarrow is needed for Parquet and is not installed.
    """
    with _open_table(path, path_column, label_column, remark) as table:
        asked = (("path_column", path_column), ("label_column", label_column))
        if not table.unusable and not {path_column, label_column} & set(table.header):
            raise DatasetError(
                f"{path} has neither a column {path_column!r} nor a column {label_column!r}; its columns are "
                f"{_columns_of(table)}. Choose two of them with `path_column` and `label_column`"
            )
        for parameter, column in asked:
            _check_column(path, table, parameter, column)
        where = {name: table.header.index(name) for name in table.header}
        optional = [where.get(name) for name in _KNOWN]
        others = [name for name in where if name and name not in (path_column, label_column, *_KNOWN)]
        inside = _inside(path.parent)
        written: set[str] = set()

        @functools.cache  # few labels, many rows
        def label_of(text: str) -> str:
            written.add(text)
            return _label(text.strip())

        def read(row: Sequence[str]) -> Sample:
            group, split = (_value(row[at]) or None if at is not None else None for at in optional)
            name, label = inside(row[where[path_column]]), label_of(row[where[label_column]])
            return Sample(name, label, group, _split(split), tuple((name, _value(row[where[name]])) for name in others))

        samples = drop_repeats(path, _each_row(path, table, read), remark)
        if not samples:
            raise DatasetError(f"{path} lists no images")
        blank = sorted(text for text in written if text.strip() != text and text.strip() in written)
        if blank:
            remark(f"blanks around labels are ignored: {first_few([repr(text) for text in blank])}")
        return samples


def read_paths(path: Place, path_column: str = "path", remark: Remark = _ignore) -> list[str]:
    """Return the paths in a manifest, in the order of the rows and relative to the folder of the manifest.

    Parameters
    ----------
    path : path
        As for :func:`read_manifest`.
    path_column : str
        Name of the column. If there is no such column, the only column is used, or the only column whose first value is
        the path of a file.
    remark : callable
        As for :func:`read_manifest`.

    Raises
    ------
    DatasetError
        If the file cannot be read, the column is missing, or a path is outside the folder.
    MissingExtraError
        If pyarrow is needed for Parquet and is not installed.
    """
    return list(stream_paths(path, path_column, remark))


def stream_paths(path: Place, path_column: str = "path", remark: Remark = _ignore) -> Iterator[str]:
    """Yield the paths that :func:`read_paths` returns; errors of rows are raised after the last row."""
    with _open_table(path, path_column, None, remark) as table:
        first, table = _peek(table)
        if path_column not in table.header:
            spellings = Spellings(source_beside(path))
            cells = zip(table.header, first, strict=False)
            files = [name for name, cell in cells if spellings.find(posixpath.normpath(cell)) is not None]
            if len(table.header) == 1 or len(files) == 1:
                path_column = (files or table.header)[0]
        _check_column(path, table, "path_column", path_column)
        inside, at = _inside(path.parent), table.header.index(path_column)
        is_empty = True
        for name in _each_row(path, table, lambda row: inside(row[at])):
            is_empty = False
            yield name
        if is_empty:
            raise DatasetError(f"{path} lists no images")


def drop_repeats(path: Place, samples: Iterable[Sample], remark: Remark) -> list[Sample]:
    """Return the samples in sample_id order, without repeated rows, which cause a remark.

    Raises
    ------
    DatasetError
        If rows of the same image differ in label, group or split.
    """
    first: dict[str, Sample] = {}
    repeats = defaultdict(list)
    n = 0
    for sample in samples:
        n += 1
        if first.setdefault(sample.sample_id, sample) is not sample:
            repeats[sample.sample_id].append(sample)
    for column in ("label", "split", "group"):
        values = {name: {str(getattr(row, column)) for row in (first[name], *more)} for name, more in repeats.items()}
        differ = [f"{name} ({', '.join(sorted(texts))})" for name, texts in sorted(values.items()) if len(texts) > 1]
        if differ:
            raise DatasetError(
                f"{path} lists {len(differ):,} {'image' if len(differ) == 1 else 'images'} more than once, with "
                f"different {column}s: {first_few(differ)}; keep one row for each image"
            )
    # No path contains a zero byte: this is the order of the parts of the paths.
    in_order = sorted(first.values(), key=lambda sample: sample.sample_id.replace("/", "\0"))
    more = n - len(in_order)
    if more:
        repeat = "row repeats" if more == 1 else "rows repeat"
        remark(f"{more:,} {repeat} an image with the same label; each image is used once: {first_few(sorted(repeats))}")
    return in_order


def _check_column(path: Place, table: _Table, parameter: str, column: str) -> None:
    images = [name for name, kind in table.unusable.items() if kind == "images"]
    if images and column not in table.header and (column in images or parameter == "path_column"):
        raise DatasetError(
            f"column {first_few(images)} of {path} contains images; expected paths. Write each image to a file, and "
            "the paths of the files into a column (docs/commands.md shows how)"
        )
    if column in table.unusable:
        raise DatasetError(f"column {column!r} of {path} contains lists or records; expected text or numbers")
    if column not in table.header:
        raise DatasetError(
            f"{path} has no column {shortened(column)!r}; its columns are {_columns_of(table)}. Choose one with "
            f"`{parameter}`"
        )
    if table.header.count(column) > 1:
        raise DatasetError(f"{path} has {table.header.count(column)} columns {column!r}; rename all but one")


def _columns_of(table: _Table) -> str:
    more = len(table.header) - _MOST_NAMED
    has = ", ".join(without_query(name)[:_MOST_SHOWN] for name in table.header[:_MOST_NAMED])
    return f"{has}, and {more:,} more" if more > 0 else has


def _each_row(path: Place, table: _Table, read: Callable[[Sequence[str]], _T]) -> Iterator[_T]:
    """Yield the values that ``read`` returns for all rows; then raise one error for all rows that cannot be used."""
    faults, first, last = 0, "", 0
    for n, (number, row) in enumerate(table.rows, start=1):
        _stop_if_many(path, n, _MOST_ROWS, "rows")
        try:
            if len(row) != len(table.header):
                raise _RowError(f"the row has {len(row)} values; expected {len(table.header)}, one for each column")
            yield read(row)
        except _RowError as error:
            faults, first, last = faults + 1, first or f"{path}, row {number}: {error}", number
    if faults:
        more = f" ({faults:,} rows cannot be used; the last is row {last})" if faults > 1 else ""
        raise DatasetError(f"{first}{more}")


def _stop_if_many(path: Place, n: int, most: int, what: str) -> None:
    if n > most:
        raise DatasetError(f"{path} has more than {most:,} {what}, the maximum for a manifest")


def _value(text: str) -> str:
    text = text.strip()
    return _short_value(text) if len(text) <= _MOST_SHOWN else text


@functools.lru_cache(10_000)  # most columns have few values, each of which is then stored once
def _short_value(text: str) -> str:
    return "" if text.lower() in _MISSING else text


def _label(text: str) -> str:
    if not text:
        raise _RowError("the label is missing; add a label or remove the row")
    if text.lower() in _MISSING:
        raise _RowError(f"the label {text!r} stands for a missing value; add a label or remove the row")
    return one_form(text)


def _split(text: str | None) -> Split | None:
    split = None if text is None else exact_split_name(text)
    if text is not None and split is None:
        raise _RowError(f"the split is {text[:_MOST_SHOWN]!r}; expected train, val, validation, test or an empty value")
    return split


def _inside(folder: Place) -> Callable[[str], str]:
    """Return a function that converts a listed path to a path relative to the folder of the manifest.

    The function raises ``_RowError`` for a path outside this folder.
    """
    tops: tuple[str, ...] = ()
    if isinstance(folder, Path):
        tops = tuple(dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder))))

    def inside(name: str) -> str:
        if len(name) > LONGEST_NAME:
            raise _RowError(
                f"the path has {len(name):,} characters, but no file has such a long path; check that the column "
                "contains paths"
            )
        text = name.strip().replace("\\", "/")
        if "\0" in text:
            raise _RowError(
                "the path contains a NUL character, which no file name can contain; check that this is a CSV file"
            )
        place = place_of(text)
        if not isinstance(place, Path):
            return relative_id(place)
        path = posixpath.normpath(text)
        if path == ".":
            raise _RowError("the path is missing")
        has_drive = ":" in path and bool(PureWindowsPath(path).drive)
        if not path.startswith(("/", "../")) and path != ".." and not has_drive:
            return path
        below = None if has_drive and os.sep == "/" else _below(tops, path)
        if below is None and posixpath.isabs(path):  # the path may contain a link, such as /tmp on macOS
            below = _below(tops, posixpath.join(os.path.realpath(posixpath.dirname(path)), posixpath.basename(path)))
        if below is not None:
            return below
        raise _RowError(
            f"{shortened(name.strip())} is outside the folder of the manifest; give paths relative to this folder, "
            f"or move the manifest to the top folder of the images{_without_start(folder, path)}"
        )

    return inside


def _below(tops: Sequence[str], path: str) -> str | None:
    for top in tops:
        whole = os.path.normpath(os.path.join(top, path))
        if whole.startswith(top.rstrip(os.sep) + os.sep):
            return os.path.relpath(whole, top).replace(os.sep, "/")
    return None


def _without_start(folder: Place, path: str) -> str:
    """Return advice to remove the start of a path if the rest is the path of a file, else an empty text."""
    parts = path.split("/")
    for at in range(1, min(len(parts), 50)):
        if isinstance(folder, Path) and os.path.isfile(
            folder / "/".join(parts[at:])
        ):  # False also if a name is too long for the system
            return f" ({'/'.join(parts[at:])} exists: remove {'/'.join(parts[:at])}/ from the paths)"
    return ""


@contextlib.contextmanager
def _open_table(path: Place, path_column: str, label_column: str | None, remark: Remark) -> Iterator[_Table]:
    """Open a table and read the header; a first row that contains the path of an image is data, not a header."""
    unusable: dict[str, str] = {}
    if path.suffix.lower() in (".parquet", ".pq"):
        rows = _parquet_rows(path, [name for name in (path_column, label_column) if name is not None], unusable)
    else:
        rows = _csv_rows(path, path_column, remark)
    with contextlib.closing(rows):
        number, header = next(rows, (0, []))
        if not header and not unusable:
            raise DatasetError(f"{path} is empty; expected a header with the columns path and label")
        _stop_if_many(path, len(header), _MOST_COLUMNS, "columns")
        table = _Table(header, rows, unusable)
        yield table if number == 0 else _with_header(path, table, number, path_column, label_column, remark)


def _peek(table: _Table) -> tuple[list[str], _Table]:
    """Return the first row (empty if there is none), and a table that still contains this row."""
    first = next(table.rows, None)
    return ([], table) if first is None else (first[1], replace(table, rows=itertools.chain([first], table.rows)))


def _with_header(
    path: Place, table: _Table, number: int, path_column: str, label_column: str | None, remark: Remark
) -> _Table:
    """Return the table with column names if the first row is not a header, but contains the path of an image.

    The columns of a table with two columns are named ``path_column`` and ``label_column``. In other tables, a column is
    identified by the value in its first row.
    """
    first, header = table.header, list(table.header)
    second, table = _peek(table)
    spellings = Spellings(source_beside(path))

    def names_image(at: int) -> bool:
        if path_column in header or looks_like_image(without_query(header[at]), b""):
            return looks_like_image(without_query(header[at]), b"")
        # Both rows must name a file: "image,label" is a header even if there is a file label.png.
        column = [row[at] for row in (header, second) if at < len(row)]
        files = [spellings.find(posixpath.normpath(cell)) for cell in column]
        return all(file is not None and looks_like_image(file.name, b"") for file in files)

    paths = [at for at in range(len(header)) if names_image(at)]
    if not paths:
        return table
    if label_column is None:
        if path_column not in header:
            header = [path_column if at == paths[0] else f"column {at}" for at in range(len(first))]
    elif path_column not in header or label_column not in header:
        if len(header) != 2 or len(paths) != 1:
            names = ",".join("path" if at == paths[0] else f"name{at}" for at in range(len(first)))
            image = without_query(first[paths[0]])
            raise DatasetError(
                f"{path} has no header: its first row contains the file {image}. Add a first line with the column "
                f"names, such as {names}, where one name is label; or choose the columns by their values in the first "
                f"row: `path_column={image}` `label_column=VALUE`"
            )
        header = [path_column, label_column] if paths[0] == 0 else [label_column, path_column]
    remark(f"no header: the first row contains the file {without_query(first[paths[0]])} and is read as data")
    return replace(table, header=header, rows=itertools.chain([(number, first)], table.rows))


def _csv_rows(path: Place, path_column: str = "path", remark: Remark = _ignore) -> Generator[_Row, None, None]:
    """Yield the header and the rows of a text file, without blank rows."""
    try:
        with source_beside(path).open(path.name) as file:
            stream, size = file.stream, file.stamp().size
            if size > _MOST_BYTES:
                raise DatasetError(f"{path} has {size:,} bytes; a manifest may have at most {_MOST_BYTES:,}")
            encoding, word = _encoding(path, stream)
            if word:
                remark(f"not UTF-8; read as Windows-1252, which Excel uses for CSV. Is the word {word!r} correct?")
            stream.seek(0)
            with io.TextIOWrapper(stream, encoding, newline="") as text:
                yield from _without_empty_ends(_rows_of(path, _Lines(text, size), path_column))
    except csv.Error as error:
        raise DatasetError(f"{path} is not a readable CSV file: {error}") from None
    except UnicodeDecodeError as error:
        encoding = error.encoding.upper()
        raise DatasetError(f"{path} is not {encoding} ({error.reason}); save the table as CSV UTF-8") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None


def _encoding(path: Place, stream: BinaryIO) -> tuple[str, str]:
    """Return the encoding of a text file and, for Windows-1252, a word with which users can check the encoding.

    Raises
    ------
    DatasetError
        If the encoding cannot be determined.
    """
    mark = stream.read(4)
    encoding = next((name for known, name in _BYTE_ORDER_MARKS if mark.startswith(known)), "utf-8")
    decoder = codecs.getincrementaldecoder(encoding)()
    stream.seek(0)
    try:
        for piece in iter(lambda: stream.read(_PIECE), b""):
            decoder.decode(piece)
        decoder.decode(b"", final=True)
        return encoding, ""
    except UnicodeDecodeError as error:
        fault = f"{path} is not {encoding.removesuffix('-sig').upper()} ({error.reason})"
    stream.seek(0)
    word, end = b"", b""
    for piece in iter(lambda: stream.read(_PIECE), b""):
        if encoding != "utf-8" or set(piece) - set(range(128)) - set(_WESTERN) or _NOT_WESTERN.search(end + piece):
            raise DatasetError(f"{fault}, and its encoding cannot be determined; save the table as CSV UTF-8")
        match = _WESTERN_WORD.search(piece)
        word, end = word or (match[0] if match else b""), piece[-2:]
    return "cp1252", word[:_MOST_SHOWN].decode("cp1252")


def _rows_of(path: Place, lines: _Lines, path_column: str) -> Iterator[_Row]:
    n_before, header = 0, next(lines, "")
    delimiter = max(",;\t|", key=header.count)  # column names contain no delimiter, values may
    if declared := _DECLARED.match(header):
        delimiter, n_before, header = declared[1], 1, next(lines, "")
    if delimiter not in header and not n_before:
        yield from _rows_by_blanks(path, itertools.chain([header], lines), lines, path_column)
        return
    reader = csv.reader(itertools.chain([header], lines), delimiter=delimiter, strict=True)
    number = n_before + 1
    for row in reader:
        lines.left = _LONGEST_ROW
        if any(value.strip() for value in row):
            yield number, row
        number = n_before + reader.line_num + 1


def _rows_by_blanks(path: Place, texts: Iterator[str], lines: _Lines, path_column: str) -> Iterator[_Row]:
    def numbered_lines() -> Iterator[tuple[int, str]]:
        for number, text in enumerate(texts, start=1):
            lines.left = _LONGEST_ROW
            if text.strip():
                yield number, text.strip()

    numbered = numbered_lines()
    some_lines = list(itertools.islice(numbered, _SAMPLED))
    divide = _divider(path, [text for _, text in some_lines], path_column)
    for number, text in itertools.chain(some_lines, numbered):
        yield number, divide(text)


def _divider(path: Place, lines: Sequence[str], path_column: str) -> Callable[[str], list[str]]:
    """Return a function that splits a line into cells at blanks.

    File names may contain blanks. Therefore the function is chosen so that a cell of the first line is the path of a
    file or the name of the column of paths.
    """
    spellings = Spellings(source_beside(path))
    first = lines[0] if lines else ""

    def whole(line: str) -> list[str]:
        return [line.strip("\"'")]

    def names_file(cell: str) -> bool:
        return spellings.find(posixpath.normpath(cell)) is not None

    if first.split() == [path_column] or names_file(first) or len(first.split()) < 2:
        return whole
    ways: list[Callable[[str], list[str]]] = [lambda line: re.split(r"\s{2,}|\t", line), str.split]
    ways = [way for way in ways if len(way(first)) > 1 and all(len(way(line)) == len(way(first)) for line in lines)]
    ways += [lambda line: line.split(None, 1), lambda line: line.rsplit(None, 1)]
    for is_path in (names_file, lambda cell: looks_like_image(cell, b"")):
        for way in ways:
            if path_column in way(first) or any(map(is_path, way(first))):
                return way
    return whole


def _without_empty_ends(rows: Iterator[_Row]) -> Iterator[_Row]:
    """Yield the header and the rows without empty values at the end, which delimiters at the end of lines cause."""
    for number, header in itertools.islice(rows, 1):
        names = [name.strip() for name in header]
        while len(names) > 1 and not names[-1]:
            names.pop()
        yield number, names
        for place, row in rows:
            while len(row) > len(names) and not row[-1].strip():
                row.pop()
            yield place, row


class _Lines(Iterator[str]):
    """Lines of a text file; an error is raised if a row is too long, or if the file has grown since it was opened.

    ``left`` is the number of characters that the current row may still have. The caller resets ``left`` after each row.
    """

    def __init__(self, text: io.TextIOWrapper, size: int) -> None:
        self._text = text
        self._unread = size
        self.left = _LONGEST_ROW

    def __next__(self) -> str:
        line = self._text.readline(self.left + 1)
        self.left -= len(line)
        self._unread -= len(line)
        if self.left < 0:
            raise csv.Error(f"a row has more than {_LONGEST_ROW:,} characters")
        if self._unread < 0:
            raise csv.Error("the file grew while it was read")
        if not line:
            raise StopIteration
        return line


def _parquet_rows(path: Place, needed: Sequence[str], unusable: dict[str, str]) -> Generator[_Row, None, None]:
    """Yield the header and the rows of a Parquet file; columns of lists, records and binary data are left out."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError(
            "reading a Parquet file requires pyarrow: pip install 'featx[parquet]', or save the table as CSV"
        ) from None
    try:
        with source_beside(path).open(path.name) as file:
            stream = file.stream
            metadata = pyarrow.parquet.read_metadata(stream)
            _stop_if_many(path, metadata.num_columns, _MOST_COLUMNS, "columns")
            file = pyarrow.parquet.ParquetFile(stream, metadata=metadata)
            kinds = {field.name: _kind(file, field, (*needed, *_KNOWN)) for field in metadata.schema.to_arrow_schema()}
            unusable |= {name: kind for name, kind in kinds.items() if kind != "text"}
            names = [name for name in kinds if name not in unusable]
            _stop_if_bomb(path, metadata, names)
            yield 0, names
            # Columns are read as dictionaries, which store a repeated text only once.
            file = pyarrow.parquet.ParquetFile(stream, metadata=metadata, read_dictionary=names)
            numbers = itertools.count(2)  # as in a CSV file, whose header is row 1
            for number in range(metadata.num_row_groups):
                part = file.read_row_group(number, columns=names, use_threads=False)
                columns = [[text for chunk in column.chunks for text in _texts(chunk)] for column in part.columns]
                yield from ((next(numbers), list(row)) for row in zip(*columns, strict=True))
    except FeatxError:
        raise
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # pyarrow raises ValueError, KeyError, NotImplementedError, MemoryError, ...
        raise DatasetError(f"{path} is not a readable Parquet file: {error}") from None


def _kind(file: Any, column: Any, needed: Sequence[str]) -> str:
    """Return the kind of a Parquet column: ``text`` (also for numbers), ``images`` or ``other`` (not read)."""
    from pyarrow import types

    def is_bytes(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))

    if types.is_struct(column.type):
        return "images" if any(is_bytes(part.type) for part in column.type) else "other"
    if types.is_nested(column.type):
        return "other"
    if not is_bytes(column.type):
        return "text"
    first = _first_bytes(file, column.name)
    if image_format(first) is not None:
        return "images"
    return "text" if column.name in needed and not types.is_fixed_size_binary(column.type) else "other"


def _first_bytes(file: Any, name: str) -> bytes:
    """Return the first bytes of the first value of a binary column; empty if the column is too large."""
    parts = [file.metadata.row_group(0).column(i) for i in range(file.metadata.num_columns)][:_MOST_COLUMNS]
    if any(part.path_in_schema == name and part.total_uncompressed_size > _MOST_BYTES for part in parts):
        return b""
    for batch in file.iter_batches(1, columns=[name], use_threads=False):
        return bytes(batch.column(0)[0].as_py() or b"")[:16]
    return b""


def _stop_if_bomb(path: Place, metadata: Any, names: Collection[str]) -> None:
    _stop_if_many(path, metadata.num_rows, _MOST_ROWS, "rows")
    _stop_if_many(path, metadata.num_row_groups * metadata.num_columns, _MOST_PARTS, "parts of columns")
    n_bytes = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        parts = [group.column(i) for i in range(group.num_columns)]
        n_bytes += sum(part.total_uncompressed_size for part in parts if part.path_in_schema in names)
    if n_bytes > _MOST_BYTES:
        raise DatasetError(f"{path} decompresses to {n_bytes:,} bytes; a manifest may have at most {_MOST_BYTES:,}")


def _texts(values: Any) -> list[str]:
    if hasattr(values, "dictionary"):
        words = _texts(values.dictionary)
        return ["" if at is None else words[at] for at in values.indices.to_pylist()]
    return list(map(_text, values.to_pylist()))


def _text(value: Any) -> str:
    """Return a value as text: an empty text for a missing value, and integers without a decimal point."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_WHOLE:
        return str(int(value))
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)
