"""Derive candidate groups from file names: names that are equal except for a change, a number or a word."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from featx.dataset import stem_without_change

_TOKEN = re.compile(
    r"(?i:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"  # UUID
    r"|(?<![^\W_])(?=[a-f]*\d)(?=\d*[a-f])[a-f\d]{8,}(?![^\W_])"  # hexadecimal number
    r"|\d+|[^\W\d_]+"
)
_NUMBER = re.compile(r"\d+")
_MOST_TOKENS = 12
"""Names with more words and numbers are not examined; a long name is a text or a key."""

_NUMBERS: tuple[tuple[int, ...], ...] = ((-1,), (-2,), (0,), (-2, -1), (0, -1), (-3, -2, -1))
_TOKENS: tuple[tuple[int, ...], ...] = ((-1,), (0,), (-2, -1), (0, 1), (-3, -2, -1))
"""Positions, among the numbers or among all words and numbers of a name, that versions may differ in."""

_FEWEST_RANDOM = 8
_SCATTERED = 0.2
_COVERED = 0.8


class NamePattern(NamedTuple):
    """Names that are equal except for some of their parts.

    Parameters
    ----------
    keys : list of (str or None)
        For each image the part of its name that all images of its group share; None for an image that the pattern does
        not apply to.
    is_of_versions : bool
        Whether only tools and users that change or copy an image give names of this form.
    """

    keys: list[str | None]
    is_of_versions: bool


def name_patterns(sample_ids: Sequence[str], places: Sequence[int]) -> Iterator[NamePattern]:
    """Yield patterns by which images may be grouped; patterns with smaller groups come first.

    Versions may differ in a word for a change or a copy (``rose_flip``, ``rose (2)``), in the random number of Keras
    (``aug_12_7841``), in what surrounds the name of another image (``new_rose_2`` beside ``rose``), in one of their
    numbers, or in their first or last words.

    Parameters
    ----------
    sample_ids : sequence of str
    places : sequence of int
        Number of the folder or class of each image; a name is compared with names of its own place only.
    """
    stems = [stem_of(sample_id) for sample_id in sample_ids]
    yield NamePattern(_unchanged(stems, places), True)
    tokens = [[match.span() for match in _TOKEN.finditer(stem)] for stem in stems]
    tokens = [spans if len(spans) <= _MOST_TOKENS else [] for spans in tokens]
    numbers = [
        [span for span in spans if any(map(str.isdigit, stem[slice(*span)]))]
        for stem, spans in zip(stems, tokens, strict=True)
    ]
    yield NamePattern(_keras_keys(stems, places, numbers), True)
    yield NamePattern(list(stems), False)
    for is_first in (True, False):
        yield NamePattern(_contained(stems, places, tokens, is_first), False)
    for of, positions in ((numbers, _NUMBERS), (tokens, _TOKENS)):
        for blank in positions:
            yield NamePattern(
                [_blanked(stem, spans, of_name, blank) for stem, spans, of_name in zip(stems, of, tokens, strict=True)],
                False,
            )


def stem_of(sample_id: str) -> str:
    """Return the file name without folder and ending."""
    name = sample_id.rpartition("/")[2]
    return name.rsplit(".", 1)[0] or name


def name_shape(name: str) -> str:
    """Return a name with ``#`` for each number; names that differ only in their numbers have the same shape."""
    return _NUMBER.sub("#", name)


def _unchanged(stems: Sequence[str], places: Sequence[int]) -> list[str | None]:
    """Return names without words for a change; None where no name of the place has such a word beside this name."""
    keys = [stem_without_change(stem) for stem in stems]
    changed = {(place, key) for place, stem, key in zip(places, stems, keys, strict=True) if key != stem}
    return [key if (place, key) in changed else None for place, key in zip(places, keys, strict=True)]


def _blanked(
    stem: str, spans: list[tuple[int, int]], tokens: list[tuple[int, int]], blank: tuple[int, ...]
) -> str | None:
    """Return a name with some of the given parts replaced by ``*``; None if nothing else would be left."""
    n = len(spans)
    if max(blank) >= n or -min(blank) > n:
        return None
    chosen = {spans[at] for at in blank}
    if len(chosen) < len(blank) or len(chosen) == len(tokens):
        return None
    for start, end in sorted(chosen, reverse=True):
        stem = f"{stem[:start]}*{stem[end:]}"
    return stem


def _keras_keys(stems: Sequence[str], places: Sequence[int], numbers: list[list[tuple[int, int]]]) -> list[str | None]:
    """Return keys of names as of Keras: a prefix, the number of the image, and a random number at the end.

    The numbers of the images of a place, or of all images, start at 0 and leave hardly any gaps, and the random numbers
    of an image are scattered among those of all images.
    """
    found: dict[int, list[tuple[int, str, int, int]]] = defaultdict(list)
    for at, (stem, spans) in enumerate(zip(stems, numbers, strict=True)):
        if len(spans) < 2 or spans[-1][1] != len(stem) or stem[spans[-2][1] : spans[-1][0]] != "_":
            continue
        index, last = stem[slice(*spans[-2])], stem[slice(*spans[-1])]
        if index.isdecimal() and last.isdecimal() and len(index) < 10 and len(last) < 10:
            found[places[at]].append((at, stem[: spans[-1][0]], int(index), int(last)))
    keys: list[str | None] = [None] * len(stems)
    of_all = {index for names in found.values() for _, _, index, _ in names}
    for names in found.values():
        if (_count_all({index for _, _, index, _ in names}) or _count_all(of_all)) and _are_random(names):
            for at, key, _, _ in names:
                keys[at] = key
    return keys


def _count_all(indices: set[int]) -> bool:
    return min(indices) == 0 and len(indices) >= _COVERED * (max(indices) + 1)


def _are_random(names: list[tuple[int, str, int, int]]) -> bool:
    """Return whether the last numbers of names are random: few are equal, and those of a group are scattered."""
    by_key: dict[str, list[int]] = defaultdict(list)
    for _, key, _, last in names:
        by_key[key].append(last)
    spreads = [max(some) - min(some) for some in by_key.values() if len(some) > 1]
    everything = [last for _, _, _, last in names]
    low, high = np.quantile(everything, (0.05, 0.95))
    whole = float(high - low)
    return (
        len(names) >= _FEWEST_RANDOM
        and bool(spreads)
        and whole > 4 * len(names) / len(by_key)
        and Counter(everything).most_common(1)[0][1] <= max(2, len(names) // 50)
        and float(np.median(spreads)) >= _SCATTERED * whole
    )


def _contained(
    stems: Sequence[str], places: Sequence[int], tokens: list[list[tuple[int, int]]], is_first: bool
) -> list[str | None]:
    """Return for each name the first or the last name of another image that it contains, or itself."""
    existing = set(zip(places, stems, strict=True))
    within: dict[tuple[int, str], str] = {}
    for place, stem, spans in zip(places, stems, tokens, strict=True):
        parts = [
            (start, end)
            for (start, _), (_, end) in itertools.combinations_with_replacement(spans, 2)
            if end - start < len(stem) and (place, stem[start:end]) in existing
        ]
        if parts:
            start, end = min(parts, key=lambda part: (part[0], -part[1]) if is_first else (-part[1], part[0]))
            within[place, stem] = stem[start:end]
    return [_root(place, stem, within) for place, stem in zip(places, stems, strict=True)]


def _root(place: int, stem: str, within: dict[tuple[int, str], str]) -> str:
    while (place, stem) in within:  # the version of a version; each name is shorter
        stem = within[place, stem]
    return stem
