"""States of files: what shows a change, and what the last reading of each file found."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.table.columns import Categorical, Column, Texts, gathered

FileStatus = Literal["ok", "skipped", "ignored", "lacking"]
"""Status of a file, see :class:`FileState`."""

_NOT_READ = bytes(32)
_COMPARED = 1 << 16
"""Number of names that are compared at a time."""


class Stamp(NamedTuple):
    """Metadata that show whether a file has been changed or replaced.

    Parameters
    ----------
    size : int
        Size in bytes.
    mtime_ns : int
        Modification time in ns, which any program can set.
    inode : int
        Number of the file in its file system; 0 if the system provides none.
    ctime_ns : int
        Time in ns of the last change of content or attributes, which no program can set; on Windows the creation time.
    """

    size: int
    mtime_ns: int
    inode: int = 0
    ctime_ns: int = 0

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file.

        A time that does not fit into 64 bits is stored as -1, because such a time is not valid.
        """
        mtime, ctime = status.st_mtime_ns, status.st_ctime_ns
        mtime, ctime = mtime if abs(mtime) < 1 << 63 else -1, ctime if abs(ctime) < 1 << 63 else -1
        return cls(status.st_size, mtime, status.st_ino % (1 << 63), ctime)

    def fits(self, other: Stamp) -> bool:
        """Return whether two stamps belong to the same unchanged file; inodes are compared only if both are known."""
        return self == (other if self.inode and other.inode else other._replace(inode=self.inode))


