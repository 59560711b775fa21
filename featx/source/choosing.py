"""Which source a path names: the one place that knows all kinds."""

from __future__ import annotations

import stat
from pathlib import Path

from featx.errors import DatasetError, DatasetNotFoundError
from featx.files import look_at
from featx.source.image_file import ImageFile
from featx.source.local import LocalFolder
from featx.source.source import Source
from featx.table import Sample


def source_at(path: Path) -> Source | None:
    """Return the source that a path names; None if it names a single file: an image or a list of images.

    Raises
    ------
    DatasetNotFoundError
        There is nothing.
    DatasetError
        It cannot be known what is there.
    """
    try:
        status = look_at(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None
    if status is None:
        raise DatasetNotFoundError(f"no such file or folder: {path}")
    return LocalFolder(path) if stat.S_ISDIR(status.st_mode) else None


def source_beside(path: Path) -> Source:
    """Return the source of which a file is part: what the names in a list of images are relative to."""
    return LocalFolder(path.parent)


def dataset_source(data: Path) -> Source:
    """Return what the sample ids of a data set are relative to: a source, or the one beside its manifest.

    Raises
    ------
    DatasetError
        As for :func:`source_at`.
    """
    return source_at(data) or source_beside(data)


def image_at(path: str | Path) -> ImageFile:
    """Return the image of a path; nothing is asked of the file."""
    path = Path(path)
    return ImageFile(Sample(path.name), source_beside(path))
