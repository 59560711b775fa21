"""Recognize augmented versions of an image by their file names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence

_ENDINGS = "jpe?g|png|bmp|gif|tiff?|webp|avif|heic"
_ROBOFLOW = re.compile(rf"(?i)(.+)_(?:{_ENDINGS})\.rf\.[\w-]{{16,}}")
_AUGMENTOR = re.compile(rf"(?i).*?_original_(.+)\.(?:{_ENDINGS})_[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")
_AUGMENTOR_FOLDER = "output"
"""Name of the subfolder of the image folder into which Augmentor writes."""

_CHANGE = re.compile(
    "(aug(m|mented|mentation)?|flip(ped)?(lr|tb|ud|h|v)?|[hv]flip(ped)?|mirror(ed)?|rot(ate|ated|ation)?|crop(ped)?"
    "|bright(er|ness)?|dark(er)?|contrast|nois[ey]|blur(red|ry)?|gr[ae]y(scale)?|zoom(ed)?|shear(ed)?|shift(ed)?)"
    r"\d*(deg)?"
)
_NUMBER = re.compile(r"\d{1,4}(deg)?")
_COPY = re.compile(r"(?i)(.+?)[-_ (]+(?:copy|copie|kopie|copia)[_ ]?(?:\d{1,4}|\(\d{1,4}\))?\)?")
_BETWEEN_WORDS = "_-. "
_LONGEST = 255
"""Maximum number of characters in a file name; a manifest may contain longer names, which no file has."""

_MOST = 100
"""Maximum number of versions of an image. If more images of a folder have the same original name, such as ``image``
for photographs from a phone, this name does not identify one original."""


def original_stem(name: str) -> str | None:
    """Return the name of the original image from the name of an augmented version of Roboflow or Augmentor.

    Parameters
    ----------
    name : str
        Name of the augmented version, without the folder and the ending.

    Returns
    -------
    str or None
        Name of the original, without the ending; None if the name has another form.

    Examples
    --------
    >>> original_stem("rose_12_jpg.rf.6c1e2b7a90f04c55a0b1d3e7c2f4a689")
    'rose_12'
    """
    found = (_ROBOFLOW.fullmatch(name) or _AUGMENTOR.fullmatch(name)) if len(name) <= _LONGEST else None
    return None if found is None else found[1]


def stem_without_change(name: str) -> str:
    """Return a name without the words for a change or a copy at its beginning and end; any other name unchanged.

    Parameters
    ----------
    name : str
        File name without the folder and the ending.

    Examples
    --------
    >>> stem_without_change("img_12_flip_2"), stem_without_change("aug_rose"), stem_without_change("rose - Copy (2)")
    ('img_12', 'rose', 'rose')
    """
    while len(name) <= _LONGEST:
        copied = _COPY.fullmatch(name)
        shorter = copied[1] if copied else _without_last_change(name) or _without_first_change(name)
        if shorter is None:
            break
        name = shorter
    return name


def _without_first_change(name: str) -> str | None:
    """Return a name without its first word, if this is a word for a change or empty; None for another name."""
    at = min((found for mark in _BETWEEN_WORDS if (found := name.find(mark)) >= 0), default=-1)
    word, rest = name[: max(at, 0)].lower(), name[at + 1 :].lstrip(_BETWEEN_WORDS)
    may_be_number = word[-1:].isdigit() and not any(map(str.isalpha, rest))  # as in aug12_0
    is_change = not word or _CHANGE.fullmatch(word)
    return rest if at >= 0 and rest and is_change and not may_be_number else None


def _without_last_change(name: str) -> str | None:
    """Return a name without the last word for a change and the numbers after it; None if there is no such word."""
    while (at := max(map(name.rfind, _BETWEEN_WORDS))) > 0 and (rest := name[:at].rstrip(_BETWEEN_WORDS)):
        word = name[at + 1 :].lower()
        if _CHANGE.fullmatch(word):
            return rest
        if not _NUMBER.fullmatch(word):
            return None
        name = rest
    return None


def find_versions(sample_ids: Sequence[str]) -> list[list[int]]:
    """Find groups of augmented versions of the same image by their names.

    Versions have names that Roboflow (``NAME_jpg.rf.HASH.jpg``) or Augmentor writes, or the name of another file in the
    same folder with a suffix for a change, such as ``NAME_flip.jpg`` and ``NAME_aug_2.jpg`` beside ``NAME.jpg``. A
    group includes the original if it is present.

    Parameters
    ----------
    sample_ids : sequence of str

    Returns
    -------
    list of list of int
        Positions of the members of each group. The groups are in the order of their first members.

    Examples
    --------
    >>> find_versions(["a/1.png", "a/1_rot90.png", "a/2.png", "b/1_rot90.png"])
    [[0, 1]]
    """
    stems = [sample_id.rsplit(".", 1)[0] if "." in _name(sample_id) else sample_id for sample_id in sample_ids]
    existing = set(stems)
    members: dict[str, list[int]] = defaultdict(list)
    originals = set()
    for position, stem in enumerate(stems):
        original = _original(stem, existing)
        if original is not None:
            originals.add(original)
        members[original or stem].append(position)
    return [group for stem, group in members.items() if stem in originals and 1 < len(group) <= _MOST]


def _original(path: str, existing: Collection[str]) -> str | None:
    name = _name(path)
    folder = path[: len(path) - len(name)]
    stem = original_stem(name)
    if stem is not None:
        if _AUGMENTOR.fullmatch(name) and _name(folder[:-1]) == _AUGMENTOR_FOLDER:
            folder = folder[: -len(_AUGMENTOR_FOLDER) - 1]
        return folder + stem
    original = None
    while (shorter := _without_change(name, folder, existing)) is not None:  # a version may have versions
        name = shorter
        original = folder + name
    return original


def _without_change(name: str, folder: str, existing: Collection[str]) -> str | None:
    """Return the existing name to which ``name`` adds the suffix of a change; None if there is no such name."""
    is_changed = False
    while len(name) <= _LONGEST and (at := max(map(name.rfind, _BETWEEN_WORDS))) > 0:
        name, word = name[:at].rstrip(_BETWEEN_WORDS), name[at + 1 :].lower()
        if _CHANGE.fullmatch(word):
            is_changed = True
        elif not _NUMBER.fullmatch(word):
            return None
        if is_changed and folder + name in existing:
            return name
    return None


def _name(path: str) -> str:
    return path.rpartition("/")[2]
