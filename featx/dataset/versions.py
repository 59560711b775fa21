"""Names by which tools and people mark augmented versions of one image."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

_ENDINGS = "jpe?g|png|bmp|gif|tiff?|webp|avif|heic"
_ROBOFLOW = re.compile(rf"(?i)(.+)_(?:{_ENDINGS})\.rf\.[\w-]{{16,}}")
_AUGMENTOR = re.compile(rf"(?i).*?_original_(.+)\.(?:{_ENDINGS})_[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")
_AUGMENTOR_FOLDER = "output"
"""Augmentor writes into this folder below that of the images."""

_CHANGE = re.compile(
    "(aug(m|mented|mentation)?|flip(ped)?(lr|tb|ud|h|v)?|[hv]flip(ped)?|mirror(ed)?|rot(ate|ated|ation)?|crop(ped)?"
    "|bright(er|ness)?|dark(er)?|contrast|nois[ey]|blur(red|ry)?|gr[ae]y(scale)?|zoom(ed)?|shear(ed)?|shift(ed)?)"
    r"\d*(deg)?"
)
_NUMBER = re.compile(r"\d{1,4}(deg)?")
_BETWEEN_WORDS = "_-. "
_LONGEST = 255
"""Characters of a file's name; a manifest may hold longer ones, of no file."""

_MOST = 100
"""Images; a name that more of a folder share, as ``image`` of phones, says of none what it is a version of."""


def original_stem(name: str) -> str | None:
    """Return the name, without its ending, of the image that a tool says a file is an augmented version of.

    Parameters
    ----------
    name : str
        Of the file, without folder and ending.

    Returns
    -------
    str or None
        None for a name of another form.

    Examples
    --------
    >>> original_stem("rose_12_jpg.rf.6c1e2b7a90f04c55a0b1d3e7c2f4a689")
    'rose_12'
    """
    found = (_ROBOFLOW.fullmatch(name) or _AUGMENTOR.fullmatch(name)) if len(name) <= _LONGEST else None
    return None if found is None else found[1]


def find_versions(sample_ids: Sequence[str]) -> list[list[int]]:
    """Find augmented versions of one image by their names, with that image where it is there.

    They are files of one folder that Roboflow (``NAME_jpg.rf.HASH.jpg``) or Augmentor wrote, or whose names are that of
    another file of the folder and a change, as ``NAME_flip.jpg`` and ``NAME_aug_2.jpg`` beside ``NAME.jpg``.

    Parameters
    ----------
    sample_ids : sequence of str

    Returns
    -------
    list of list of int
        Positions of the members of each group, in order of first appearance.

    Examples
    --------
    >>> find_versions(["a/1.png", "a/1_rot90.png", "a/2.png", "b/1_rot90.png"])
    [[0, 1]]
    """
    places = [sample_id.rsplit(".", 1)[0] if "." in _name(sample_id) else sample_id for sample_id in sample_ids]
    there = set(places)
    members: dict[str, list[int]] = defaultdict(list)
    originals = set()
    for position, place in enumerate(places):
        original = _original(place, there)
        if original is not None:
            originals.add(original)
        members[original or place].append(position)
    return [group for place, group in members.items() if place in originals and 1 < len(group) <= _MOST]


def _original(place: str, there: Collection[str]) -> str | None:
    name = _name(place)
    folder = place[: len(place) - len(name)]
    stem = original_stem(name)
    if stem is not None:
        if _AUGMENTOR.fullmatch(name) and _name(folder[:-1]) == _AUGMENTOR_FOLDER:
            folder = folder[: -len(_AUGMENTOR_FOLDER) - 1]
        return folder + stem
    original = None
    while (shorter := _unchanged(name, folder, there)) is not None:  # a version of a version
        name = shorter
        original = folder + name
    return original


def _unchanged(name: str, folder: str, there: Collection[str]) -> str | None:
    """Return the name of a file that is there and that a name adds a change to."""
    is_changed = False
    while len(name) <= _LONGEST and (at := max(map(name.rfind, _BETWEEN_WORDS))) > 0:
        name, word = name[:at].rstrip(_BETWEEN_WORDS), name[at + 1 :].lower()
        if _CHANGE.fullmatch(word):
            is_changed = True
        elif not _NUMBER.fullmatch(word):
            return None
        if is_changed and folder + name in there:
            return name
    return None


def _name(path: str) -> str:
    return path.rpartition("/")[2]
