"""Choose the source for a path; no other module distinguishes the kinds of sources."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from featx.errors import DatasetError, DatasetNotFoundError
from featx.files import path_status
from featx.source.addresses import Addresses
from featx.source.archive import Archive
from featx.source.image_file import ImageFile
from featx.source.local import LocalFolder
from featx.source.place import ARCHIVE_SUFFIXES, Member, Place, Url, place_of
from featx.source.remote import RemoteFolder
from featx.source.source import UNKNOWN, Source
from featx.table import Sample

_KINDS: dict[str, Callable[..., Source]] = {
    "local": lambda root: LocalFolder(Path(root)),
    "remote": lambda root: RemoteFolder(_url(root)),
    "addresses": lambda **beside: Addresses(
        source_from({name.removeprefix("beside_"): value for name, value in beside.items()})
    ),
    "zip": lambda archive, inside: Archive(Member("zip", inside, _archive(archive))),
    "tar": lambda archive, inside: Archive(Member("tar", inside, _archive(archive))),
}


def _archive(text: str) -> Path | Url:
    place = place_of(text)
    assert not isinstance(place, Member)
    return place


def _url(text: str) -> Url:
    place = place_of(text)
    assert isinstance(place, Url)
    return place


def source_at(data: str | Place) -> Source | None:
    """Return the source at a place; None for a single file: an image, a manifest or a list of paths.

    Raises
    ------
    DatasetNotFoundError
        If nothing exists at the place.
    DatasetError
        If the place cannot be read.
    """
    place = place_of(data)
    if isinstance(place, Member):
        return None if _is_member(place) else Archive(place)
    if isinstance(place, Url):
        return _remote_source(place)
    try:
        status = path_status(place)
    except OSError as error:
        raise DatasetError(f"{place} cannot be read: {error.strerror or error}") from None
    if status is None:
        raise DatasetNotFoundError(
            f"no such file or folder: {place}; give an existing folder of images or an existing file"
        )
    if stat.S_ISDIR(status.st_mode):
        return LocalFolder(place)
    scheme = ARCHIVE_SUFFIXES.get(place.suffix.lower())
    return None if scheme is None else Archive(Member(scheme, "", place))


def _remote_source(url: Url) -> Source | None:
    """Return the source at an address; None for an object that is not an archive."""
    scheme = ARCHIVE_SUFFIXES.get(url.suffix.lower())
    if scheme is not None:
        return Archive(Member(scheme, "", url))
    if url.scheme in ("http", "https"):
        return None
    is_object = "/" in url.path and RemoteFolder(url.parent).stat(url.name) != UNKNOWN
    return None if is_object else RemoteFolder(url)


def _is_member(place: Member) -> bool:
    return bool(place.inside) and Archive(place.parent).stat(place.name) != UNKNOWN


def source_from(description: Mapping[str, str]) -> Source:
    """Return the source that :meth:`featx.source.Source.describe` describes."""
    fields = dict(description)
    return _KINDS[fields.pop("kind")](**fields)


def source_beside(data: str | Place) -> Source:
    """Return the folder of a file as a source; the paths in a manifest or list are relative to this folder."""
    place = place_of(data)
    if isinstance(place, Member):
        return Archive(place.parent)
    return RemoteFolder(place.parent) if isinstance(place, Url) else LocalFolder(place.parent)


def dataset_source(data: str | Place) -> Source:
    """Return the source to which the sample ids of a data set are relative: its folder, or the folder of its manifest.

    Raises
    ------
    DatasetError
        See :func:`source_at`.
    """
    return source_at(data) or Addresses(source_beside(data))


def is_local(data: str | Place) -> bool:
    """Return whether a place is a path on this machine, and not that of an archive."""
    place = place_of(data)
    return isinstance(place, Path) and (place.suffix.lower() not in ARCHIVE_SUFFIXES or place.is_dir())


def image_at(data: str | Place) -> ImageFile:
    """Return the image file at a place, without accessing the file."""
    place = place_of(data)
    return ImageFile(Sample(place.name), source_beside(place))
