"""A folder of Parquet files that together are one table, which is complete only when its marker is there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError, OutputError
from featx.extraction import ImageBlock
from featx.files import is_regular, temporary_file
from featx.output import import_pyarrow, locked_output, reason_of, replace_file
from featx.prediction.counts import RowCounts
from featx.prediction.extending import Removal, remove_from_part
from featx.prediction.known import KnownRows, read_known
from featx.prediction.record import TableRecord, read_record
from featx.prediction.writing import WRITERS, ParquetWriter, Row

MARKER = "_SUCCESS"
"""Empty file that marks a complete folder, as Spark and Hadoop write it; readers of Parquet ignore it."""

RECORD = "_featx.json"
"""Record of the run that wrote the folder; readers of Parquet ignore it."""

_LOCK = ".lock"
_PART = re.compile(r"part-(\d{5,9})\.parquet")
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp")
_NOTE = "featx.part"


class PartsFolder:
    """A folder of parts; see the module.

    Parameters
    ----------
    folder : path
        New or empty folder, or a folder of parts of an earlier run.

    Raises
    ------
    OutputError
        If the folder cannot be used.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        import_pyarrow()
        try:
            parent = os.stat(folder.parent)
            if not stat.S_ISDIR(parent.st_mode):
                raise NotADirectoryError(0, f"{folder.parent} is not a folder; choose another folder")
            if folder.exists():
                self._check_content()
        except FileNotFoundError:
            raise OutputError(
                f"`output={folder}`: the folder {folder.parent} does not exist; create it, or choose another folder"
            ) from None
        except (OSError, ValueError) as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"`output={folder}`: {reason_of(error)}") from None

    def _check_content(self) -> None:
        if not self.path.is_dir():
            raise OutputError(
                f"`output={self.path}` is not a folder; give a new folder for Parquet parts, or a name that ends in "
                ".csv, .jsonl, .ndjson or .parquet"
            )
        others = {name for name in os.listdir(self.path) if name != _LOCK and not _TEMPORARY.fullmatch(name)}
        if others and not is_regular(self.path / RECORD):
            raise OutputError(
                f"`output={self.path}`: the folder is not empty and was not made by featx; choose another folder"
            )

    @contextlib.contextmanager
    def locked(self, notice: Callable[[str], None]) -> Iterator[None]:
        """Create and lock the folder, and finish a change that a killed run began; a second run waits."""
        with self._written(self.path):
            self.path.mkdir(exist_ok=True)
        with locked_output(self.path / _LOCK, self.path, notice):
            self._check_content()
            with self._written(self.path):
                self._finish_pending()
                for name in os.listdir(self.path):
                    if _TEMPORARY.fullmatch(name) and is_regular(self.path / name):
                        (self.path / name).unlink()
            yield

    @property
    def record(self) -> TableRecord | None:
        """Record of the run that wrote the folder; None for a new folder."""
        path = self.path / RECORD
        return read_record(path, self.path) if is_regular(path) else None

    @property
    def is_complete(self) -> bool:
        """Whether the marker is there."""
        return is_regular(self.path / MARKER)

    @property
    def numbers(self) -> list[int]:
        """Numbers of the parts, in ascending order."""
        found = [_PART.fullmatch(name) for name in os.listdir(self.path)]
        return sorted(int(one[1]) for one in found if one)

    def begin(self, record: TableRecord) -> None:
        """Delete all parts, and write the record of a new table."""
        with self._written(self.path):
            (self.path / MARKER).unlink(missing_ok=True)
            for number in self.numbers:
                self._part(number).unlink()
            record.write(self.path / RECORD)

    def kept(self, number: int, inputs: str) -> RowCounts | None:
        """Return the counts of a part that was written from the given inputs; None if there is no such part.

        Parameters
        ----------
        number : int
        inputs : str
            Digest of the inputs, see :func:`digest_of`.
        """
        _, parquet = import_pyarrow()
        try:
            noted = json.loads(parquet.read_metadata(self._part(number)).metadata[_NOTE.encode()])
            return RowCounts(**noted["counts"]) if noted["inputs"] == inputs else None
        except (KeyError, OSError, TypeError, ValueError):  # no part, or not a part of this table
            return None

    def write(self, number: int, columns: Sequence[str], inputs: str, chunks: Iterable[list[Row]]) -> None:
        """Write a part in one step."""
        path = self._part(number)
        with self._written(path):
            replace_file(path, lambda temporary: _write_part(temporary, columns, inputs, chunks))

    def finish(self, n_parts: int) -> None:
        """Delete parts of an earlier run that have no inputs any more, and write the marker."""
        with self._written(self.path):
            for number in self.numbers:
                if number >= n_parts:
                    self._part(number).unlink()
            self._mark()

    def read(self, known: KnownRows, record: TableRecord) -> None:
        """Add all rows to the known ones."""
        for number in self.numbers:
            read_known(known, self._part(number), ".parquet", record.columns, record.folder)

    def extend(self, record: TableRecord, chunks: Iterable[list[Row]], replaced: Callable[[], Removal]) -> None:
        """Append rows as a new part, and remove the rows that they replace; nothing is changed if there are none.

        Parameters
        ----------
        record : TableRecord
        chunks : iterable of list of Row
            The new rows.
        replaced : callable
            Returns the rows that are removed; called after all new rows are made.
        """
        new = self._part(max(self.numbers, default=-1) + 1)
        with contextlib.ExitStack() as stack, self._written(new):
            staged = stack.enter_context(temporary_file(new))
            if not _write_part(staged, record.columns, "", chunks):
                return
            renames = {staged.name: new.name}
            removal = replaced()
            for number in self.numbers if removal else ():
                part = self._part(number)
                rewritten = stack.enter_context(temporary_file(part))
                if remove_from_part(part, rewritten, removal):
                    renames[rewritten.name] = part.name
            for name in renames:
                _sync(self.path / name)
            if len(renames) == 1:
                os.replace(staged, new)
                _sync(self.path)
                return
            replace(record, pending=renames).write(self.path / RECORD)
            self._finish_pending()

    def _finish_pending(self) -> None:
        """Rename the files that the record names; the marker is missing meanwhile."""
        record = self.record
        if record is None or not record.pending:
            return
        (self.path / MARKER).unlink(missing_ok=True)
        for temporary, name in record.pending.items():
            if not _TEMPORARY.fullmatch(temporary) or not _PART.fullmatch(name):
                raise OutputError(f"{self.path / RECORD} is damaged; start again with `overwrite=True`")
            if is_regular(self.path / temporary):
                os.replace(self.path / temporary, self.path / name)
        _sync(self.path)
        self._mark()
        replace(record, pending={}).write(self.path / RECORD)

    def _mark(self) -> None:
        replace_file(self.path / MARKER, lambda temporary: None)

    def _part(self, number: int) -> Path:
        return self.path / f"part-{number:05}.parquet"

    @contextlib.contextmanager
    def _written(self, path: Path) -> Iterator[None]:
        """Explain errors of the operating system."""
        try:
            yield
        except OSError as error:
            if isinstance(error, FeatxError):
                raise
            raise OutputError(
                f"{path} cannot be written: {reason_of(error)}. Complete parts and computed features are kept; make "
                "room or repair the folder, and run the same command again"
            ) from None


