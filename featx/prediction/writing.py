"""Write a table of predictions in chunks, in CSV, JSON Lines or Parquet format."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from featx.galleries import Status
from featx.output import csv_path, escape_formula, import_pyarrow, utf8_text

CONTENT_HASH = "content_hash"
"""Last column of a table that later runs extend: the SHA-256 of the file of each image."""

_ROW_GROUP = 1 << 16

Values = tuple[Any, ...]
"""Values of one row of the table, in the order of the columns."""


class Row(NamedTuple):
    """Prediction for one image.

    Parameters
    ----------
    path, label : str
        Path of the image, and name of the predicted class; the label is empty if the status is not ``ok``.
    confidence : float or None
        Calibrated probability of the predicted class; None for a skipped image.
    status : {"ok", "rejected", "skipped"}
    seen : bool or None
        Whether the model was fitted on the image; None for a skipped image.
    reason : str
        Reason why the image was rejected or skipped; empty for other images.
    further : tuple
        Probabilities of all classes, then the further labels and their confidences; all None for a skipped image.
    """

    path: str
    label: str
    confidence: float | None
    status: Status
    seen: bool | None
    reason: str
    further: Values

    @property
    def values(self) -> Values:
        """Values of the row, in the order of the columns of the table."""
        return (*self[:-1], *self.further)


class TableWriter(Protocol):
    """Interface of the objects that write rows of a table to a file."""

    def write(self, rows: Sequence[Values]) -> None:
        """Append rows to the file."""

    def close(self) -> None:
        """Complete and close the file."""


def open_table(path: Path, kind: str, columns: Sequence[str]) -> TableWriter:
    """Return a writer of rows with the given columns; ``kind`` is the extension of the final name, such as ``.csv``."""
    return WRITERS[kind](path, columns)


class _CsvWriter:
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._stream = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._stream, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, rows: Sequence[Values]) -> None:
        self._writer.writerows([csv_path(path), *map(_csv_value, values)] for path, *values in rows)

    def close(self) -> None:
        self._stream.close()


class _JsonLinesWriter:
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._stream = path.open("w", encoding="utf-8", newline="\n")
        self._columns = columns

    def write(self, rows: Sequence[Values]) -> None:
        for row in rows:
            self._stream.write(json.dumps(dict(zip(self._columns, row, strict=True))) + "\n")

    def close(self) -> None:
        self._stream.close()


class ParquetWriter:
    """Write rows to a Parquet file, in row groups of at least 65,536 rows.

    Parameters
    ----------
    path : path
    columns : sequence of str
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        pa, parquet = import_pyarrow()
        texts = {"path", "label", "status", "reason", CONTENT_HASH}
        types = {"seen": pa.bool_(), **dict.fromkeys(texts, pa.string())}
        fields = [
            (name, types.get(name, pa.string() if name.startswith("label_") else pa.float64())) for name in columns
        ]
        self._pa, self._schema = pa, pa.schema(fields, {"featx.table": "predictions"})
        self._writer = parquet.ParquetWriter(path, self._schema)
        self._held: list[Any] = []

    def note(self, key: str, text: str) -> None:
        """Add an entry to the metadata of the file."""
        self._writer.add_key_value_metadata({key: text})

    def write(self, rows: Sequence[Values]) -> None:
        """Append rows to the file."""
        columns = [
            [utf8_text(value) if isinstance(value, str) else value for value in column]
            for column in zip(*rows, strict=True)
        ]
        arrays = [self._pa.array(c, f.type) for c, f in zip(columns, self._schema, strict=True)]
        self._held.append(self._pa.table(arrays, schema=self._schema))
        if sum(map(len, self._held)) >= _ROW_GROUP:
            self._write_held()

    def close(self) -> None:
        """Complete and close the file."""
        self._write_held()
        self._writer.close()

    def _write_held(self) -> None:
        if self._held:
            self._writer.write_table(self._pa.concat_tables(self._held).combine_chunks())
            self._held.clear()


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return escape_formula(value)
    return f"{value:.6f}" if isinstance(value, float) else value


WRITERS: dict[str, Callable[[Path, Sequence[str]], TableWriter]] = {
    ".csv": _CsvWriter,
    ".jsonl": _JsonLinesWriter,
    ".ndjson": _JsonLinesWriter,
    ".parquet": ParquetWriter,
}
"""Writer for each extension of the file name."""
