"""Places of data: a local path, the address of an object or a folder in remote storage, or a member of an archive."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

from featx.errors import DatasetError

REMOTE_SCHEMES = ("s3", "gs", "az", "https", "http")
"""Schemes of addresses that are read over the network."""

ARCHIVE_SUFFIXES = {".zip": "zip", ".tar": "tar"}
"""Endings of archives, and the scheme of their members."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
_ALIASES = {"s3a": "s3", "gcs": "gs", "abfs": "az", "abfss": "az"}
_CHAIN = "::"
_QUERY = re.compile(r"(?i)(https?://[^\s?,;'\"]*)\?[^\s,;'\"]*")


@dataclass(frozen=True)
class Url:
    """Address of an object or of a folder in remote storage; it has the methods of a path that featx uses.

    Parameters
    ----------
    scheme : str
        One of :data:`REMOTE_SCHEMES`.
    path : str
        Bucket or host, and path.
    """

    scheme: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    @property
    def name(self) -> str:
        """Last part of the path."""
        return posixpath.basename(self.path)

    @property
    def stem(self) -> str:
        """Last part of the path without its ending."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """Ending of the last part of the path."""
        return posixpath.splitext(self.name)[1] if "/" in self.path else ""

    @property
    def parent(self) -> Url:
        """Folder of the object; of a bucket or host, the bucket or host itself."""
        return Url(self.scheme, posixpath.dirname(self.path) or self.path)

    def __truediv__(self, name: str) -> Url:
        return Url(self.scheme, f"{self.path}/{name}" if name else self.path)

    def as_posix(self) -> str:
        """Return the address."""
        return str(self)

    def resolve(self) -> Url:
        """Return the address itself."""
        return self

    def exists(self) -> bool:
        """Return True, because no server is asked."""
        return True


@dataclass(frozen=True)
class Member:
    """A member of an archive, or a folder in an archive.

    Parameters
    ----------
    scheme : {"zip", "tar"}
    inside : str
        POSIX path in the archive; empty for all members.
    archive : path or Url
    """

    scheme: str
    inside: str
    archive: Path | Url

    def __str__(self) -> str:
        return f"{self.scheme}://{self.inside}{_CHAIN}{self.archive}"

    @property
    def name(self) -> str:
        """Last part of the path in the archive, or the name of the archive."""
        return posixpath.basename(self.inside) or self.archive.name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """Ending of the name; empty for all members of an archive."""
        return posixpath.splitext(self.name)[1] if self.inside else ""

    @property
    def parent(self) -> Member:
        """Folder of the member."""
        return Member(self.scheme, posixpath.dirname(self.inside), self.archive)

    def __truediv__(self, name: str) -> Member:
        return Member(self.scheme, posixpath.join(self.inside, name), self.archive)

    def as_posix(self) -> str:
        """Return the address with slashes."""
        return f"{self.scheme}://{self.inside}{_CHAIN}{self.archive.as_posix()}"

    def resolve(self) -> Member:
        """Return the member of the archive at its absolute path."""
        return Member(self.scheme, self.inside, self.archive.resolve())

    def exists(self) -> bool:
        """Return whether a local archive exists; True for others."""
        return self.archive.exists()


_queries: dict[Url, str] = {}
"""Query strings of web addresses, which may contain credentials. They are kept apart, so that no text contains them."""

Place = Path | Url | Member
"""Where data are."""


def place_of(given: str | Place) -> Place:
    """Return the place that a path or an address names; nothing is accessed.

    A ``Path`` of an address, which has lost the second slash after the scheme, is understood too.

    Raises
    ------
    DatasetError
        If the address contains a user name or a password, or is incomplete.

    Examples
    --------
    >>> from featx.source import place_of
    >>> print(place_of("https://example.org/a.jpg?Signature=1"), place_of("zip://cat/1.png::images.zip").name)
    https://example.org/a.jpg 1.png
    """
    if isinstance(given, Url | Member):
        return given
    text = os.fspath(given)
    found = _SCHEME.match(text)
    scheme = "" if found is None else _ALIASES.get(found[1].lower(), found[1].lower())
    if found is None or scheme not in (*REMOTE_SCHEMES, *ARCHIVE_SUFFIXES.values()):
        return Path(given)
    rest = text[found.end() :]
    if scheme in ARCHIVE_SUFFIXES.values():
        return _member(scheme, rest)
    query = ""
    if scheme in ("http", "https"):
        rest, _, query = rest.partition("#")[0].partition("?")
    host = rest.partition("/")[0]
    if "@" in host:
        raise DatasetError(
            f"the address {scheme}://...@{host.rpartition('@')[2]} contains a user name or a password, which would be "
            "shown and stored; remove it, and set the credentials in the environment"
        )
    if not host:
        raise DatasetError(f"the address {scheme}:// names no bucket or host; give {scheme}://BUCKET/FOLDER")
    url = Url(scheme, rest.rstrip("/"))
    if query:
        _queries[url] = query
    return url


def without_query(text: str) -> str:
    """Return a text in which the query strings of web addresses, which may contain credentials, are left out.

    Examples
    --------
    >>> from featx.source import without_query
    >>> without_query("no such file: https://example.org/a.jpg?Signature=1")
    'no such file: https://example.org/a.jpg'
    """
    return _QUERY.sub(r"\1", text) if "://" in text else text


def query_of(url: Url) -> str:
    """Return the query string with which the address was given to this process; it is never shown or stored."""
    return _queries.get(url, "")


def _member(scheme: str, rest: str) -> Member:
    inside, mark, archive = rest.partition(_CHAIN)
    if not mark:
        inside, archive = "", rest
    place = place_of(archive) if archive else Path()
    if not archive or isinstance(place, Member):
        raise DatasetError(f"{scheme}://{rest} names no archive; give {scheme}://FOLDER{_CHAIN}ARCHIVE.{scheme}")
    inside = posixpath.normpath(inside).strip("/") if inside else ""
    return Member(scheme, "" if inside == "." else inside, place)


def relative_id(place: Place) -> str:
    """Return the sample id of a place outside the folder of its manifest: a relative path that names the place.

    :func:`place_from_id` is the inverse. The member of an archive has the id of the archive, and the path inside.
    """
    if isinstance(place, Member):
        return f"{relative_id(place.archive)}/{place.inside}"
    return f"{place.scheme}:/{place.path}" if isinstance(place, Url) else place.as_posix()


def place_from_id(sample_id: str) -> Place:
    """Return the place that a sample id names; see :func:`relative_id`."""
    place = place_of(sample_id)
    parts = place.path.split("/") if isinstance(place, Url) else sample_id.split("/")
    for at, part in enumerate(parts[:-1], start=1):
        scheme = ARCHIVE_SUFFIXES.get(posixpath.splitext(part)[1].lower())
        if scheme is not None and (not isinstance(place, Url) or at > 1):
            archive = "/".join(parts[:at])
            whole = Url(place.scheme, archive) if isinstance(place, Url) else Path(archive)
            return Member(scheme, "/".join(parts[at:]), whole)
    return place
