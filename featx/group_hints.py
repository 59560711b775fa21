"""Where images may come from: groups that a user names, and hints of sources in columns, folders and names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from featx.dataset import original_stem
from featx.errors import DatasetError, as_usage
from featx.table import Sample

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
"""What names a folder of a path, or a word of a file name, by its number."""


@dataclass(frozen=True)
class GroupHint:
    """A hint of where each image comes from.

    Parameters
    ----------
    name : str
        ``name``, ``folder`` or the name of a column.
    group_by : str
        What ``--group-by`` takes to group by it.
    values : tuple of (str or None)
        Source of each sample; None where there is no hint.
    """

    name: str
    group_by: str
    values: tuple[str | None, ...]


def read_groups(samples: Sequence[Sample], group_by: str) -> list[str | None]:
    """Return the group of each sample as a user asks for it.

    Parameters
    ----------
    samples : sequence of Sample
    group_by : str
        ``parent`` (the folder an image lies in), ``folder:N`` (the Nth folder on the way to it), ``word:N`` (the Nth
        word of its name, between ``_``, ``-``, ``.`` and spaces), a column of the manifest, or a regular expression
        that is searched in the sample id; its groups in parentheses, or the whole match, name the group.

    Raises
    ------
    DatasetError
        No such column and no regular expression, or one that matches no image.
    """
    if group_by == "parent":
        return [sample.sample_id.rpartition("/")[0] for sample in samples]
    columns = {name for sample in samples[:1] for name, _ in sample.others}
    if group_by in columns:
        return [dict(sample.others)[group_by] or None for sample in samples]
    place = _PLACE.fullmatch(group_by)
    groups = _at_place(samples, place[1], int(place[2])) if place else _matched(samples, _compiled(group_by, columns))
    if samples and not any(groups):
        shown = samples[0].sample_id
        raise DatasetError(f"`group_by` {group_by} matches no image, as {shown!r}; {_allowed(columns)}")
    return groups


def unnamed_note(samples: Sequence[Sample], group_by: str | None, groups: Sequence[str | None]) -> str | None:
    """Say how many images no group names, where others have one; None if there is nothing to say.

    Parameters
    ----------
    samples : sequence of Sample
    group_by : str or None
        As :func:`read_groups` took it; None if the groups are the data set's own.
    groups : sequence of (str or None)
        Group of each sample.
    """
    unnamed = [sample.sample_id for sample, group in zip(samples, groups, strict=True) if group is None]
    if not unnamed or len(unnamed) == len(samples):
        return None
    what = "the column group" if group_by is None else f"`group_by` {group_by}"
    return (
        f"{what} names no group for {len(unnamed):,} of {len(samples):,} images, as {unnamed[0]!r}; "
        "each of them stands alone"
    )


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Return names in the order in which people count: ``plate 2`` before ``plate 10``."""

    def key(name: str) -> list[str | int]:
        return [int(part) if at % 2 else part for at, part in enumerate(_NUMBER.split(name))]

    return sorted(names, key=key)


def find_group_hints(samples: Sequence[Sample]) -> list[GroupHint]:
    """Return up to three hints of sources: other columns of a manifest, folders beside the class, words in names.

    A hint names nearly all images, has at least two of them for each value (three for each word), and at least two
    values in each class: what a class has but one of can not be told from the class. Where each source has one class,
    as patients who are ill or not, a head may know the patients instead of the illness.

    Parameters
    ----------
    samples : sequence of Sample
    """
    found: list[GroupHint] = []
    seen: set[tuple[int, ...]] = {_partition([sample.label for sample in samples])}
    for source in _hints(samples):
        partition = _partition(source.values)
        if partition not in seen and _is_source(samples, source):
            seen.add(partition)
            found.append(source)
    return found[:_MOST]


def _allowed(columns: set[str]) -> str:
    named = f", a column ({', '.join(sorted(columns))})" if columns else ""
    return f"allowed are parent, folder:N, word:N{named}, or a pattern that is found in the paths, as '(P\\d+)'"


def _compiled(group_by: str, columns: set[str]) -> re.Pattern[str]:
    try:
        return re.compile(group_by)
    except re.error as error:
        raise as_usage(
            DatasetError(f"`group_by` {group_by}: no regular expression ({error}); {_allowed(columns)}")
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


def _by_prefix(samples: Sequence[Sample], source: GroupHint) -> GroupHint:
    """Return the source by a pattern such as ``(P\\d+)``, which holds wherever the word stands, if it says the same."""
    words = [re.fullmatch(r"([A-Za-z]+)\d+", value) for value in source.values if value]
    prefixes = {word[1] for word in words if word}
    if len(prefixes) != 1 or not all(words):
        return source
    pattern = rf"({prefixes.pop()}\d+)"
    values = tuple(_matched(samples, re.compile(pattern)))
    return GroupHint(source.name, pattern, values) if values == source.values else source


def _words(sample: Sample) -> list[str]:
    return _WORD.findall(_stem(sample))


def _stem(sample: Sample) -> str:
    stem = sample.sample_id.rpartition("/")[2].rsplit(".", 1)[0]
    return original_stem(stem) or stem


def _are_running_numbers(samples: Sequence[Sample], values: Sequence[str | None]) -> bool:
    """Tell whether words are the last numbers of their names and no days: they count images."""
    named = [(sample, value) for sample, value in zip(samples, values, strict=True) if value is not None]
    return all(value.isdigit() and not _DAY.fullmatch(value) and _words(sample)[-1] == value for sample, value in named)


def _is_source(samples: Sequence[Sample], source: GroupHint) -> bool:
    values = source.values
    fewest = _IMAGES_A_WORD if source.name == "name" else _IMAGES_A_SOURCE
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
