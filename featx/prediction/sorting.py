"""Sort images into one folder for each predicted class."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from featx.errors import OutputError
from featx.files import ReplacedError, identify, read_regular
from featx.output import copy_file, link_file, reason_of, write_new
from featx.source import OUTPUT_TAG, Place, image_at

_TAG_TEXT = b"Images sorted by featx; never scanned as data.\n"
_LONGEST_NAME = 200

_Inode = tuple[int, int]
"""Device number and inode number of a file; all hard links to a file have the same numbers."""


class Sorter:
    """Copy or link images into ``folder/<class>/``; input images are never replaced.

    Parameters
    ----------
    folder : path
        New or empty folder, or with ``overwrite`` also a folder of an earlier run. The folder may neither contain an
        input nor lie in an input folder.
    classes : sequence of str
        Names of the classes.
    given : sequence of path
        Input files and folders.
    link : bool
        Create hard links instead of copies. Links need no space, but are possible only on the same disk.
    overwrite : bool
        Also accept a folder of an earlier run, and replace images with the same name in this folder.

    Raises
    ------
    OutputError
        If the folder cannot be used or created; in this case, nothing is written.
    """

    def __init__(
        self, folder: Path, classes: Sequence[str], given: Sequence[str | Path], link: bool, overwrite: bool
    ) -> None:
        self._named = folder
        self._link = link
        self._names = _folder_names(classes)
        self._taken: dict[str, Place] = {}
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
                f"`sort_into={self._named}`: the folder is not empty and was not made by featx; choose another folder"
            )
        if not overwrite:
            raise OutputError(
                f"`sort_into={self._named}`: the folder is not empty; add `overwrite=True`, or choose another folder"
            )

    def begin(self, images: Iterable[str]) -> None:
        """Create the folder, and mark it as output of featx, so that it is never scanned as data.

        Parameters
        ----------
        images : iterable of str
            Paths of all predicted images.

        Raises
        ------
        OutputError
            If the folder cannot be created, or another run created it in the meantime.
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
                f"`sort_into={self._named}`: another run created this folder in the meantime; choose another folder"
            ) from None
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"`sort_into={self._named}`: {reason_of(error)}") from None

    def place(self, image: Place, label: str) -> Path:
        """Copy or link an image into the folder of a class, completely or not at all, and return the new path.

        Raises
        ------
        OutputError
            If the image cannot be written, or would replace an input image.
        """
        target = self._folder / self._names[label] / _shortened(image.stem, image.suffix)
        if self._taken.get(target.as_posix().casefold()) == image:  # the same image was given twice
            return target
        if target.as_posix().casefold() in self._taken:  # another image with this name, from another folder
            mark = hashlib.sha256(os.fsencode(str(image))).hexdigest()[:8]
            target = target.with_name(_shortened(image.stem, f"-{mark}{image.suffix}"))
        known = self._taken.setdefault(target.as_posix().casefold(), image)
        if known is not image:
            return target
        try:
            _make_folder(target.parent)
            self._put(image, target)
        except OSError as error:
            reason = "another file has this path" if isinstance(error, ReplacedError) else reason_of(error)
            raise OutputError(
                f"{image} cannot be put into {target.parent}: {reason}. The images sorted so far are complete, "
                "and the computed features are in the cache; run the command again with another `sort_into`, or with "
                "`overwrite=True`"
            ) from None
        return target

    def _put(self, image: Place, target: Path) -> None:
        existing = identify(target)
        if existing is not None:
            inode = (existing.device, existing.inode)
            if self._link and isinstance(image, Path) and inode == _inode(os.stat(image)):
                return
            if inode in self._read:
                raise FileExistsError(0, "an input image has this path")
            if not self._is_tagged:
                raise ReplacedError
        if self._link:
            if not isinstance(image, Path):
                raise OSError(errno.EINVAL, "only local files can be linked; leave out `link`")
            link_file(image, target, existing)
        else:
            with image_at(image).open() as file:
                copy_file(file.stream, target, existing)


def _check_apart(named: Path, folder: Path, given: Sequence[str | Path]) -> None:
    """Check that no input is the folder, contains the folder or lies in the folder, after resolving links."""
    above = set(_chain(folder))
    own = _inode(os.stat(folder)) if folder.exists() else None
    for name in given:
        path = Path(name)
        if not path.exists():  # reported when it is read
            continue
        places = {*_chain(Path(os.path.realpath(path))), *_chain(Path(os.path.realpath(path.parent)))}
        if _inode(os.stat(path)) in above or own in places:
            raise OutputError(
                f"`sort_into={named}`: the folder is, contains or lies in {name}, which is predicted; choose another "
                "folder"
            )


def _check_writable(named: Path, folder: Path) -> None:
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise OutputError(f"`sort_into={named}`: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"`sort_into={named}`: {place} is not writable; choose another folder")


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
        except (OSError, ValueError):  # a skipped image
            continue


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise FileExistsError(0, f"{folder.name} is a link or a file, not a folder") from None


def _shortened(stem: str, end: str) -> str:
    """Return the name ``stem + end``; the stem is shortened if the name would have more than 255 bytes."""
    room = 255 - len(os.fsencode(end))
    whole = os.fsencode(stem)
    return (os.fsdecode(whole) if len(whole) <= room else whole[:room].decode("utf-8", "ignore")) + end


def _folder_names(classes: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    used: set[str] = set()
    for label in classes:
        # Windows forbids these characters; without them, the folder can be copied to Windows.
        name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", label)
        name = os.fsencode(name)[:_LONGEST_NAME].decode("utf-8", "ignore").strip(" .") or "_"
        while name.casefold() in used:
            name += "_"
        used.add(name.casefold())
        names[label] = name
    return names
