"""List the files below a folder in sorted order; handle links, pipes and hidden files safely."""

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
"""Name of the file that marks a folder as written by featx; such folders are not scanned."""

_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}
_OF_THE_SYSTEM = ("/proc", "/sys")
"""Virtual file systems, whose content is generated on reading and changes constantly."""

_LONGEST_TAG = 1000


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
    entries = _list_root(root)
    top = os.path.realpath(root)
    entered = {top}
    # A loop with one list per level, because folders can be nested more deeply than Python's recursion limit.
    levels: list[tuple[str, list[os.DirEntry[str]]]] = [("", entries)]
    while levels:
        prefix, entries = levels[-1]
        if not entries:
            levels.pop()
            continue
        entry = entries.pop()  # frees the entry, which caches 1 kB of file status
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
            f"{root} is not scanned, because its file {written.tag} marks it as {written.what}; give another "
            f"folder, or delete {written.tag} if this folder contains your images"
        )
    return entries


def _list(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name, reverse=True)


def _list_inner(folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    entries = _list(folder.path)
    target = os.path.realpath(folder.path) if folder.is_symlink() else ""
    if _is_below(target, _OF_THE_SYSTEM):
        raise OSError(errno.EINVAL, f"it leads to {target}, which belongs to a virtual file system")
    return entries


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
        if start + entry.name not in known and not _is_hidden(entry) and _is_folder(entry) and _is_entered(entry)
    )


def _is_entered(folder: os.DirEntry[str]) -> bool:
    try:
        return _written_by_featx(_list(folder.path)) is None
    except OSError:  # walk yields the folder with the reason
        return True


def _is_hidden(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(".") or entry.name.lower() in _SYSTEM


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
    """Return the number of files below a folder, without hidden files; links are not followed."""
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
    except OSError:  # a broken link, or deleted since the folder was listed
        return Entry(name, -1, -1)
    return Entry(name, *Stamp.of(status))
