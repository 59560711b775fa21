"""Find the file that a manifest lists if the name of the file is spelled differently on the disk."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import Literal, NamedTuple

from featx.images import looks_like_image
from featx.source import Source

Difference = Literal["accents", "case", "ending"]
"""How names differ: in the Unicode form of accents, in upper and lower case, or by a missing ``.jpg``."""


class Spelled(NamedTuple):
    """A file that matches a given name.

    Parameters
    ----------
    name : str
        POSIX path of the file on the disk, relative to the root.
    difference : {"accents", "case", "ending"}
        Largest difference from the given name; a missing ending is larger than a difference in case, and this is larger
        than a difference in accents.
    """

    name: str
    difference: Difference


class Spellings:
    """Find files of a source whose names differ slightly from given names; every folder is listed only once.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._whole: dict[str, dict[str, list[str]]] = {}
        self._stems: dict[str, dict[str, list[str]]] = {}

    def find(self, path: str) -> Spelled | None:
        """Return the file that matches a relative path; None if no file matches or several files match."""
        *folders, name = path.split("/")
        here = ""
        difference: Difference = "accents"
        for folder in folders:
            found = self._match(here, folder)
            if found is None:
                return None
            here, difference = f"{here}{found.name}/", max(difference, found.difference)
        found = self._match(here, name) or self._ended(here, name)
        return None if found is None else Spelled(here + found.name, max(difference, found.difference))

    def _match(self, folder: str, name: str) -> Spelled | None:
        alike = self._listing(folder).get(_fold(name), [])
        same = [other for other in alike if unicodedata.normalize("NFC", other) == unicodedata.normalize("NFC", name)]
        if name in same or len(same) == 1:
            return Spelled(name if name in same else same[0], "accents")
        return Spelled(alike[0], "case") if len(alike) == 1 else None

    def _ended(self, folder: str, name: str) -> Spelled | None:
        self._listing(folder)
        ended = self._stems[folder].get(_fold(name), [])
        return Spelled(ended[0], "ending") if len(ended) == 1 else None

    def _listing(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._whole:
            self._whole[folder], self._stems[folder] = defaultdict(list), defaultdict(list)
            for name in self._source.names_in(folder):
                self._whole[folder][_fold(name)].append(name)
                if looks_like_image(name, b""):
                    self._stems[folder][_fold(name.rpartition(".")[0])].append(name)
        return self._whole[folder]


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
