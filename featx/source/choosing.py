"""Choose the source for a path; the only module that knows all kinds of sources."""

from __future__ import annotations

import stat
from pathlib import Path

from featx.errors import DatasetError, DatasetNotFoundError
from featx.files import path_status
from featx.source.image_file import ImageFile
from featx.source.local import LocalFolder
from featx.source.source import Source
from featx.table import Sample


def source_at(path: Path) -> Source | None:
    """Return the source at a path; None for a single file, which is an image or a list of images.

    Raises
    ------
    DatasetNotFoundError
        If nothing exists at the path.
    DatasetError
        If the path cannot be read.
    """
    try:
        status = path_status(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from None
    if status is None:
        raise DatasetNotFoundError(f"no such file or folder: {path}")
    return LocalFolder(path) if stat.S_ISDIR(status.st_mode) else None


def source_beside(path: Path) -> Source:
    """Return the source that contains a file; the names in a list of images are relative to it."""
    return LocalFolder(path.parent)


def dataset_source(data: Path) -> Source:
    """Return the source that the sample ids of a data set are relative to: its folder, or that of its manifest.

    Raises
    ------
    DatasetError
        See :func:`source_at`.
    """
    return source_at(data) or source_beside(data)


def image_at(path: str | Path) -> ImageFile:
    """Return the image file at a path, without accessing the file."""
    path = Path(path)
    return ImageFile(Sample(path.name), source_beside(path))
