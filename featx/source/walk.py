"""List the files below a folder in sorted order; handle links, pipes and hidden files safely."""

from __future__ import annotations

import errno
import os
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from featx.errors import DatasetError
from featx.files import CACHE_TAG, CACHE_TAG_TEXT, read_regular
from featx.source.entries import Entry
from featx.source.source import UNKNOWN, do_nothing
from featx.table import OwnFolder, Stamp

OUTPUT_TAG = ".featx-output"
"""Name of the file that marks a folder as written by featx; such folders are not scanned."""

_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}
_OF_THE_SYSTEM = ("/proc", "/sys")
"""Virtual file systems, whose content is generated on reading and changes constantly."""

LONGEST_TAG = 1000
"""Maximum size of a tag, in bytes."""

TAGS = (OUTPUT_TAG, CACHE_TAG)
"""Names of the files that can mark a folder as written by featx."""


def walk(root: Path, leave_out: Callable[[OwnFolder], None] = do_nothing) -> Iterator[Entry]:
    """Yield the files below a folder, sorted by the parts of their names.

    Hidden files and folders, caches and output folders of featx are left out. Links to files are followed. A link to
    a folder is followed only if the link leads out of the root, so that no file is listed twice and no loop is entered.
    Only the tag files of caches and output folders are opened.

    Parameters
    ----------
    root : path
    leave_out : callable
        Function that is called with each cache and each output folder of featx.

    Raises
    ------
    DatasetError
        If the root cannot be read, or is itself a cache or an output folder of featx.
    """
    top = os.path.realpath(root)
    entered = {top}
    # A loop with one listing per level, because folders can be nested more deeply than Python's recursion limit.
    levels = [("", _list_root(root))]
    while levels:
        prefix, listing = levels[-1]
        for name, stamp, folder in listing:
            if folder is None:
                size, mtime_ns, inode, ctime_ns = stamp
                yield Entry(prefix + name, size, mtime_ns, inode, ctime_ns)
            elif not folder.is_link or _may_enter(folder.path, top, entered):
                try:
                    inner = _list_inner(folder)
                except OSError as error:
                    reason = f"the folder cannot be read: {error.strerror or error}"
                    yield Entry(prefix + name, -1, -1, reason=reason)
                    continue
                if (written := inner.written_by_featx()) is None:
                    levels.append((f"{prefix}{name}/", inner))
                    break
                leave_out(OwnFolder(prefix + name, _count_files(folder.path), written.what))
        else:
            levels.pop()


class _Folder(NamedTuple):
    path: str
    is_link: bool


class _Listing:
    """The content of a folder without hidden files, sorted by name; an iterator that goes on where it was left.

    Each file is queried when its folder is listed, because a million objects of ``os.scandir`` take a gigabyte when
    they keep what the system states about each file.
    """

    def __init__(self, folder: str) -> None:
        self._tags: list[os.DirEntry[str]] = []
        self._folders: dict[str, _Folder] = {}
        names: list[str] = []
        stamps = array("q")
        with os.scandir(folder) as found:
            for entry in found:
                name = entry.name
                if name in TAGS:
                    self._tags.append(entry)
                if is_hidden(name):
                    continue
                names.append(name)
                if _is_folder(entry):
                    self._folders[name] = _Folder(entry.path, entry.is_symlink())
                    stamps.extend(UNKNOWN)
                else:
                    stamps.extend(_stamp(entry))
        self._names, self._stamps = names, stamps
        self._order = iter(sorted(range(len(names)), key=names.__getitem__))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[str, Sequence[int], _Folder | None]:
        """Return the name and the stamp of a file, or the name of a folder, and the folder."""
        at = next(self._order)
        name = self._names[at]
        return name, self._stamps[4 * at : 4 * at + 4], self._folders.get(name)

    def written_by_featx(self) -> _Written | None:
        """Return the kind and the tag of a folder that featx wrote; None for other folders."""
        return _written_by_featx(self._tags)


def _list_root(root: Path) -> _Listing:
    try:
        listing = _Listing(os.fspath(root))
    except OSError as error:
        raise DatasetError(f"the folder {root} cannot be read: {error.strerror or error}") from None
    written = listing.written_by_featx()
    if written is not None:
        raise DatasetError(
            f"{root} is not scanned, because its file {written.tag} marks it as {written.what}; give another "
            f"folder, or delete {written.tag} if this folder contains your images"
        )
    return listing


def _list(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name, reverse=True)


def _list_inner(folder: _Folder) -> _Listing:
    target = os.path.realpath(folder.path) if folder.is_link else ""
    if _is_below(target, _OF_THE_SYSTEM):
        raise OSError(errno.EINVAL, f"it leads to {target}, which belongs to a virtual file system")
    return _Listing(folder.path)


def folders_in(root: Path, parent: str, known: Collection[str] = ()) -> list[str]:
    """Return the paths of the subfolders of a folder that :func:`walk` enters, without the known subfolders.

    All paths are POSIX paths relative to the root. Known subfolders are not examined.
    """
    try:
        entries = _list(os.path.join(root, parent))
    except OSError:
        return []
    start = f"{parent}/" if parent else ""
    return sorted(
        start + entry.name
        for entry in entries
        if start + entry.name not in known and not is_hidden(entry.name) and _is_folder(entry) and _is_entered(entry)
    )


def _is_entered(folder: os.DirEntry[str]) -> bool:
    try:
        return _written_by_featx(_list(folder.path)) is None
    except OSError:  # walk yields the folder with the reason
        return True


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is left out of scans."""
    return name.startswith(".") or name.lower() in _SYSTEM


def _is_folder(entry: os.DirEntry[str], follow_links: bool = True) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links)
    except OSError:  # a circular link, or a link into a folder without search permission
        return False


def _may_enter(link: str, top: str, entered: set[str]) -> bool:
    target = os.path.realpath(link)
    if target in entered or _is_below(target, (top,)) or _is_below(top, (target,)):
        return False
    entered.add(target)
    return True


def _is_below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


class _Written(NamedTuple):
    what: str
    tag: str


def _written_by_featx(entries: Sequence[os.DirEntry[str]]) -> _Written | None:
    """Return the kind and the tag of a folder that featx wrote; None for other folders.

    The content of the tag is checked, because other programs also write tags.
    """
    for entry in entries:
        kind = own_kind(entry.name, _read_tag(entry)) if entry.name in TAGS else None
        if kind is not None:
            return _Written(kind, entry.name)
    return None


def own_kind(name: str, content: bytes | None) -> str | None:
    """Return what featx wrote into a folder with a tag of this name and content; None for tags of others."""
    if content is None:
        return None
    if name == OUTPUT_TAG:
        return "an output of featx"
    is_ours = name == CACHE_TAG and content.replace(b"\r\n", b"\n") == CACHE_TAG_TEXT.encode()
    return "a cache of featx" if is_ours else None


def _read_tag(entry: os.DirEntry[str]) -> bytes | None:
    try:
        return None if entry.is_symlink() else read_regular(entry.path, LONGEST_TAG)
    except OSError:
        return None


def _count_files(folder: str) -> int:
    """Return the number of files below a folder, without hidden files; links are not followed."""
    n, folders = 0, [folder]
    while folders:
        try:
            entries = _list(folders.pop())
        except OSError:
            continue
        for entry in entries:
            if not is_hidden(entry.name):
                if _is_folder(entry, follow_links=False):
                    folders.append(entry.path)
                else:
                    n += 1
    return n


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    try:
        return Stamp.of(entry.stat())
    except OSError:  # a broken link, or deleted since the folder was listed
        return UNKNOWN