def stamps_fit(stamps: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return :meth:`Stamp.fits` for each of two arrays of stamps of shape (n, 4): size, mtime, inode and ctime."""
    equal = stamps == others
    equal[:, 2] |= (stamps[:, 2] == 0) | (others[:, 2] == 0)
    fit: NDArray[np.bool_] = equal.all(axis=1)
    return fit


@dataclass(frozen=True, slots=True)
class FileState:
    """State of a file when it was last read.

    Parameters
    ----------
    size : int
        Size in bytes.
    mtime_ns : int
        Modification time in ns; -1 if the next change of the file might leave this time unchanged.
    content_hash : bytes
        SHA-256 of the file's bytes; empty if the file was not read.
    status : {"ok", "skipped", "ignored", "lacking"}
        ``ok``: a usable image. ``skipped``: an image that could not be used. ``ignored``: a file that is not an image.
        ``lacking``: an image whose features are not in the store.
    reason : str
        Reason why the image was skipped; otherwise empty.
    width, height : int
        Size in pixels after rotation by the EXIF orientation; 0 if the image was not decoded.
    camera, day : str
        Camera, and day on which the image was taken, from the EXIF data; empty if the EXIF data do not state them.
    inode, ctime_ns : int
        See :class:`Stamp`.
    """

    size: int
    mtime_ns: int
    content_hash: bytes = b""
    status: FileStatus = "ok"
    reason: str = ""
    width: int = 0
    height: int = 0
    camera: str = ""
    day: str = ""
    inode: int = 0
    ctime_ns: int = 0

    @property
    def stamp(self) -> Stamp:
        """Stamp of the file, which shows whether it has changed."""
        return Stamp(self.size, self.mtime_ns, self.inode, self.ctime_ns)


@dataclass(frozen=True, eq=False, repr=False)
class FileStates(Column[FileState]):
    """States of files as columns; a :class:`FileState` is made when it is read.

    Parameters
    ----------
    stamps : ndarray of shape (n, 4), int64
        Size, modification time, inode and ctime.
    content_hashes : ndarray of shape (n, 32), uint8
        SHA-256 of the files; zeros for a file that was not read.
    widths, heights : ndarray of shape (n,), int32
    statuses, reasons, cameras, days : Categorical
        Column of each property of a state.

    Examples
    --------
    >>> from featx.table import FileState, FileStates
    >>> states = FileStates.of([FileState(10, 1, bytes(31) + b"x"), FileState(0, 2, status="ignored")])
    >>> states.are("ignored").tolist(), states[0].size
    ([False, True], 10)
    """

    stamps: NDArray[np.int64]
    content_hashes: NDArray[np.uint8]
    widths: NDArray[np.int32]
    heights: NDArray[np.int32]
    statuses: Categorical[FileStatus]
    reasons: Categorical[str]
    cameras: Categorical[str]
    days: Categorical[str]

    @classmethod
    def blank(cls, n: int) -> FileStates:
        """Return states of usable files without a content, to be replaced by :meth:`assign`."""
        return cls(
            np.zeros((n, 4), np.int64),
            np.zeros((n, 32), np.uint8),
            np.zeros(n, np.int32),
            np.zeros(n, np.int32),
            Categorical.constant("ok", n),
            *(Categorical.constant("", n) for _ in range(3)),
        )

    @classmethod
    def of(cls, states: Iterable[FileState]) -> FileStates:
        """Return the columns of some states."""
        if isinstance(states, FileStates):
            return states
        rows = list(states)
        made = cls.blank(len(rows))
        made.assign(0, rows)
        return made

    @classmethod
    def ignored(cls, stamps: NDArray[np.int64]) -> FileStates:
        """Return the states of files that are not images."""
        blank = cls.blank(len(stamps))
        return blank.replaced(stamps=stamps, statuses=Categorical.constant("ignored", len(stamps)))

    @classmethod
    def gather(cls, parts: Sequence[FileStates], at: NDArray[np.int64]) -> FileStates:
        """Return the states at some positions of several columns of states that follow each other."""
        return cls(*(gathered([getattr(part, one.name) for part in parts], at) for one in fields(cls)))

    @classmethod
    def join(cls, parts: Sequence[FileStates]) -> FileStates:
        """Return one column of the states of several columns."""
        return parts[0] if len(parts) == 1 else cls.gather(parts, np.arange(sum(map(len, parts))))

    def __len__(self) -> int:
        return len(self.stamps)

    def block(self, start: int, stop: int) -> list[FileState]:
        """Return some consecutive states."""
        hashes = self.content_hashes[start:stop].tobytes()
        columns = [column.block(start, stop) for column in (self.statuses, self.reasons, self.cameras, self.days)]
        numbers = (column[start:stop].tolist() for column in (self.stamps, self.widths, self.heights))
        return [
            FileState(
                size, mtime_ns, b"" if content == _NOT_READ else content, status, reason, width, height, camera, day,
                inode, ctime_ns,
            )
            for (size, mtime_ns, inode, ctime_ns), width, height, content, status, reason, camera, day in zip(
                *numbers, (hashes[i : i + 32] for i in range(0, len(hashes), 32)), *columns, strict=True
            )
        ]  # fmt: skip

    def take(self, at: NDArray[Any] | slice) -> FileStates:
        """Return the states at some positions, of a mask or in a slice."""
        columns: Any = [getattr(self, one.name) for one in fields(self)]
        taken: Any = [one.take(at) if isinstance(one, Categorical) else one[at] for one in columns]
        return FileStates(*taken)

    def replaced(self, **columns: Any) -> FileStates:
        """Return the states with other columns."""
        return FileStates(**{one.name: columns.get(one.name, getattr(self, one.name)) for one in fields(self)})

    def are(self, status: FileStatus) -> NDArray[np.bool_]:
        """Return for each file whether it has a status."""
        return self.statuses.where(lambda value: value == status)

    def assign(self, start: int, states: Sequence[FileState]) -> None:
        """Replace some consecutive states, in place."""
        if not states:
            return
        chosen = slice(start, start + len(states))
        self.stamps[chosen] = [(state.size, state.mtime_ns, state.inode, state.ctime_ns) for state in states]
        hashes = b"".join(state.content_hash or _NOT_READ for state in states)
        self.content_hashes[chosen] = np.frombuffer(hashes, np.uint8).reshape(-1, 32)
        self.widths[chosen] = [state.width for state in states]
        self.heights[chosen] = [state.height for state in states]
        self.statuses.assign(start, [state.status for state in states])
        self.reasons.assign(start, [state.reason for state in states])
        self.cameras.assign(start, [state.camera for state in states])
        self.days.assign(start, [state.day for state in states])

    def put(self, start: int, states: FileStates) -> None:
        """Replace some consecutive states by those of other columns, in place."""
        chosen = slice(start, start + len(states))
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(states, one.name)
            if isinstance(mine, Categorical):
                mine.put(start, theirs)
            else:
                mine[chosen] = theirs


class Memo(Mapping[str, FileState]):
    """States of files by sample_id, as the last run stored them.

    Parameters
    ----------
    names : Texts
        The sample ids, all different.
    states : FileStates
        State of each file, in the same order.
    """

    def __init__(self, names: Texts, states: FileStates) -> None:
        self.names = names
        self.states = states
        self._index: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    @classmethod
    def of(cls, states: Mapping[str, FileState]) -> Memo:
        """Return a memo with the given states."""
        return states if isinstance(states, Memo) else cls(Texts.of(states), FileStates.of(states.values()))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> FileState:
        at = int(self._candidates([name])[0])
        if at < 0 or self.names[at] != name:
            raise KeyError(name)
        return self.states[at]

    def take(self, chosen: NDArray[np.bool_]) -> Memo:
        """Return a memo of the files of a mask."""
        if chosen.all():
            return self
        return Memo(self.names.take(np.flatnonzero(chosen)), self.states.take(chosen))

    def find(self, names: Texts) -> NDArray[np.int64]:
        """Return the position of each name; -1 for a name that is not in the memo.

        If the memo begins with the given names, which is usual, only their bytes are compared. Otherwise the names are
        found by their hashes, and compared.
        """
        if np.array_equal(self.names.content[: len(names.content)], names.content):
            return np.arange(len(names))
        at = self._candidates(names)
        for start in range(0, len(at), _COMPARED):
            part = at[start : start + _COMPARED]
            found = np.flatnonzero(part >= 0)
            known, wanted = self.names.take(part[found]), names.take(found + start)
            if known != wanted:  # two names have the same hash
                part[found] = np.where(
                    [one == other for one, other in zip(known, wanted, strict=True)], part[found], -1
                )
        return at

    def _candidates(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Return the position of a name with the same hash for each name; -1 if there is none."""
        if self._index is None:
            hashes = _hashes(self.names)
            order = np.argsort(hashes, kind="stable")
            self._index = hashes[order], order
        known, order = self._index
        wanted = _hashes(names)
        if not len(known):
            return np.full(len(wanted), -1, np.int64)
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[place] == wanted, order[place], -1)


def _hashes(names: Iterable[str]) -> NDArray[np.int64]:
    return np.fromiter(map(hash, names), np.int64)
