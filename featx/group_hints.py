"""Read the groups that a user names, and find group hints: plates, cameras or days in columns, folders and names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from featx.dataset import original_stem
from featx.errors import DatasetError, as_usage
from featx.table import ORIGINS, Sample

_MOST = 3
_LEAST_NAMED = 0.9
_LARGEST_SHARE = 0.8
_IMAGES_A_SOURCE = 2
_IMAGES_A_WORD = 3
_MOST_WORDS = 8
_WORD = re.compile(r"[^_.\- ]+")
_DAY = re.compile(r"(19|20)\d{6}")
_NUMBER = re.compile(r"(\d{1,18})")
_PLACE = re.compile(r"(folder|word):([1-9]\d?)")
"""A folder of a path, or a word of a file name, by its number."""


@dataclass(frozen=True)
class GroupHint:
    """A hint about the source of each image, such as its plate, camera or day.

    Parameters
    ----------
    name : str
        Kind of the hint: ``name``, ``folder`` or the name of a column.
    group_by : str
        Value of the parameter ``group_by`` that groups by this hint.
    values : tuple of (str or None)
        Value of the hint for each sample; None for samples without this hint.
    """

    name: str
    group_by: str
    values: tuple[str | None, ...]


def read_groups(samples: Sequence[Sample], group_by: str) -> list[str | None]:
    """Return the group of each sample.

    Parameters
    ----------
    samples : sequence of Sample
    group_by : str
        ``parent`` (the folder of an image), ``folder:N`` (the Nth folder of its path), ``word:N`` (the Nth word of its
        file name; words are separated by ``_``, ``-``, ``.`` and spaces), a column of the manifest, or a regular
        expression that is searched in the sample id. The groups in parentheses, or else the whole match, are the name
        of the group.

    Returns
    -------
    list of (str or None)
        Name of the group of each sample; None for samples without a group.

    Raises
    ------
    DatasetError
        If ``group_by`` is neither a column nor a valid regular expression, or matches no image.
    """
    if group_by == "parent":
        return [sample.sample_id.rpartition("/")[0] for sample in samples]
    columns = {name for sample in samples[:1] for name, _ in sample.others}
    if group_by in columns:
        return [dict(sample.others)[group_by] or None for sample in samples]
    place = _PLACE.fullmatch(group_by)
    groups = _at_place(samples, place[1], int(place[2])) if place else _matched(samples, _compiled(group_by, columns))
    if samples and not any(groups):
        example = samples[0].sample_id
        raise DatasetError(
            f"`group_by={group_by}`: no image has such a group (first path: {example!r}); {_allowed(columns)}"
        )
    return groups


def unnamed_note(samples: Sequence[Sample], group_by: str | None, groups: Sequence[str | None]) -> str | None:
    """Return a note on the images without a named group, if other images have a named group.

    Parameters
    ----------
    samples : sequence of Sample
    group_by : str or None
        As for :func:`read_groups`; None if the data set names the groups.
    groups : sequence of (str or None)
        Name of the group of each sample.

    Returns
    -------
    str or None
        The note; None if all images or no images have a named group.
    """
    unnamed = [sample.sample_id for sample, group in zip(samples, groups, strict=True) if group is None]
    if not unnamed or len(unnamed) == len(samples):
        return None
    origin = "the column group" if group_by is None else f"`group_by={group_by}`"
    return (
        f"{origin} names no group for {len(unnamed):,} of {len(samples):,} images, for example {unnamed[0]!r}; "
        "these images are grouped only with their duplicates, near-duplicates and recordings"
    )


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Return names in natural order: ``plate 2`` before ``plate 10``."""

    def key(name: str) -> list[str | int]:
        return [int(part) if at % 2 else part for at, part in enumerate(_NUMBER.split(name))]

    return sorted(names, key=key)


def find_group_hints(samples: Sequence[Sample]) -> list[GroupHint]:
    """Return up to three group hints: further columns of a manifest, folders other than the class, words in names.

    A hint covers nearly all images, with at least two images per value on average (three for words in names), and at
    least two values in each class: a class with a single value cannot be distinguished from that value. Each value may
    occur in a single class, as with patients who are either ill or healthy; a head may then recognise the patients
    instead of the illness.

    Parameters
    ----------
    samples : sequence of Sample

    Returns
    -------
    list of GroupHint
    """
    hints: list[GroupHint] = []
    seen: set[tuple[int, ...]] = {_partition([sample.label for sample in samples])}
    for hint in _hints(samples):
        partition = _partition(hint.values)
        if partition not in seen and _is_source(samples, hint):
            seen.add(partition)
            hints.append(hint)
    return hints[:_MOST]


