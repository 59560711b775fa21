"""Choose the source for a path; no other module distinguishes the kinds of sources."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from featx.errors import DatasetError, DatasetNotFoundError
from featx.files import path_status
from featx.source.image_file import ImageFile
from featx.source.local import LocalFolder
from featx.source.source import Source
from featx.table import Sample

_KINDS: dict[str, Callable[..., Source]] = {"local": lambda root: LocalFolder(Path(root))}


def source_at(path: Path) -> Source | None:
    """Return the source at a path; None for a single file: an image, a manifest or a list of paths.

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
        raise DatasetNotFoundError(
            f"no such file or folder: {path}; give an existing folder of images or an existing file"
        )
    return LocalFolder(path) if stat.S_ISDIR(status.st_mode) else None


def source_from(description: Mapping[str, str]) -> Source:
    """Return the source that :meth:`featx.source.Source.describe` describes."""
    fields = dict(description)
    return _KINDS[fields.pop("kind")](**fields)


def source_beside(path: Path) -> Source:
    """Return the folder of a file as a source; the paths in a manifest or list are relative to this folder."""
    return LocalFolder(path.parent)


def dataset_source(data: Path) -> Source:
    """Return the source to which the sample ids of a data set are relative: its folder, or the folder of its manifest.

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
