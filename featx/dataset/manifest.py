"""A CSV or Parquet table of paths, labels, groups and splits."""

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
from featx.dataset.splits import split_of
from featx.errors import DatasetError, FeatxError, MissingExtraError
from featx.files import open_regular
from featx.images import image_format, looks_like_image
from featx.source import source_beside
from featx.table import Sample, Split

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")
"""File names that can be a manifest."""

_T = TypeVar("_T")
_Row = tuple[int, list[str]]
"""A row with its number for people: the line where it begins, or its place in a Parquet file."""

_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DECLARED = re.compile(r'"?sep=([,;\t|])"?[,;\t|]*\r?\n')
"""The first line that Excel writes and reads for itself."""

_MISSING = {"nan", "<na>", "#n/a", "#na", "#nv", "#ref!", "#value!", "#name?", "#num!", "#null!", "#div/0!"}
"""What pandas and spreadsheets write where a value is missing or wrong."""

# What Western European text has besides ASCII. Other code pages have letters where Windows-1252 has rarer ones and
# signs, or have several such letters in a row.
_WESTERN = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûü°µ²€–—‘’“”„«»\u00a0".encode("cp1252")
_NOT_WESTERN = re.compile(rb"[\x80-\xff]{3}")
_WESTERN_WORD = re.compile(rb'[^\s,;|"]*[\x80-\xff][^\s,;|"]*')

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
_SAMPLED = 100
_PIECE = 1_000_000
_LARGEST_WHOLE = 2**53


Remark = Callable[[str], None]
"""Is told what was taken otherwise than it is written."""


def _ignore(text: str) -> None:
    pass


@dataclass(frozen=True)
class _Table:
    """A table as text, whose rows are read once, as they are asked for."""

    header: list[str]
    rows: Iterator[_Row]
    unusable: dict[str, str]
    """Columns that are not in the header, because they hold ``images``, or lists and records (``other``)."""


class _RowError(Exception):
    """A row that cannot be used; the message says why and what to do."""