def is_folder_of_parts(output: str | Path | None) -> bool:
    """Return whether an output is a folder of Parquet files: it has no ending, or is an existing folder.

    A folder whose name ends like a file of another format is not.
    """
    if output is None:
        return False
    suffix = Path(output).suffix.lower()
    return not suffix or (os.path.isdir(output) and (suffix == ".parquet" or suffix not in WRITERS))


def digest_of(record: TableRecord, block: ImageBlock, at: NDArray[np.int64] | None) -> str:
    """Return a digest of everything that determines a part: the record, and paths, sizes and times of its images."""
    addresses, stamps = block.addresses, block.images.stamps
    if at is not None:
        addresses, stamps = addresses.take(at), stamps[at]
    digest = hashlib.sha256(record.id.encode())
    digest.update(addresses.content.tobytes())
    digest.update(np.ascontiguousarray(stamps[:, :2]).tobytes())
    return digest.hexdigest()


def _write_part(path: Path, columns: Sequence[str], inputs: str, chunks: Iterable[list[Row]]) -> int:
    """Write rows and their counts to a file; return the number of rows."""
    counts = RowCounts()
    writer: Any = ParquetWriter(path, columns)
    try:
        for rows in chunks:
            writer.write([row.values for row in rows])
            counts.add(rows)
        writer.note(_NOTE, json.dumps({"inputs": inputs, "counts": asdict(counts)}))
    finally:
        writer.close()
    return counts.n_images


def _sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk; no effect where folders cannot be opened."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
