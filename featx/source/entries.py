"""Entries of a source: its files, and its folders that cannot be read."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.table import Categorical, Column, Stamp, Texts, encoded


class Entry(NamedTuple):
    """A file of a source, or a folder that cannot be read.

    Parameters
    ----------
    name : str
        POSIX path relative to the root.
    size : int
        Size in bytes; -1 if unknown (a broken link).
    mtime_ns : int
        Modification time in nanoseconds; -1 if unknown.
    inode, ctime_ns : int
        See :class:`featx.table.Stamp`.
    reason : str
        Reason why a folder cannot be read; empty for files.
    """

    name: str
    size: int
    mtime_ns: int
    inode: int = 0
    ctime_ns: int = 0
    reason: str = ""

    @property
    def stamp(self) -> Stamp:
        """Stamp that changes when the file changes."""
        return Stamp(self.size, self.mtime_ns, self.inode, self.ctime_ns)


@dataclass(frozen=True, eq=False, repr=False)
class Entries(Column[Entry]):
    """Entries as columns; an :class:`Entry` is made when it is read.

    Parameters
    ----------
    names : Texts
    stamps : ndarray of shape (n, 4), int64
        Size, modification time, inode and ctime.
    reasons : Categorical
    """

    names: Texts
    stamps: NDArray[np.int64]
    reasons: Categorical[str]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Entries:
        """Return the columns of some entries."""
        collected = EntryList()
        collected.extend(list(entries))
        return collected.entries()

    @classmethod
    def join(cls, parts: Sequence[Entries]) -> Entries:
        """Return the entries of several columns as one."""
        return cls(
            Texts.join([part.names for part in parts]),
            np.concatenate([part.stamps for part in parts]),
            Categorical.join([part.reasons for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.names)

    def block(self, start: int, stop: int) -> list[Entry]:
        """Return some consecutive entries."""
        stamps = self.stamps[start:stop].tolist()
        rows = zip(self.names.block(start, stop), stamps, self.reasons.block(start, stop), strict=True)
        return [
            Entry(name, size, mtime_ns, inode, ctime_ns, reason)
            for name, (size, mtime_ns, inode, ctime_ns), reason in rows
        ]


class EntryList:
    """Entries that are added one block after another, and kept as columns."""

    def __init__(self) -> None:
        self._names = bytearray()
        self._stamps = array("q")
        self._reasons: list[str] = []
        self._reason_at: list[int] = []

    def extend(self, entries: Sequence[Entry]) -> None:
        """Add some entries."""
        n = len(self._stamps) // 4
        self._names += encoded([entry[0] for entry in entries])
        for at, entry in enumerate(entries, n):
            self._stamps.extend(entry[1:5])
            if entry[5]:
                self._reasons.append(entry[5])
                self._reason_at.append(at)

    def entries(self) -> Entries:
        """Return all entries."""
        stamps = np.frombuffer(self._stamps, np.int64).reshape(-1, 4)
        reasons = Categorical.of(["", *self._reasons])
        codes = np.zeros(len(stamps), reasons.codes.dtype)
        codes[self._reason_at] = reasons.codes[1:]
        return Entries(Texts(np.frombuffer(self._names, np.uint8)), stamps, Categorical(codes, reasons.values))
