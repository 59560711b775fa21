"""Find the files below a folder, in sorted order, whatever links, pipes and hidden files there are."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from featx.errors import DatasetError
from featx.files import CACHE_TAG, CACHE_TAG_TEXT, read_regular
from featx.source.source import Entry, do_nothing
from featx.table import OwnFolder, Stamp

OUTPUT_TAG = ".featx-output"
"""A folder with a file of this name was written by featx and is never scanned."""

_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}
_OF_THE_SYSTEM = ("/proc", "/sys")
"""What lies there is made up when it is read, and changes all the time."""

_LONGEST_TAG = 1000


def walk(root: Path, leave_out: Callable[[OwnFolder], None] = do_nothing) -> Iterator[Entry]:
    """Yield the files below a folder, sorted by name part by part.

    Hidden files and folders, caches and outputs of featx are left out. Links to files are followed; a link
    to a folder is followed only out of the root, so that no file is met twice and no loop is entered. No file is
    opened but the tags of caches.

    Parameters
    ----------
    root : path
    leave_out : callable
        Called with each cache and each output of featx.

    Raises
    ------
    DatasetError
        The root cannot be read, or is a cache or an output itself.
    """
    entries = _list_root(root)
    top = os.path.realpath(root)
    entered = {top}
    # No recursion: a folder may lie deeper than Python can call. One list for each level.
    levels: list[tuple[str, list[os.DirEntry[str]]]] = [("", entries)]
    while levels:
        prefix, entries = levels[-1]
        if not entries:
            levels.pop()
            continue
        entry = entries.pop()  # each remembers 1 kB of what the system said of its file
        if _is_hidden(entry):
            continue
        name = prefix + entry.name
        if not _is_folder(entry):
            yield _entry(entry, name)
        elif not entry.is_symlink() or _may_enter(entry.path, top, entered):
            try:
                inner = _list_inner(entry)
            except OSError as error:
                yield Entry(name, -1, -1, reason=f"the folder cannot be read: {error.strerror or error}")
                continue
            if (written := _written_by_featx(inner)) is None:
                levels.append((name + "/", inner))
            else:
                leave_out(OwnFolder(name, _count_files(entry.path), written.what))


def _list_root(root: Path) -> list[os.DirEntry[str]]:
    try:
        entries = _list(os.fspath(root))
    except OSError as error:
        raise DatasetError(f"the folder {root} cannot be read: {error.strerror or error}") from None
    written = _written_by_featx(entries)
    if written is not None:
        raise DatasetError(
            f"{root} is {written.what}, as its file {written.tag} says, and is not scanned; name a folder of images, "
            f"or delete {written.tag} if this is one"
        )
    return entries


def _list(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name, reverse=True)


def _list_inner(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    entries = _list(folder.path)
    target = os.path.realpath(folder.path) if folder.is_symlink() else ""
    if _is_below(target, _OF_THE_SYSTEM):
        raise OSError(errno.EINVAL, f"it is {target}, which holds no files")
    return entries


def folders_in(root: Path, parent: str, known: Collection[str] = ()) -> list[str]:
    """Return the paths of the folders in a folder, as far as :func:`walk` enters them; but for known ones.

    All are POSIX paths relative to the root; of a folder that is known not even the tags are looked for.
    """
    try:
        entries = _list(os.path.join(root, parent))
    except OSError:
        return []
    start = f"{parent}/" if parent else ""
    return sorted(
        start + entry.name
        for entry in entries
        if start + entry.name not in known and not _is_hidden(entry) and _is_folder(entry) and _is_entered(entry)
    )


def _is_entered(folder: os.DirEntry[str]) -> bool:
    try:
        return _written_by_featx(_list(folder.path)) is None
    except OSError:  # it is met, and skipped with its reason
        return True


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name.lower() in _SYSTEM


def _is_folder(entry: os.DirEntry[str], follow_links: bool = True) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links)
    except OSError:  # links in a circle, or into a folder that may not be searched
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
    """Return what a folder is if featx wrote it; other programs tag their caches too, and may tag any folder."""
    for entry in entries:
        if entry.name == OUTPUT_TAG and _read_tag(entry) is not None:
            return _Written("an output of featx", OUTPUT_TAG)
        if entry.name == CACHE_TAG and _read_tag(entry) == CACHE_TAG_TEXT.encode():
            return _Written("a cache of featx", CACHE_TAG)
    return None


def _read_tag(entry: os.DirEntry[str]) -> bytes | None:
    try:
        content = None if entry.is_symlink() else read_regular(entry.path, _LONGEST_TAG)
    except OSError:
        return None
    return None if content is None else content.replace(b"\r\n", b"\n")


def _count_files(folder: str) -> int:
    """Count the files below a folder, without hidden ones, and without following links."""
    n, folders = 0, [folder]
    while folders:
        try:
            entries = _list(folders.pop())
        except OSError:
            continue
        for entry in entries:
            if not _is_hidden(entry):
                if _is_folder(entry, follow_links=False):
                    folders.append(entry.path)
                else:
                    n += 1
    return n


def _entry(entry: os.DirEntry[str], name: str) -> Entry:
    try:
        status = entry.stat()
    except OSError:  # a broken link, or gone since the folder was listed
        return Entry(name, -1, -1)
    return Entry(name, *Stamp.of(status))
