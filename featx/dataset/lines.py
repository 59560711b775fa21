"""Scan a list of paths, one a line, in blocks of images."""

from __future__ import annotations

import itertools
import os
import posixpath
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from featx.dataset.layout import shortened
from featx.dataset.manifest import LONGEST_NAME
from featx.dataset.scan import Dataset, images_at
from featx.errors import DatasetError, DatasetNotFoundError
from featx.source import Entries, ImageFile, ImageFiles, Place, Source, image_at, place_of, source_beside
from featx.table import Sample

STDIN = "-"
"""Name of the standard input as a list of paths."""

_PIECE = 1 << 20
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MARK = b"\xef\xbb\xbf"


def stream_lines(files_from: str | Place, size: int, *, may_be_empty: bool = False) -> Iterator[Dataset]:
    """Yield the images that a file lists, one path a line, in blocks and in the order of the lines.

    Parameters
    ----------
    files_from : path or other place
        The list, or ``-`` for the standard input. Lines end with a line feed, or with a carriage return and a line
        feed; if the list contains NUL characters, these end the paths instead. A byte order mark and empty lines are
        ignored; all other lines are paths, without quotes and comments. Bytes that are not UTF-8 are part of the name.
        Relative paths are relative to the folder of the list; those of the standard input or of a pipe are relative to
        the working folder. A line may also be an address, such as ``s3://bucket/1.jpg``.
    size : int
        Number of images of a block.
    may_be_empty : bool
        Whether the list may have no paths.

    Raises
    ------
    DatasetError
        If the list cannot be read, is empty, is UTF-16, or has too long lines; or if none of the files in the first
        block exists.
    """
    name = "the standard input" if str(files_from) == STDIN else str(files_from)
    beside, stream = _opened(files_from)
    with stream:
        lines = _lines(stream, name)
        is_first = True
        while texts := list(itertools.islice(lines, size)):
            images = _images_of(beside, texts)
            if is_first and (images.stamps[:, 0] < 0).all():
                where = "the working folder" if beside == Path() else f"the folder {beside}"
                raise DatasetError(
                    f"no file of the {len(texts):,} paths in {name} exists; the first is {shortened(texts[0])}. "
                    f"Relative paths are relative to {where}"
                )
            is_first = False
            yield Dataset(name, Path(), "", "", images, Entries.of([]))
        if is_first and not may_be_empty:
            raise DatasetError(f"{name} lists no images")


def _opened(files_from: str | Place) -> tuple[Place, BinaryIO]:
    """Return the folder to which the paths of a list are relative, and the open list."""
    if str(files_from) == STDIN:
        return Path(), os.fdopen(os.dup(sys.stdin.fileno()), "rb")
    path = place_of(files_from)
    try:
        if not isinstance(path, Path):
            return path.parent, source_beside(path).open(path.name).stream
        stream = path.open("rb")  # also a pipe, as of <(find ...)
        is_file = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
        return path.parent if is_file else Path(), stream
    except FileNotFoundError:
        raise DatasetNotFoundError(f"`files_from={path}`: no such file; give an existing list of paths") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"`files_from={path}` cannot be read: {reason}") from None


def _lines(stream: BinaryIO, name: str) -> Iterator[str]:
    piece = stream.read(_PIECE)
    if piece.startswith(_WIDE_MARKS):
        raise DatasetError(f"{name} is UTF-16; expected a list in UTF-8, with one path a line")
    piece = piece.removeprefix(_MARK)
    end = b"\0" if b"\0" in piece else b"\n"
    rest, n = b"", 0
    while piece:
        *lines, rest = (rest + piece).split(end)
        for line in (*lines, rest):
            n += 1
            if len(line) > LONGEST_NAME:
                raise DatasetError(
                    f"{name}, line {n:,}: the path has more than {LONGEST_NAME:,} bytes, but no file has such a long "
                    "path; expected one path a line"
                )
        n -= 1
        yield from _texts(lines, end)
        piece = stream.read(_PIECE)
    yield from _texts([rest], end)


def _texts(lines: Iterable[bytes], end: bytes) -> Iterator[str]:
    for line in lines:
        path = line.removesuffix(b"\r") if end == b"\n" else line
        if path:
            yield path.decode("utf-8", "surrogateescape")


def _images_of(beside: Place, texts: Sequence[str]) -> ImageFiles:
    source = source_beside(beside / "list")
    return images_at([_image_of(beside, source, text) for text in texts])


def _image_of(beside: Place, source: Source, text: str) -> ImageFile:
    if "://" in text:
        return image_at(text)
    if os.sep == "/" and not text.startswith("/") and ".." not in text:  # without an object of pathlib, for speed
        return ImageFile(Sample(os.path.normpath(text)), source)
    path = Path(text)
    if not isinstance(beside, Path):
        return image_at(path) if path.anchor else ImageFile(Sample(posixpath.normpath(text)), source)
    if path.anchor or ".." in path.parts:
        return image_at(beside / path)
    return ImageFile(Sample(path.as_posix()), source)