def read_manifest(
    path: Path, path_column: str = "path", label_column: str = "label", remark: Remark = _ignore
) -> list[Sample]:
    """Read the samples that a manifest lists; their paths are relative to its folder, or absolute and inside it.

    Parameters
    ----------
    path : path
        A ``.csv`` (any common delimiter or blanks, UTF-8, UTF-16 or Windows-1252, with or without a header) or
        ``.parquet`` file, of at most 20 million rows, 1,000 columns and 2 GB.
    path_column, label_column : str
        Names of the columns; ``group`` and ``split`` are read where they exist.
    remark : callable
        Called with what was taken otherwise than it is written.

    Raises
    ------
    DatasetError
        Columns or labels missing, a path outside the folder or listed twice with two labels, an unknown split.
    MissingExtraError
        A Parquet file without pyarrow.
    """
    with _open_table(path, path_column, label_column, remark) as table:
        asked = (("path_column", path_column), ("label_column", label_column))
        if not table.unusable and not {path_column, label_column} & set(table.header):
            raise DatasetError(
                f"{path} has neither a column {path_column!r} nor {label_column!r}; it has {_columns_of(table)}. Name "
                "the right ones with `path_column` and `label_column`"
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
            remark(f"blanks around labels do not count: {first_few([repr(text) for text in blank])}")
        return samples


def read_list(path: Path, path_column: str = "path", remark: Remark = _ignore) -> list[str]:
    """Read the paths that a manifest lists, relative to its folder, in its order; labels do not matter.

    Parameters
    ----------
    path : path
        As for :func:`read_manifest`.
    path_column : str
        If there is none of this name: the only column, or the only one whose first value is the path of a file.
    remark : callable
        As for :func:`read_manifest`.

    Raises
    ------
    DatasetError, MissingExtraError
        As for :func:`read_manifest`.
    """
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
        names = list(_each_row(path, table, lambda row: inside(row[at])))
        if not names:
            raise DatasetError(f"{path} lists no images")
        return names


def drop_repeats(path: Path, samples: Iterable[Sample], remark: Remark) -> list[Sample]:
    """Return samples in sample_id order, each once; those that were listed more than once are remarked on.

    Raises
    ------
    DatasetError
        Rows of one image differ in label, group or split.
    """
    first: dict[str, Sample] = {}
    again = defaultdict(list)
    n = 0
    for sample in samples:
        n += 1
        if first.setdefault(sample.sample_id, sample) is not sample:
            again[sample.sample_id].append(sample)
    for what in ("label", "split", "group"):
        values = {name: {str(getattr(one, what)) for one in (first[name], *more)} for name, more in again.items()}
        differ = [f"{name} ({', '.join(sorted(found))})" for name, found in sorted(values.items()) if len(found) > 1]
        if differ:
            raise DatasetError(
                f"{path} lists {len(differ):,} {'image' if len(differ) == 1 else 'images'} more than once, with "
                f"different {what}s: {first_few(differ)}; keep one row of each"
            )
    in_order = sorted(first.values(), key=lambda sample: sample.sample_id.split("/"))
    more = n - len(in_order)
    if more:
        repeat = "row repeats" if more == 1 else "rows repeat"
        remark(f"{more:,} {repeat} an image with the same label, which counts once: {first_few(sorted(again))}")
    return in_order


def _check_column(path: Path, table: _Table, parameter: str, column: str) -> None:
    images = [name for name, kind in table.unusable.items() if kind == "images"]
    if images and column not in table.header and (column in images or parameter == "path_column"):
        raise DatasetError(
            f"column {first_few(images)} of {path} holds the images themselves, not paths; featx reads files: write "
            "each image to a file, and its path into a column (docs/commands.md shows how)"
        )
    if column in table.unusable:
        raise DatasetError(f"column {column!r} of {path} holds lists or records; needed are text or numbers")
    if column not in table.header:
        raise DatasetError(
            f"{path} has no column {shortened(column)!r}; it has {_columns_of(table)}. Name the right one with "
            f"`{parameter}`"
        )
    if table.header.count(column) > 1:
        raise DatasetError(f"{path} has {table.header.count(column)} columns {column!r}; rename all but one")


def _columns_of(table: _Table) -> str:
    more = len(table.header) - _MOST_NAMED
    has = ", ".join(name[:_MOST_SHOWN] for name in table.header[:_MOST_NAMED])
    return f"{has}, and {more:,} more" if more > 0 else has


def _each_row(path: Path, table: _Table, read: Callable[[Sequence[str]], _T]) -> Iterator[_T]:
    """Read all rows; those that cannot be used are counted, and the first is named."""
    faults, first, last = 0, "", 0
    for n, (number, row) in enumerate(table.rows, start=1):
        _stop_if_many(path, n, _MOST_ROWS, "rows")
        try:
            if len(row) != len(table.header):
                raise _RowError(f"{len(row)} values for {len(table.header)} columns")
            yield read(row)
        except _RowError as error:
            faults, first, last = faults + 1, first or f"{path}, row {number}: {error}", number
    if faults:
        more = f" ({faults:,} rows in all cannot be used, the last is row {last})" if faults > 1 else ""
        raise DatasetError(f"{first}{more}")


def _stop_if_many(path: Path, n: int, most: int, what: str) -> None:
    if n > most:
        raise DatasetError(f"{path} has more than {most:,} {what}, which is what a manifest may have")


def _value(text: str) -> str:
    return "" if text.strip().lower() in _MISSING else text.strip()


def _label(text: str) -> str:
    if not text:
        raise _RowError("the label is missing; give one or take the row out")
    if text.lower() in _MISSING:
        raise _RowError(f"the label is {text!r}, as programs write a missing value; give one or take the row out")
    return one_form(text)


def _split(text: str | None) -> Split | None:
    split = None if text is None else split_of(text)
    if text is not None and split is None:
        raise _RowError(f"the split is {text[:_MOST_SHOWN]!r}; allowed are train, val, validation, test or nothing")
    return split


def _inside(folder: Path) -> Callable[[str], str]:
    """Return what turns a listed path into one relative to the manifest's folder, and refuses what lies outside."""
    tops = tuple(dict.fromkeys((os.path.abspath(folder), os.path.realpath(folder))))

    def inside(name: str) -> str:
        if len(name) > _LONGEST_NAME:
            raise _RowError(f"a path of {len(name):,} characters, which no file has; is this a table of paths?")
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
            f"{shortened(name.strip())} lies outside the manifest's folder; give paths relative to it, "
            f"or put the manifest at the top of the images{_without_start(folder, path)}"
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
        if os.path.isfile(folder / "/".join(parts[at:])):  # False too where a name is too long for the system
            return f" ({'/'.join(parts[at:])} is there: take {'/'.join(parts[:at])}/ out of the paths)"
    return ""


@contextlib.contextmanager
def _open_table(path: Path, path_column: str, label_column: str | None, remark: Remark) -> Iterator[_Table]:
    """Open a table whose header names columns; what a first row says that names an image is data."""
    unusable: dict[str, str] = {}
    if path.suffix.lower() in (".parquet", ".pq"):
        rows = _parquet_rows(path, [name for name in (path_column, label_column) if name is not None], unusable)
    else:
        rows = _csv_rows(path, path_column, remark)
    with contextlib.closing(rows):
        number, header = next(rows, (0, []))
        if not header and not unusable:
            raise DatasetError(f"{path} is empty; needed is a header with the columns path and label")
        _stop_if_many(path, len(header), _MOST_COLUMNS, "columns")
        table = _Table(header, rows, unusable)
        yield table if number == 0 else _with_header(path, table, number, path_column, label_column, remark)


def _peek(table: _Table) -> tuple[list[str], _Table]:
    """Return the first row, empty if there is none, and the table with it."""
    first = next(table.rows, None)
    return ([], table) if first is None else (first[1], replace(table, rows=itertools.chain([first], table.rows)))


def _with_header(
    path: Path, table: _Table, number: int, path_column: str, label_column: str | None, remark: Remark
) -> _Table:
    """Return a table whose first row names columns; a first row that names an image is data.

    Columns of a table without a header are known by position where they are path and label, or by their first values.
    """
    first, header = table.header, list(table.header)
    second, table = _peek(table)
    spellings = Spellings(source_beside(path))

    def names_image(at: int) -> bool:
        if path_column in header or looks_like_image(header[at], b""):
            return looks_like_image(header[at], b"")
        column = [row[at] for row in (header, second) if at < len(row)]
        found = [
            spellings.find(posixpath.normpath(cell)) for cell in column
        ]  # image,label beside label.png is a header
        return all(one is not None and looks_like_image(one.name, b"") for one in found)

    paths = [at for at in range(len(header)) if names_image(at)]
    if not paths:
        return table
    if label_column is None:
        if path_column not in header:
            header = [path_column if at == paths[0] else f"column {at}" for at in range(len(first))]
    elif path_column not in header or label_column not in header:
        if len(header) != 2 or len(paths) != 1:
            names = ",".join("path" if at == paths[0] else f"name{at}" for at in range(len(first)))
            raise DatasetError(
                f"{path} has no header: its first row names the file {first[paths[0]]}. Name its columns in a first "
                f"line, as {names}, one of them label; or by that row: `path_column={first[paths[0]]}` "
                "`label_column=VALUE`"
            )
        header = [path_column, label_column] if paths[0] == 0 else [label_column, path_column]
    remark(f"no header: the first row names the file {first[paths[0]]}, and is read like the others")
    return replace(table, header=header, rows=itertools.chain([(number, first)], table.rows))


def _csv_rows(path: Path, path_column: str = "path", remark: Remark = _ignore) -> Generator[_Row, None, None]:
    """Yield the header and the rows that are not blank."""
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > _MOST_BYTES:
                raise DatasetError(f"{path} has {size:,} bytes; a manifest may have {_MOST_BYTES:,}")
            encoding, word = _encoding(path, stream)
            if word:
                remark(f"not UTF-8, but read as Windows-1252, as Excel saves CSV: one word is {word!r}")
            stream.seek(0)
            with io.TextIOWrapper(stream, encoding, newline="") as text:
                yield from _without_empty_ends(_rows_of(path, _Lines(text, size), path_column))
    except csv.Error as error:
        raise DatasetError(f"{path} is no readable CSV: {error}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not {error.encoding.upper()} ({error.reason}); save it as CSV UTF-8") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None


def _encoding(path: Path, stream: BinaryIO) -> tuple[str, str]:
    """Return the encoding of a text file and, where it is Windows-1252, a word that shows whether that is right.

    Raises
    ------
    DatasetError
        It is none that can be told.
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
            raise DatasetError(f"{fault}, and not clearly in another code; save it as CSV UTF-8")
        found = _WESTERN_WORD.search(piece)
        word, end = word or (found[0] if found else b""), piece[-2:]
    return "cp1252", word[:_MOST_SHOWN].decode("cp1252")


def _rows_of(path: Path, lines: _Lines, path_column: str) -> Iterator[_Row]:
    n_before, header = 0, next(lines, "")
    delimiter = max(",;\t|", key=header.count)  # by the header: column names have no delimiter in them
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


def _rows_by_blanks(path: Path, texts: Iterator[str], lines: _Lines, path_column: str) -> Iterator[_Row]:
    def told() -> Iterator[tuple[int, str]]:
        for number, text in enumerate(texts, start=1):
            lines.left = _LONGEST_ROW
            if text.strip():
                yield number, text.strip()

    numbered = told()
    some_lines = list(itertools.islice(numbered, _SAMPLED))
    divide = _divider(path, [text for _, text in some_lines], path_column)
    for number, text in itertools.chain(some_lines, numbered):
        yield number, divide(text)


def _divider(path: Path, lines: Sequence[str], path_column: str) -> Callable[[str], list[str]]:
    """Return what divides lines at their blanks so that the first one names a file; names may have blanks in them."""
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
    """Yield header and rows without the empty values that a delimiter at the end of each line makes."""
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


def _parquet_rows(path: Path, needed: Sequence[str], unusable: dict[str, str]) -> Generator[_Row, None, None]:
    """Yield the header and the rows; columns of lists, structures and other bytes than text are not read."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("a Parquet file needs pyarrow: pip install 'featx[parquet]', or save as CSV") from None
    try:
        with open_regular(path) as stream:
            metadata = pyarrow.parquet.read_metadata(stream)
            _stop_if_many(path, metadata.num_columns, _MOST_COLUMNS, "columns")
            file = pyarrow.parquet.ParquetFile(stream, metadata=metadata)
            kinds = {field.name: _kind(file, field, (*needed, *_KNOWN)) for field in metadata.schema.to_arrow_schema()}
            unusable |= {name: kind for name, kind in kinds.items() if kind != "text"}
            names = [name for name in kinds if name not in unusable]
            _stop_if_bomb(path, metadata, names)
            yield 0, names
            # As dictionaries, in which a text that is repeated a million times is held once.
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
        raise DatasetError(f"{path} is no readable Parquet file: {error}") from None


def _kind(file: Any, column: Any, needed: Sequence[str]) -> str:
    """Tell whether a column of a Parquet file holds text or numbers, images, or something else that is not read."""
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
    """Return how the first value of a column of bytes begins; empty where it is too large to be looked at."""
    parts = [file.metadata.row_group(0).column(i) for i in range(file.metadata.num_columns)][:_MOST_COLUMNS]
    if any(part.path_in_schema == name and part.total_uncompressed_size > _MOST_BYTES for part in parts):
        return b""
    for batch in file.iter_batches(1, columns=[name], use_threads=False):
        return bytes(batch.column(0)[0].as_py() or b"")[:16]
    return b""


def _stop_if_bomb(path: Path, metadata: Any, names: Collection[str]) -> None:
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
    return list(map(_text, values.to_pylist()))


def _text(value: Any) -> str:
    """Return a value as text: empty where it is missing, and whole numbers without a point."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_WHOLE:
        return str(int(value))
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)
