"""Sort predicted images into one folder for each class."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from featx.errors import OutputError
from featx.files import ReplacedError, identify, read_regular
from featx.output import copy_file, link_file, reason_of, write_new
from featx.source import OUTPUT_TAG, image_at

_TAG_TEXT = b"Images sorted by featx; never scanned as data.\n"
_LONGEST_NAME = 200

_Inode = tuple[int, int]
"""Device and number of a file: the same for all its names."""


class Sorter:
    """Copies or links images into ``folder/<class>/``; nothing that is predicted is ever replaced.

    Parameters
    ----------
    folder : path
        New or empty; with ``overwrite`` also one that was made so before. No folder or file that is predicted may be
        in it, nor it in one of these.
    classes : sequence of str
    given : sequence of path
        What is predicted.
    link : bool
        Hard links instead of copies: no space, the same disk only.
    overwrite : bool
        Put images into a folder that was made so before, replacing those of the same name.

    Raises
    ------
    OutputError
        Another folder, or one that cannot be made; nothing was written.
    """

    def __init__(
        self, folder: Path, classes: Sequence[str], given: Sequence[str | Path], link: bool, overwrite: bool
    ) -> None:
        self._named = folder
        self._link = link
        self._names = _folder_names(classes)
        self._taken: dict[str, Path] = {}
        self._read: set[_Inode] = set()
        try:
            self._folder = Path(os.path.realpath(folder))
            self._is_new, self._is_tagged = not os.path.lexists(self._folder), False
            if not self._is_new and _has_content(self._folder):
                self._is_tagged = _is_tagged(self._folder)
                self._refuse_content(overwrite)
            _check_apart(folder, self._folder, given)
            _check_writable(folder, self._folder)
        except (OSError, ValueError) as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"`sort_into={folder}`: {reason_of(error)}") from None

    def _refuse_content(self, overwrite: bool) -> None:
        if not self._is_tagged:
            raise OutputError(
                f"`sort_into={self._named}`: the folder is not empty, and was not made so before; choose another folder"
            )
        if not overwrite:
            raise OutputError(
                f"`sort_into={self._named}`: the folder is not empty; add `overwrite=True` or choose another"
            )

    def begin(self, images: Iterable[str]) -> None:
        """Make the folder, and mark it as one that is never scanned as data.

        Parameters
        ----------
        images : iterable of str
            Paths of all that is predicted.

        Raises
        ------
        OutputError
            It cannot be made, or another run made it meanwhile.
        """
        try:
            if self._is_tagged:
                self._read = set(_inodes(images))
                return
            if self._is_new:
                self._folder.mkdir(parents=True)
            write_new(self._folder / OUTPUT_TAG, _TAG_TEXT)
        except FileExistsError:
            raise OutputError(
                f"`sort_into={self._named}`: another run made this folder meanwhile; choose another"
            ) from None
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"`sort_into={self._named}`: {reason_of(error)}") from None

    def place(self, image: Path, label: str) -> Path:
        """Copy or link an image to its class, and return where it is now: whole, or not at all.

        Raises
        ------
        OutputError
            It cannot be written there, or would replace an image that is predicted.
        """
        target = self._folder / self._names[label] / _shortened(image.stem, image.suffix)
        if self._taken.get(target.as_posix().casefold()) == image:  # the same one, given twice
            return target
        if target.as_posix().casefold() in self._taken:  # another image of this name, from another folder
            mark = hashlib.sha256(os.fsencode(image)).hexdigest()[:8]
            target = target.with_name(_shortened(image.stem, f"-{mark}{image.suffix}"))
        known = self._taken.setdefault(target.as_posix().casefold(), image)
        if known is not image:
            return target
        try:
            _make_folder(target.parent)
            self._put(image, target)
        except OSError as error:
            reason = "another file is there" if isinstance(error, ReplacedError) else reason_of(error)
            raise OutputError(
                f"{image} cannot be put into {target.parent}: {reason}. What was sorted before is whole, and "
                "what was computed is kept in the cache; run the command again with another `sort_into`, or with "
                "`overwrite=True`"
            ) from None
        return target

    def _put(self, image: Path, target: Path) -> None:
        found = identify(target)
        if found is not None:
            inode = (found.device, found.inode)
            if self._link and inode == _inode(os.stat(image)):
                return
            if inode in self._read:
                raise FileExistsError(0, "an image that is predicted is there")
            if not self._is_tagged:
                raise ReplacedError
        if self._link:
            link_file(image, target, found)
        else:
            with image_at(image).open() as file:
                copy_file(file.stream, target, found)


def _check_apart(named: Path, folder: Path, given: Sequence[str | Path]) -> None:
    """Make sure that nothing given holds the folder, lies in it, or is it; links are followed."""
    above = set(_chain(folder))
    own = _inode(os.stat(folder)) if folder.exists() else None
    for one in given:
        path = Path(one)
        if not path.exists():  # reported by who reads it
            continue
        places = {*_chain(Path(os.path.realpath(path))), *_chain(Path(os.path.realpath(path.parent)))}
        if _inode(os.stat(path)) in above or own in places:
            raise OutputError(
                f"`sort_into={named}`: {one} is predicted, and the folder is this one, lies in it, or holds it; choose "
                "a folder elsewhere"
            )


def _check_writable(named: Path, folder: Path) -> None:
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"`sort_into={named}`: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"`sort_into={named}`: nothing can be written into {place}; choose another folder")


def _chain(path: Path) -> Iterator[_Inode]:
    for place in (path, *path.parents):
        if place.exists():
            yield _inode(os.stat(place))


def _has_content(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entries)


def _is_tagged(folder: Path) -> bool:
    tag = folder / OUTPUT_TAG
    try:
        return stat.S_ISREG(os.lstat(tag).st_mode) and read_regular(tag, len(_TAG_TEXT)) == _TAG_TEXT
    except OSError:
        return False


def _inode(status: os.stat_result) -> _Inode:
    return status.st_dev, status.st_ino


def _inodes(images: Iterable[str]) -> Iterator[_Inode]:
    for image in images:
        try:
            yield _inode(os.stat(image))
        except (OSError, ValueError):  # a skipped one
            continue


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise FileExistsError(0, f"{folder.name} is a link or a file, not a folder") from None


def _shortened(stem: str, end: str) -> str:
    """Return a file name that is no longer than names may be, with its end."""
    room = 255 - len(os.fsencode(end))
    whole = os.fsencode(stem)
    return (os.fsdecode(whole) if len(whole) <= room else whole[:room].decode("utf-8", "ignore")) + end


def _folder_names(classes: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    used: set[str] = set()
    for label in classes:
        # What Windows forbids in names, so that the folder can be taken there.
        name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", label)
        name = os.fsencode(name)[:_LONGEST_NAME].decode("utf-8", "ignore").strip(" .") or "_"
        while name.casefold() in used:
            name += "_"
        used.add(name.casefold())
        names[label] = name
    return names
