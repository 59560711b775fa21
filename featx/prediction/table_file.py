"""A table of predictions in one file that later runs extend, with its record beside it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from featx.errors import FeatxError, OutputError
from featx.files import is_regular, temporary_file
from featx.output import OutputFile, locked_output, reason_of
from featx.prediction.extending import Removal, join_tables
from featx.prediction.known import KnownRows, read_known
from featx.prediction.record import TableRecord, read_record
from featx.prediction.writing import WRITERS, Row, open_table


class TableFile:
    """A table that is extended in one step; created by :meth:`opened`, while the table is locked.

    Parameters
    ----------
    output : OutputFile
    is_complete : bool
        Whether there is a table that is extended.

    Attributes
    ----------
    path : path
    is_complete : bool
    """

    def __init__(self, output: OutputFile, is_complete: bool) -> None:
        self.path = output.path
        self._output = output
        self.is_complete = is_complete

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls,
        path: Path,
        overwrite: bool,
        inputs: Sequence[str | Path],
        keeps: bool,
        notice: Callable[[str], None],
    ) -> Iterator[TableFile]:
        """Lock a table, and yield it; a second run waits.

        Parameters
        ----------
        path : path
        overwrite : bool
            Whether to start again instead of extending the table.
        inputs, keeps
            As for :class:`featx.output.OutputFile`.
        notice : callable
            Called with one line of text if another run has locked the table.

        Raises
        ------
        OutputError
            If the table cannot be written, or was not written by featx.
        """
        OutputFile(path, WRITERS, True, inputs=inputs, keeps=keeps)  # before anything is created
        with locked_output(path.with_name(f".{path.name}.lock"), path, notice):
            output = OutputFile(path, WRITERS, True, inputs=inputs, keeps=keeps)
            leftover = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.tmp")
            with contextlib.suppress(OSError):
                for name in os.listdir(path.parent):
                    if leftover.fullmatch(name) and is_regular(path.with_name(name)):
                        path.with_name(name).unlink()
            yield cls(output, not overwrite and is_regular(path) and path.stat().st_size > 0)

    def record(self, now: TableRecord) -> TableRecord:
        """Return the record of the table, after checking that this run makes the same rows; else that of this run.

        Raises
        ------
        OutputError
            If the table was not started with ``only_new``, or by another model or other options.
        """
        if not self.is_complete:
            return now
        if not is_regular(self._record_path):
            raise OutputError(
                f"{self.path} cannot be continued: it was not started with `only_new`, so that it has no record "
                f"{self._record_path.name}; start again with `overwrite=True` and `only_new=True` (computed features "
                "are cached), or choose another `output`"
            )
        known = read_record(self._record_path, self.path)
        known.check(now, self.path, same_inputs=False)
        return known

    def read(self, known: KnownRows, record: TableRecord) -> None:
        """Add all rows of the table to the known ones."""
        if self.is_complete:
            read_known(known, self.path, self._output.suffix, record.columns, record.folder)

    def extend(self, record: TableRecord, chunks: Iterable[list[Row]], replaced: Callable[[], Removal]) -> None:
        """Append rows, and remove the rows that they replace, in one step; without new rows, nothing is changed.

        Parameters
        ----------
        record : TableRecord
        chunks : iterable of list of Row
            The new rows.
        replaced : callable
            Returns the rows that are removed; called after all new rows are made.
        """
        try:
            with temporary_file(self.path) as staged:
                n_new = 0
                writer = open_table(staged, self._output.suffix, record.columns)
                try:
                    for rows in chunks:
                        writer.write([row.values for row in rows])
                        n_new += len(rows)
                finally:
                    writer.close()
                if n_new:
                    self._publish(record, staged, replaced())
        except OSError as error:
            if isinstance(error, FeatxError):
                raise
            raise OutputError(
                f"{self.path} cannot be written: {reason_of(error)}. The table is unchanged; make room, and run the "
                "same command again"
            ) from None

    def _publish(self, record: TableRecord, staged: Path, removal: Removal) -> None:
        old = self.path if self.is_complete else None
        if old is None:  # an older table without a valid record is never extended
            OutputFile(self._record_path, (".json",), True)
            record.write(self._record_path)
        suffix = self._output.suffix
        self._output.write(lambda temporary: join_tables(old, staged, temporary, suffix, removal))

    @property
    def _record_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")
