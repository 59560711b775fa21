"""Arrange files that are listed by their whole names, as in an archive or a bucket, like the files of a local scan."""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.source.entries import Entry
from featx.source.source import UNKNOWN
from featx.source.walk import TAGS, is_hidden, own_kind
from featx.table import BLOCK, OwnFolder, Stamp, Texts

ReadTag = Callable[[str, int], bytes | None]
"""Function of the name and the position of a tag file that returns its content; None if it cannot be read."""


class Found(NamedTuple):
    """A file that was found.

    Parameters
    ----------
    name : str
        POSIX path.
    stamp : Stamp
    position : int
        Position in an archive from which the file can be opened.
    reason : str
        Reason why the file is skipped; otherwise empty.
    """

    name: str
    stamp: Stamp
    position: int = 0
    reason: str = ""


class FlatIndex:
    """Files sorted by the parts of their names, without hidden files and output folders of featx.

    Parameters
    ----------
    found : iterator of Found
        The files in any order. If two have the same name, the last one counts, as when an archive is unpacked.
    read_tag : callable
        See :data:`ReadTag`.
    """

    def __init__(self, found: Iterator[Found], read_tag: ReadTag) -> None:
        keys: list[str] = []
        stamps, positions, reasons, tags = array("q"), array("q"), dict[int, str](), dict[str, int]()
        for name, stamp, position, reason in found:
            parts = name.split("/")
            if parts[-1] in TAGS and not any(map(is_hidden, parts[:-1])):
                tags[name] = position
            if not reason and any(map(is_hidden, parts)):
                continue
            if reason:
                reasons[len(keys)] = reason
            keys.append(name.replace("/", "\0"))
            stamps.extend(stamp)
            positions.append(position)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        order = [at for n, at in enumerate(order) if n + 1 == len(order) or keys[at] != keys[order[n + 1]]]
        at = np.array(order, np.int64)
        self.names = Texts.of(keys[one].replace("\0", "/") for one in order)
        self.stamps: NDArray[np.int64] = np.frombuffer(stamps, np.int64).reshape(-1, 4)[at]
        self.positions: NDArray[np.int64] = np.frombuffer(positions, np.int64)[at]
        self._reasons: Mapping[int, str] = {n: reasons[one] for n, one in enumerate(order) if one in reasons}
        self._own = _own_folders(tags, read_tag)

    def find(self, name: str) -> int:
        """Return the position of a name among the names; -1 if there is none."""
        at = self._place(name)
        return at if at < len(self.names) and self.names[at] == name else -1

    def stat(self, name: str) -> Stamp:
        """Return the stamp of a file; unknown if there is no such file."""
        at = self.find(name)
        return UNKNOWN if at < 0 else Stamp(*self.stamps[at].tolist())

    def reason(self, at: int) -> str:
        """Return the reason why a file is skipped; empty for other files."""
        return self._reasons.get(at, "")

    def own(self, folder: str) -> str:
        """Return what featx wrote into a folder, such as ``a cache of featx``; empty for other folders."""
        return self._own.get(folder, "")

    def entries(self, inside: str, leave_out: Callable[[OwnFolder], None]) -> Iterator[Entry]:
        """Yield the files below a folder, with names relative to the folder."""
        first, stop = self._range(inside)
        cut = len(inside) + 1 if inside else 0
        left_out, n = "", 0
        for start in range(first, stop, BLOCK):
            end = min(start + BLOCK, stop)
            rows = zip(self.names.block(start, end), self.stamps[start:end].tolist(), strict=True)
            for at, (name, stamp) in enumerate(rows, start):
                if left_out and name.startswith(left_out):
                    n += 1
                    continue
                if left_out:
                    leave_out(OwnFolder(left_out[cut:-1], n, self._own[left_out[:-1]]))
                    left_out, n = "", 0
                folder = self._own_holder(name, inside) if self._own else ""
                if folder:
                    left_out, n = f"{folder}/", 1
                    continue
                size, mtime_ns, inode, ctime_ns = stamp
                yield Entry(name[cut:], size, mtime_ns, inode, ctime_ns, self._reasons.get(at, ""))
        if left_out:
            leave_out(OwnFolder(left_out[cut:-1], n, self._own[left_out[:-1]]))

    def folders_in(self, parent: str, known: Collection[str] = ()) -> list[str]:
        """Return the subfolders of a folder with files that :meth:`entries` yields, except those in ``known``."""
        start = f"{parent}/" if parent else ""
        names = {f"{start}{name}" for name, is_folder in self._inner(parent) if is_folder}
        return sorted(name for name in names if name not in known and not self.own(name))

    def names_in(self, folder: str) -> list[str]:
        """Return the names of files and folders in a folder."""
        return [name for name, _ in self._inner(folder)]

    def _inner(self, folder: str) -> Iterator[tuple[str, bool]]:
        at, stop = self._range(folder)
        cut = len(folder) + 1 if folder else 0
        while at < stop:
            name, mark, _ = self.names[at][cut:].partition("/")
            yield name, bool(mark)
            at = self._range(f"{folder}/{name}" if folder else name)[1] if mark else at + 1

    def _own_holder(self, name: str, inside: str) -> str:
        at = name.find("/", len(inside) + 1 if inside else 0)
        while at >= 0:
            if name[:at] in self._own:
                return name[:at]
            at = name.find("/", at + 1)
        return ""

    def _place(self, name: str) -> int:
        return bisect.bisect_left(self.names, name.replace("/", "\0"), key=lambda one: one.replace("/", "\0"))

    def _range(self, folder: str) -> tuple[int, int]:
        if not folder:
            return 0, len(self.names)
        key = folder.replace("/", "\0")
        # No name contains the characters 0 and 1, so that this is the first name after the folder.
        return self._place(f"{folder}/"), bisect.bisect_left(
            self.names, f"{key}\1", key=lambda one: one.replace("/", "\0")
        )


def clean_name(name: str) -> tuple[str, str]:
    """Return the normal form of a name in an archive or a bucket, and the reason why it cannot be used, if any.

    Examples
    --------
    >>> from featx.source.flat import clean_name
    >>> clean_name("./cat//1.png"), clean_name("../1.png")[1]
    (('cat/1.png', ''), 'the name leads out of the archive')
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/"):
        return name, "the name is absolute"
    if ".." in parts:
        return name, "the name leads out of the archive"
    if any(character < " " for character in name):
        return name, "the name contains a control character"
    return "/".join(parts), ""


def _own_folders(tags: Mapping[str, int], read_tag: ReadTag) -> dict[str, str]:
    """Return what featx wrote into each folder whose tag shows it."""
    own = {}
    for name, position in tags.items():
        folder, _, tag = name.rpartition("/")
        kind = own_kind(tag, read_tag(name, position))
        if kind is not None:
            own[folder] = kind
    return own