def _allowed(columns: set[str]) -> str:
    named = f" ({', '.join(sorted(columns - set(ORIGINS)))})" if columns - set(ORIGINS) else ""
    places = "parent, folder:N, word:N (N: 1, 2, ...)"
    return f"expected {places}, a column of the manifest{named}, camera, day, or a regular expression such as '(P\\d+)'"


def _compiled(group_by: str, columns: set[str]) -> re.Pattern[str]:
    try:
        return re.compile(group_by)
    except re.error as error:
        raise as_usage(
            DatasetError(f"`group_by={group_by}`: not a regular expression ({error}); {_allowed(columns)}")
        ) from None


def _at_place(samples: Sequence[Sample], kind: str, number: int) -> list[str | None]:
    parts = [sample.sample_id.split("/")[:-1] if kind == "folder" else _words(sample) for sample in samples]
    return [some[number - 1] if number <= len(some) else None for some in parts]


def _matched(samples: Sequence[Sample], pattern: re.Pattern[str]) -> list[str | None]:
    matches = [pattern.search(sample.sample_id) for sample in samples]
    return [m and ("\0".join(part or "" for part in m.groups()) if m.groups() else m[0]) for m in matches]


def _hints(samples: Sequence[Sample]) -> Iterator[GroupHint]:
    for name, _ in samples[0].others if samples else ():
        yield GroupHint(name, name, tuple(dict(sample.others)[name] or None for sample in samples))
    depth = max((sample.sample_id.count("/") for sample in samples), default=0)
    for number in range(1, depth + 1):
        yield GroupHint("folder", f"folder:{number}", tuple(_at_place(samples, "folder", number)))
    n_words = max((len(_words(sample)) for sample in samples), default=0)
    for number in range(1, min(n_words, _MOST_WORDS) + 1):
        values = tuple(_at_place(samples, "word", number))
        if not _are_running_numbers(samples, values):
            yield _by_prefix(samples, GroupHint("name", f"word:{number}", values))


def _by_prefix(samples: Sequence[Sample], hint: GroupHint) -> GroupHint:
    """Replace ``word:N`` by an expression such as ``(P\\d+)`` for any position, if this gives the same groups."""
    words = [re.fullmatch(r"([A-Za-z]+)\d+", value) for value in hint.values if value]
    prefixes = {word[1] for word in words if word}
    if len(prefixes) != 1 or not all(words):
        return hint
    pattern = rf"({prefixes.pop()}\d+)"
    values = tuple(_matched(samples, re.compile(pattern)))
    return GroupHint(hint.name, pattern, values) if values == hint.values else hint


def _words(sample: Sample) -> list[str]:
    return _WORD.findall(_stem(sample))


def _stem(sample: Sample) -> str:
    stem = sample.sample_id.rpartition("/")[2].rsplit(".", 1)[0]
    return original_stem(stem) or stem


def _are_running_numbers(samples: Sequence[Sample], values: Sequence[str | None]) -> bool:
    """Return whether all words are running numbers: numbers at the end of the file names that are not days."""
    named = [(sample, value) for sample, value in zip(samples, values, strict=True) if value is not None]
    return all(value.isdigit() and not _DAY.fullmatch(value) and _words(sample)[-1] == value for sample, value in named)


def _is_source(samples: Sequence[Sample], hint: GroupHint) -> bool:
    values = hint.values
    fewest = _IMAGES_A_WORD if hint.name == "name" else _IMAGES_A_SOURCE
    counts = Counter(value for value in values if value is not None)
    n = sum(counts.values())
    if n < _LEAST_NAMED * len(samples) or not 2 <= len(counts) <= n / fewest:
        return False
    if counts.most_common(1)[0][1] > _LARGEST_SHARE * n:
        return False
    sources = defaultdict(set)
    for sample, value in zip(samples, values, strict=True):
        if value is not None:
            sources[sample.label].add(value)
    return all(len(names) > 1 for names in sources.values())


def _partition(values: Sequence[str | None]) -> tuple[int, ...]:
    numbers: dict[str | None, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)
