"""The groups of a data set that must stay on one side of every split."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.dataset import find_versions
from featx.duplicates.near import find_near_duplicates, stored_feature_measure
from featx.duplicates.recordings import find_recordings, recording_numbers
from featx.duplicates.union_find import UnionFind, group_pairs
from featx.group_hints import read_groups, unnamed_note
from featx.runtime import Runtime
from featx.table import FeatureTable

_LARGEST_SHARE = 0.2
_FEWEST_TOO_ALIKE = 5
MOST_COMPARED = 200_000
"""Images of which each is compared with each other; more would take hours."""


@dataclass(frozen=True)
class Grouping:
    """Groups of images, and why.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples,), int64
        Group of each sample, from 0, in order of first appearance.
    unnamed : ndarray of shape (n_samples,), int64
        The same without the groups that are named.
    n_duplicates : int
        Images whose bytes another one has.
    near : tuple of (int, int)
        Positions of two near-copies with different bytes.
    recordings : tuple of tuple of int
        Positions of the frames of each recording.
    versions : tuple of tuple of int
        Positions of the augmented versions of each image that has some, by their names.
    n_named : int
        Groups that the data set or the user named.
    too_alike : tuple of str
        Classes with so many seeming near-copies that none of them is grouped.
    was_compared : bool
        False where there are too many images to compare each with each other.
    group_by : str or None
        How the user named groups.
    names : tuple of (str or None)
        Name of each sample's group; empty where :func:`group_samples` was called alone.
    unnamed_note : str or None
        How many images no group names, where others have one.
    """

    numbers: NDArray[np.int64]
    unnamed: NDArray[np.int64]
    n_duplicates: int
    near: tuple[tuple[int, int], ...]
    recordings: tuple[tuple[int, ...], ...]
    versions: tuple[tuple[int, ...], ...]
    n_named: int
    too_alike: tuple[str, ...]
    was_compared: bool = True
    group_by: str | None = None
    names: tuple[str | None, ...] = ()
    unnamed_note: str | None = None

    def to_dict(self) -> dict[str, int | list[str]]:
        """Return counts of what was grouped."""
        near = {i for pair in self.near for i in pair}
        return {
            "n_groups": int(self.numbers.max(initial=-1)) + 1,
            "n_duplicates": self.n_duplicates,
            "n_near_duplicates": len(near),
            "n_recordings": len(self.recordings),
            "n_frames": sum(map(len, self.recordings)),
            "n_versions": sum(map(len, self.versions)),
            "n_originals": len(self.versions),
            "n_named": self.n_named,
            "too_alike": list(self.too_alike),
        }

    def notes(self) -> list[str]:
        """Say where images could not be grouped."""
        notes = []
        if self.too_alike:
            classes = ", ".join(self.too_alike)
            notes.append(
                f"images too alike to tell copies apart ({classes}); "
                "only exact copies are grouped there; use `group_by`"
            )
        if not self.was_compared:
            notes.append("more than 200,000 images: near-copies were not looked for; use `group_by`")
        if self.unnamed_note is not None:
            notes.append(self.unnamed_note)
        return notes


def group_table(table: FeatureTable, group_by: str | None, runtime: Runtime) -> Grouping:
    """Group the samples of a table: what must not be torn apart, and what the data set or the user names.

    Parameters
    ----------
    table : FeatureTable
    group_by : str or None
        As :func:`featx.group_hints.read_groups` takes it; the groups of the data set if None.
    runtime : Runtime
        Progress while images are compared.

    Returns
    -------
    Grouping
        Its notes name what could not be grouped.

    Raises
    ------
    DatasetError
        ``group_by`` matches no image.
    """
    names = table.groups.tolist() if group_by is None else read_groups(table.samples, group_by)
    with runtime.stage("finding near-duplicates") as advance:
        grouping = group_samples(table, names, advance)
    note = unnamed_note(table.samples, group_by, names)
    return replace(grouping, group_by=group_by, names=tuple(names), unnamed_note=note)


def group_samples(
    table: FeatureTable,
    named: Sequence[str | None] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Grouping:
    """Group what must not be torn apart: duplicates, frames of one recording, versions of one image, and what is named.

    A group of near-copies with more than a fifth of a class, that is no recording, says that the class is too alike to
    tell copies apart: it is not merged, and the class is named in ``too_alike``.

    Parameters
    ----------
    table : FeatureTable
    named : sequence of (str or None), optional
        Group of each sample; that of the data set if not given. None for an image that is named nowhere.
    progress : callable
        Called with (done, total) while images are compared.

    Returns
    -------
    Grouping
    """
    named = table.groups.tolist() if named is None else named
    contents = [row.tobytes() for row in table.content_hashes]
    ties = UnionFind(len(table))
    ties.tie_equal(contents)
    n_times = Counter(contents)
    near: list[tuple[int, int]] = []
    recordings: list[list[int]] = []
    versions = find_versions(table.sample_ids.tolist())
    too_alike: list[str] = []
    was_compared = True
    if len(table):
        # All images of a content stand or fall together: one of them is looked at.
        first = np.unique(table.content_hashes, axis=0, return_index=True)[1]
        first.sort()
        every = np.arange(len(table))
        recordings = find_recordings(table.sample_ids.tolist(), table.read_signatures(every))
        was_compared = len(first) <= MOST_COMPARED
        if was_compared:
            agree = stored_feature_measure(len(first), lambda at: table.read(first[at]))
            labels = {label: number for number, label in enumerate(dict.fromkeys(table.y.tolist()))}
            marks = [
                recording_numbers([*recordings, *versions], len(table))[first],
                np.array([labels[y] for y in table.y[first].tolist()]),
            ]
            pairs = find_near_duplicates(table.read_signatures(first), agree, progress, marks)
            near = [(int(first[one]), int(first[other])) for one, other in pairs]
        near, too_alike = without_dominating(table.y.tolist(), near, [*recordings, *versions])
    for group in (*recordings, *versions):
        for one, other in itertools.pairwise(group):
            ties.tie(one, other)
    for one, other in near:
        ties.tie(one, other)
    unnamed = ties.numbers()
    return Grouping(
        numbers=join_groups(unnamed, named),
        unnamed=unnamed,
        n_duplicates=sum(n_times[content] > 1 for content in contents),
        near=tuple(near),
        recordings=tuple(tuple(recording) for recording in recordings),
        versions=tuple(tuple(group) for group in versions),
        n_named=len(set(named) - {None}),
        too_alike=tuple(too_alike),
        was_compared=was_compared,
    )


def join_groups(groups: NDArray[np.int64], named: Sequence[str | None]) -> NDArray[np.int64]:
    """Return groups joined wherever they share a name; None joins nothing.

    Parameters
    ----------
    groups : ndarray of shape (n,), int64
    named : sequence of (str or None), of length n

    Returns
    -------
    ndarray of shape (n,), int64
        From 0, in order of first appearance.
    """
    ties = UnionFind(len(groups))
    ties.tie_equal(groups.tolist())
    ties.tie_equal(named)
    return ties.numbers()


def without_dominating(
    labels: Sequence[str | None], near: list[tuple[int, int]], recordings: Sequence[Sequence[int]]
) -> tuple[list[tuple[int, int]], list[str]]:
    """Leave out groups that swallow a class; what is grouped already does not count.

    Parameters
    ----------
    labels : sequence of (str or None)
        Class of each sample.
    near : list of (int, int)
        Positions of seeming near-copies.
    recordings : sequence of sequence of int
        Positions of the frames of each recording, and of the versions of each image.

    Returns
    -------
    list of (int, int)
        The pairs that stay.
    list of str
        Classes whose images are too alike to tell copies apart.
    """
    sizes = Counter(labels)
    framed = {i for recording in recordings for i in recording}
    dropped: set[int] = set()
    too_alike: set[str] = set()
    for group in group_pairs(len(labels), near):
        loose = Counter(labels[i] for i in group if i not in framed)
        swallowed = [
            label for label, n in loose.items() if n >= _FEWEST_TOO_ALIKE and n > _LARGEST_SHARE * sizes[label]
        ]
        if swallowed:
            dropped.update(group)
            too_alike.update(label for label in swallowed if label is not None)
    return [pair for pair in near if pair[0] not in dropped], sorted(too_alike)
