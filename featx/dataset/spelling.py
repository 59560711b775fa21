"""Find the file that a manifest means where its name is spelled otherwise on the disk."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import Literal, NamedTuple

from featx.images import looks_like_image
from featx.source import Source

Difference = Literal["accents", "case", "ending"]
"""How a name differs: in the Unicode form of its accents, in upper and lower case, by a missing ``.jpg``."""


class Spelled(NamedTuple):
    """A file that a name means.

    Parameters
    ----------
    name : str
        Its path as the disk has it, POSIX, relative to the root.
    difference : {"accents", "case", "ending"}
        The largest difference to what was looked for.
    """

    name: str
    difference: Difference


class Spellings:
    """Looks for files of a source whose names differ from what is asked for; each folder is listed once.

    Parameters
    ----------
    source : Source
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._whole: dict[str, dict[str, list[str]]] = {}
        self._stems: dict[str, dict[str, list[str]]] = {}

    def find(self, path: str) -> Spelled | None:
        """Return the one file that a relative path can mean; None if there is none, or more than one."""
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
        same = [one for one in alike if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", name)]
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
