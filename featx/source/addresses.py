"""Source of the files that a manifest lists: beside the manifest, in archives, and at addresses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.source.archive import Archive
from featx.source.entries import Entry
from featx.source.local import LocalFolder
from featx.source.place import Member, Url, place_from_id
from featx.source.remote import RemoteFolder
from featx.source.source import OpenFile, Source, do_nothing, do_nothing_with
from featx.table import OwnFolder, Stamp

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(frozen=True)
class Addresses(Source):
    """Files beside a manifest, and files at addresses whose sample ids are made of the addresses.

    Parameters
    ----------
    beside : Source
        Folder of the manifest.
    """

    beside: Source

    @property
    def name(self) -> str:
        """Name of the folder of the manifest."""
        return self.beside.name

    @property
    def uses_network(self) -> bool:
        """Return True."""
        return True

    def entries(self, leave_out: Callable[[OwnFolder], None] = do_nothing) -> Iterator[Entry]:
        """Yield the files beside the manifest."""
        return self.beside.entries(leave_out)

    def stat(self, sample_id: str) -> Stamp:
        """Return the stamp of a file."""
        source, name = self._source(sample_id)
        return source.stat(name)

    def stats(self, sample_ids: Sequence[str], progress: Callable[[int], None] = do_nothing_with) -> NDArray[np.int64]:
        """Return the stamps of some files; those of one source are queried together."""
        stamps, groups = np.empty((len(sample_ids), 4), np.int64), dict[Source, list[tuple[int, str]]]()
        for at, sample_id in enumerate(sample_ids):
            source, name = self._source(sample_id)
            groups.setdefault(source, []).append((at, name))
        for source, members in groups.items():
            stamps[[at for at, _ in members]] = source.stats([name for _, name in members], progress)
        return stamps

    def address(self, sample_id: str) -> str:
        """Return the path or the address of a file."""
        source, name = self._source(sample_id)
        return source.address(name)

    def folders_in(self, parent: str, known: Collection[str] = ()) -> list[str]:
        """Return the subfolders of a folder beside the manifest."""
        return self.beside.folders_in(parent, known)

    def names_in(self, folder: str) -> list[str]:
        """Return the names in a folder beside the manifest."""
        return self.beside.names_in(folder)

    def describe(self) -> dict[str, str]:
        """Return the description of the folder of the manifest."""
        return {f"beside_{key}": value for key, value in self.beside.describe().items()} | {"kind": "addresses"}

    def locator(self, sample_id: str) -> str:
        """Return the locator of a file in its own source."""
        source, name = self._source(sample_id)
        return source.locator(name)

    def open(self, sample_id: str) -> OpenFile:
        """Open a file for reading."""
        source, name = self._source(sample_id)
        return source.open(name)

    def open_at(self, sample_id: str, locator: str) -> OpenFile:
        """Open a file for reading, given its locator."""
        source, name = self._source(sample_id)
        return source.open_at(name, locator)

    def request(self, sample_id: str, locator: str, size: int, most: int) -> Future[OpenFile] | None:
        """Begin to fetch a file at an address."""
        source, name = self._source(sample_id)
        return source.request(name, locator, size, most)

    def _source(self, sample_id: str) -> tuple[Source, str]:
        """Return the source of a file, and its name there."""
        place = place_from_id(sample_id)
        if isinstance(place, Url):
            host, _, name = place.path.partition("/")
            return RemoteFolder(Url(place.scheme, host)), name
        if isinstance(place, Member):
            archive = place.archive
            if isinstance(archive, Path) and isinstance(self.beside, LocalFolder):
                archive = self.beside.root / archive
            if isinstance(archive, Url) or archive.is_file():
                return Archive(Member(place.scheme, "", archive)), place.inside
        return self.beside, sample_id
