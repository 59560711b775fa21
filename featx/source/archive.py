"""Source of images in an archive, which is not unpacked."""

from __future__ import annotations

import errno
import functools
import hashlib
import struct
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from featx.errors import DatasetError
from featx.files import check_relative_path
from featx.source.blob import Blob, LocalBlob
from featx.source.entries import Entry
from featx.source.flat import FlatIndex, Found
from featx.source.members import ArchiveMember, DamagedArchiveError
from featx.source.place import Member, Url
from featx.source.remote import RemoteBlob
from featx.source.source import UNKNOWN, OpenFile, Source, do_nothing
from featx.source.tar_format import open_tar_member, tar_member_at, tar_members
from featx.source.walk import LONGEST_TAG
from featx.source.zip_format import open_zip_member, zip_member_at, zip_members
from featx.table import OwnFolder, Stamp

_KEPT = 4
"""Number of archives whose index is kept."""


@dataclass(frozen=True)
class ArchiveFormat:
    """How an archive format is read.

    Parameters
    ----------
    members : callable
        Function of a blob that yields all members.
    member_at : callable
        Function of a blob and a position that returns the member there.
    open_member : callable
        Function of a blob and a member that returns its content as a file, which closes the blob.
    """

    members: Callable[[Blob], Iterator[ArchiveMember]]
    member_at: Callable[[Blob, int], ArchiveMember]
    open_member: Callable[[Blob, ArchiveMember], BinaryIO]


FORMATS = {
    "zip": ArchiveFormat(zip_members, zip_member_at, open_zip_member),
    "tar": ArchiveFormat(tar_members, tar_member_at, open_tar_member),
}
"""Formats of archives, by scheme."""


