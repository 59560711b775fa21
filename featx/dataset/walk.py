"""Find the files below a folder, in sorted order, whatever links and hidden files there are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featx.errors import DatasetError

OUTPUT_TAG = ".featx-output"
"""A folder with a file of this name was written by featx and is never scanned."""

_TAGS = ("CACHEDIR.TAG", OUTPUT_TAG)
_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file below a root.

    Parameters
    ----------
    name : str
        POSIX path relative to the root.
    size : int
        Bytes; -1 if it cannot be asked (a broken link).
    mtime_ns : int
        Modification time; -1 with it.
    """

    name: str
    size: int
    mtime_ns: int


def walk(root: Path) -> Iterator[Entry]:
    """Yield the files below a folder, sorted by name part by part.

    Hidden files and folders, caches and outputs of featx are left out. Links to files are followed; a link
    to a folder is followed only out of the root, so that no file is met twice and no loop is entered.

    Raises
    ------
    DatasetError
        A folder cannot be read.
    """
    top = os.path.realpath(root)
    yield from _walk(os.fspath(root), "", top, {top})


def folders_in(root: Path, parent: str) -> list[str]:
    """Return the names of the folders in a folder below a root, as far as :func:`walk` would enter them."""
    names = []
    with contextlib.suppress(OSError), os.scandir(root / parent) as found:
        for entry in found:
            if entry.name.startswith(".") or entry.name.lower() in _SYSTEM or not entry.is_dir():
                continue
            if not any(os.path.lexists(os.path.join(entry.path, tag)) for tag in _TAGS):
                names.append(entry.name)
    return sorted(names)


def _walk(folder: str, prefix: str, top: str, entered: set[str]) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name, reverse=True)
    except OSError as error:
        raise DatasetError(f"the folder {folder} cannot be read: {error.strerror or error}") from None
    if any(entry.name in _TAGS for entry in entries):
        return
    while entries:
        entry = entries.pop()  # each remembers 1 kB of what the system said of its file
        if entry.name.startswith(".") or entry.name.lower() in _SYSTEM:
            continue
        name = prefix + entry.name
        if not entry.is_dir():
            yield _entry(entry, name)
        elif not entry.is_symlink() or _may_enter(entry.path, top, entered):
            yield from _walk(entry.path, name + "/", top, entered)


def _may_enter(link: str, top: str, entered: set[str]) -> bool:
    target = os.path.realpath(link)
    if os.path.commonpath((target, top)) in (target, top) or target in entered:
        return False
    entered.add(target)
    return True


def _entry(entry: os.DirEntry[str], name: str) -> Entry:
    try:
        status = entry.stat()
    except OSError:  # a broken link, or gone since the folder was listed
        return Entry(name, -1, -1)
    return Entry(name, status.st_size, status.st_mtime_ns)
