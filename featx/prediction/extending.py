"""Append rows to a table of predictions, and remove rows that they replace."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.output import import_pyarrow
from featx.prediction.known import row_keys

_BLOCK = 4096


class Removal:
    """Rows that are removed from a table.

    Parameters
    ----------
    keys : ndarray of shape (n,), S16
        Keys of the paths of these rows, see :func:`featx.prediction.known.row_keys`.
    folder : str
        Folder to which relative paths of the table are relative.
    """

    def __init__(self, keys: NDArray[np.bytes_], folder: str) -> None:
        self._keys = keys
        self._folder = folder

    def __bool__(self) -> bool:
        return len(self._keys) > 0

    def keeps(self, paths: list[str]) -> NDArray[np.bool_]:
        """Return for each path whether its row is kept."""
        return ~np.isin(row_keys(paths, self._folder), self._keys)


def join_tables(old: Path | None, new: Path, target: Path, suffix: str, removal: Removal) -> None:
    """Write the rows of a table and further rows to a file.

    Parameters
    ----------
    old : path or None
        The table; None if there is none yet.
    new : path
        Table of the further rows, with the same columns.
    target : path
        Existing file, which is overwritten.
    suffix : str
        Extension of the file name, which determines the format.
    removal : Removal
        Rows of ``old`` that are left out.
    """
    if old is None:
        shutil.copyfile(new, target)
    else:
        _JOINERS[suffix](old, new, target, removal)


def _join_csv(old: Path, new: Path, target: Path, removal: Removal) -> None:
    def copy_kept(table: Path) -> None:
        with table.open(encoding="utf-8", newline="") as given, target.open("w", encoding="utf-8", newline="") as copy:
            rows, writer = csv.reader(given, strict=True), csv.writer(copy, lineterminator="\n")
            writer.writerow(next(rows))
            for some in _in_blocks(rows):
                keeps = removal.keeps([row[0] for row in some]).tolist()
                writer.writerows(row for row, is_kept in zip(some, keeps, strict=True) if is_kept)

    _join_text(old, new, target, copy_kept if removal else None, n_head=1)


def _join_json_lines(old: Path, new: Path, target: Path, removal: Removal) -> None:
    def copy_kept(table: Path) -> None:
        with table.open("rb") as given, target.open("wb") as copy:
            for some in _in_blocks(given):
                keeps = removal.keeps([json.loads(line)["path"] for line in some]).tolist()
                copy.writelines(line for line, is_kept in zip(some, keeps, strict=True) if is_kept)

    _join_text(old, new, target, copy_kept if removal else None, n_head=0)


def _join_text(old: Path, new: Path, target: Path, copy_kept: Callable[[Path], None] | None, n_head: int) -> None:
    if copy_kept is None:
        shutil.copyfile(old, target)
    else:
        copy_kept(old)
    with new.open("rb") as rows, target.open("r+b") as table:
        end = table.seek(0, os.SEEK_END)
        if end:
            table.seek(end - 1)
            if table.read(1) != b"\n":  # an editor removed it
                table.write(b"\n")
        for _ in range(n_head):
            rows.readline()
        shutil.copyfileobj(rows, table)


def _join_parquet(old: Path, new: Path, target: Path, removal: Removal) -> None:
    _, parquet = import_pyarrow()
    with parquet.ParquetFile(new) as rows, parquet.ParquetWriter(target, rows.schema_arrow) as writer:
        with parquet.ParquetFile(old) as table:
            _copy_row_groups(table, writer, removal)
        _copy_row_groups(rows, writer, Removal(np.empty(0, "S16"), ""))


def remove_from_part(part: Path, target: Path, removal: Removal) -> bool:
    """Write the rows of a Parquet file that are kept to another file; return whether any row is removed."""
    _, parquet = import_pyarrow()
    with parquet.ParquetFile(part) as table:
        paths = table.read(["path"]).column("path").to_pylist()
        if removal.keeps(paths).all():
            return False
        with parquet.ParquetWriter(target, table.schema_arrow) as writer:
            _copy_row_groups(table, writer, removal)
    return True


def _copy_row_groups(table: Any, writer: Any, removal: Removal) -> None:
    pa, _ = import_pyarrow()
    for number in range(table.num_row_groups):
        group = table.read_row_group(number)
        if removal:
            group = group.filter(pa.array(removal.keeps(group.column("path").to_pylist())))
        writer.write_table(group.cast(writer.schema))


def _in_blocks(rows: Any) -> Any:
    block = []
    for row in rows:
        block.append(row)
        if len(block) == _BLOCK:
            yield block
            block = []
    if block:
        yield block


_JOINERS = {
    ".csv": _join_csv,
    ".jsonl": _join_json_lines,
    ".ndjson": _join_json_lines,
    ".parquet": _join_parquet,
}