@dataclass(frozen=True)
class Archive(Source):
    """The files of an archive, or of a folder in it.

    A file counts as unchanged only if the archive is unchanged: its stamp contains those of the archive and the
    position, the size and the check sum of the member.

    Parameters
    ----------
    place : Member
        Archive, with a folder inside or none.
    """

    place: Member

    @property
    def name(self) -> str:
        """Address of the folder in the archive, or path of the archive."""
        return str(self.place if self.place.inside else self.place.archive)

    @property
    def uses_network(self) -> bool:
        """Whether the archive is in object storage or on a web server."""
        return isinstance(self.place.archive, Url)

    def entries(self, leave_out: Callable[[OwnFolder], None] = do_nothing) -> Iterator[Entry]:
        """Yield the files of the archive; a member that must not be read has a reason."""
        index, inside = self._index(), self.place.inside
        what = index.own(inside)
        if what:
            raise DatasetError(f"{self.name} is not scanned, because a tag marks it as {what}; give another archive")
        return index.entries(inside, leave_out)

    def stat(self, sample_id: str) -> Stamp:
        """Return the stamp of a member."""
        try:
            return self._index().stat(self._inside(sample_id))
        except (DatasetError, OSError):  # the reason is reported when the file is read
            return UNKNOWN

    def address(self, sample_id: str) -> str:
        """Return the address of a member, such as ``zip://cat/1.png::images.zip``."""
        return (self.place / sample_id).as_posix()

    def folders_in(self, parent: str, known: Collection[str] = ()) -> list[str]:
        """Return the subfolders of a folder without the known subfolders."""
        inside, cut = self.place.inside, len(self.place.inside) + 1 if self.place.inside else 0
        found = self._index().folders_in("/".join(filter(None, (inside, parent))))
        return [name[cut:] for name in found if name[cut:] not in known]

    def names_in(self, folder: str) -> list[str]:
        """Return the names of files and folders in a folder."""
        try:
            return self._index().names_in("/".join(filter(None, (self.place.inside, folder))))
        except DatasetError:
            return []

    def describe(self) -> dict[str, str]:
        """Return the format, the absolute path of the archive, and the folder inside."""
        place = self.place.resolve()
        return {"kind": place.scheme, "archive": str(place.archive), "inside": place.inside}

    def locator(self, sample_id: str) -> str:
        """Return the position of a member in the archive."""
        try:
            index = self._index()
        except DatasetError:
            return ""
        at = index.find(self._inside(sample_id))
        return "" if at < 0 else str(index.positions[at])

    def open(self, sample_id: str) -> OpenFile:
        """Open a member for reading; see :meth:`featx.source.Source.open`."""
        check_relative_path(sample_id)
        try:
            index = self._index()
        except DatasetError as error:
            raise OSError(errno.EIO, str(error)) from None
        at = index.find(self._inside(sample_id))
        if at < 0:
            raise FileNotFoundError(errno.ENOENT, "no such file in the archive", sample_id)
        if index.reason(at):
            raise OSError(errno.EINVAL, index.reason(at))
        return self.open_at(sample_id, str(index.positions[at]))

    def open_at(self, sample_id: str, locator: str) -> OpenFile:
        """Open a member whose position another process has found."""
        if not locator:
            return self.open(sample_id)
        blob, known = self._blob(), FORMATS[self.place.scheme]
        try:
            member = known.member_at(blob, int(locator))
            if member.name != self._inside(sample_id):
                raise DamagedArchiveError("another file is there")
            if member.reason:
                raise OSError(errno.EINVAL, member.reason)
            stream = known.open_member(blob, member)
        except DamagedArchiveError:
            blob.close()
            raise OSError(errno.EIO, "the archive was changed while it was read; the next run tries again") from None
        except BaseException:
            blob.close()
            raise
        return OpenFile(stream, lambda: member_stamp(blob.stamp(), member))

    def _inside(self, sample_id: str) -> str:
        return f"{self.place.inside}/{sample_id}" if self.place.inside else sample_id

    def _blob(self) -> Blob:
        return open_blob(self.place.archive)

    def _index(self) -> FlatIndex:
        """Return the index of the archive.

        Raises
        ------
        DatasetError
            If the archive cannot be read.
        """
        archive = self.place.archive
        try:
            blob = self._blob()
            try:
                stamp = blob.stamp()
            finally:
                blob.close()
            return _read_index(self.place.scheme, archive.resolve(), stamp)
        except DamagedArchiveError as error:
            raise DatasetError(
                f"the archive {archive} cannot be used: {error}; make or download the archive again, or unpack what "
                "is left of it and give the folder"
            ) from None
        except OSError as error:
            raise DatasetError(f"the archive {archive} cannot be read: {error.strerror or error}") from None


def open_blob(archive: Path | Url) -> Blob:
    """Open an archive for reading at any position.

    Raises
    ------
    OSError
        If the archive cannot be opened.
    """
    return LocalBlob(archive) if isinstance(archive, Path) else _remote_blob(archive)


@functools.lru_cache(_KEPT)
def _remote_blob(archive: Url) -> Blob:
    return RemoteBlob(archive)


def member_stamp(archive: Stamp, member: ArchiveMember) -> Stamp:
    """Return the stamp of a member: the times of the archive, and a digest of what else identifies the member."""
    numbers = (archive.size, archive.inode, member.position, member.start, member.crc)
    digest = hashlib.blake2b(struct.pack("<5Q", *(number % (1 << 64) for number in numbers)), digest_size=8).digest()
    return Stamp(member.size, archive.mtime_ns, int.from_bytes(digest) >> 1, archive.ctime_ns)


@functools.lru_cache(_KEPT)
def _read_index(scheme: str, archive: Path | Url, stamp: Stamp) -> FlatIndex:
    """Return the index of an archive that has a stamp; it is read again when the stamp changes."""
    blob, known = open_blob(archive), FORMATS[scheme]

    def read_tag(name: str, position: int) -> bytes | None:
        try:
            with known.open_member(open_blob(archive), known.member_at(blob, position)) as tag:
                return tag.read(LONGEST_TAG)
        except OSError:
            return None

    try:
        found = (
            Found(member.name, member_stamp(stamp, member), member.position, member.reason)
            for member in known.members(blob)
        )
        return FlatIndex(found, read_tag)
    finally:
        blob.close()
