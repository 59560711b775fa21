"""Group the images of a data set that must stay on one side of every split."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.dataset import find_versions
from featx.duplicates.comparison import Comparison
from featx.duplicates.keeping import KeptComparison, Versions, versions_digest
from featx.duplicates.measures import feature_measure
from featx.duplicates.near import find_near_duplicates
from featx.duplicates.recordings import find_recordings, recording_numbers
from featx.duplicates.similar_names import (
    Similarity,
    examples_of_names,
    feature_similarity,
    find_similar_names,
    thumbnail_similarity,
)
from featx.duplicates.transformed import find_transformed
from featx.duplicates.union_find import UnionFind, group_pairs
from featx.group_hints import read_groups, unnamed_note
from featx.runtime import Runtime
from featx.table import FeatureTable

_LARGEST_SHARE = 0.2
LARGEST_SHARE_OF_VERSIONS = 0.5
_FEWEST_TOO_ALIKE = 5


@dataclass(frozen=True)
class Grouping:
    """Groups of images, and the reasons for them.

    Parameters
    ----------
    numbers : ndarray of shape (n_samples,), int64
        Group number of each sample, from 0, in order of first appearance.
    unnamed : ndarray of shape (n_samples,), int64
        Group number of each sample if the named groups are ignored.
    n_duplicates : int
        Number of images with the same bytes as another image.
    near : tuple of (int, int)
        Positions of pairs of near-duplicates with different bytes.
    recordings : tuple of tuple of int
        Positions of the frames of each recording.
    versions : tuple of tuple of int
        Positions of the versions of one image, recognised by their names; see :func:`find_named_versions`.
    version_examples : tuple of (str, str)
        For up to three forms of names, the sample ids of two versions of one image.
    n_named : int
        Number of groups named by the data set or the user.
    too_alike : tuple of str
        Classes with a group of apparent near-duplicates that is too large to be plausible and was therefore not merged.
    group_versions : bool
        Whether versions of one image were to be recognised by their names.
    group_by : str or None
        The parameter ``group_by`` that named the groups; None if the data set named them.
    names : tuple of (str or None)
        Name of the group of each sample; empty in the result of :func:`group_samples`.
    unnamed_note : str or None
        Note on images without a named group, if other images have one.
    """

    numbers: NDArray[np.int64]
    unnamed: NDArray[np.int64]
    n_duplicates: int
    near: tuple[tuple[int, int], ...]
    recordings: tuple[tuple[int, ...], ...]
    versions: tuple[tuple[int, ...], ...]
    version_examples: tuple[tuple[str, str], ...]
    n_named: int
    too_alike: tuple[str, ...]
    group_versions: bool = True
    group_by: str | None = None
    names: tuple[str | None, ...] = ()
    unnamed_note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the number of groups, and for each reason of grouping the number of images, groups or recordings."""
        near = {i for pair in self.near for i in pair}
        return {
            "n_groups": int(self.numbers.max(initial=-1)) + 1,
            "n_duplicates": self.n_duplicates,
            "n_near_duplicates": len(near),
            "n_recordings": len(self.recordings),
            "n_frames": sum(map(len, self.recordings)),
            "n_versions": sum(map(len, self.versions)),
            "n_originals": len(self.versions),
            "group_versions": self.group_versions,
            "version_examples": [list(names) for names in self.version_examples],
            "n_named": self.n_named,
            "too_alike": list(self.too_alike),
        }

    def notes(self) -> list[str]:
        """Return notes on images that could not be grouped."""
        notes = []
        if self.too_alike:
            classes = ", ".join(self.too_alike)
            notes.append(
                f"many images are too similar to detect near-duplicates ({classes}); these images are not grouped as "
                "near-duplicates. To group them, use `group_by`"
            )
        if self.unnamed_note is not None:
            notes.append(self.unnamed_note)
        return notes


def group_table(table: FeatureTable, group_by: str | None, runtime: Runtime, group_versions: bool = True) -> Grouping:
    """Group the samples of a table by content, and by the names of the data set or the user.

    Parameters
    ----------
    table : FeatureTable
    group_by : str or None
        As for :func:`featx.group_hints.read_groups`; None uses the groups of the data set.
    runtime : Runtime
        Reports progress while images are compared; the comparison is kept in its cache.
    group_versions : bool
        As for :func:`group_samples`.

    Returns
    -------
    Grouping
        :meth:`Grouping.notes` reports images that could not be grouped.

    Raises
    ------
    DatasetError
        If ``group_by`` matches no image.
    """
    names = table.groups.tolist() if group_by is None else read_groups(table.samples, group_by)
    with runtime.stage("finding near-duplicates") as advance:
        kept = KeptComparison(runtime.cache, table.extraction.features_id, table.dataset_id)
        grouping = group_samples(table, names, advance, kept, group_versions)
    note = unnamed_note(table.samples, group_by, names)
    return replace(grouping, group_by=group_by, names=tuple(names), unnamed_note=note)


def group_samples(
    table: FeatureTable,
    named: Sequence[str | None] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    kept: KeptComparison | None = None,
    group_versions: bool = True,
) -> Grouping:
    """Group duplicates, near-duplicates, frames of one recording, versions of one image, and named groups.

    If a group of near-duplicates contains at least five images and more than a fifth of a class, not counting frames of
    recordings and versions of one image, these images are too similar to detect near-duplicates. Such a group is not
    merged, and the class is listed in ``too_alike``.

    Parameters
    ----------
    table : FeatureTable
    named : sequence of (str or None), optional
        Name of the group of each sample, or None for a sample without a named group; the groups of the data set if
        not given.
    progress : callable
        Called with (done, total) while images are compared.
    kept : KeptComparison, optional
        Earlier comparison of the images of the data set, which is replaced; all pairs are compared if not given.
    group_versions : bool
        Whether versions of one image are recognised by their names.

    Returns
    -------
    Grouping
    """
    named = table.groups.tolist() if named is None else named
    contents = [row.tobytes() for row in table.content_hashes]
    sample_ids = table.sample_ids.tolist()
    union_find = UnionFind(len(table))
    union_find.union_equal(contents)
    n_times = Counter(contents)
    near: list[tuple[int, int]] = []
    recordings: list[list[int]] = []
    versions: list[list[int]] = []
    too_alike: list[str] = []
    if len(table):
        signatures = table.read_coarse_signatures()
        recordings = find_recordings(sample_ids, signatures)
        if group_versions:
            read = functools.cache(lambda: table.opened(0))
            similarities = (feature_similarity(lambda at: read()(at)), thumbnail_similarity(signatures))
            versions = find_named_versions(sample_ids, table.y.tolist(), recordings, contents, similarities)
        images = _Contents(table, signatures, kept)
        together = [*recordings, *versions]
        near = images.near_duplicates(together, lambda done, total: progress(done, 2 * total))
        near, too_alike = drop_dominating_groups(table.y.tolist(), near, together)
    for group in (*recordings, *versions):
        union_find.union_all(group)
    for one, other in near:
        union_find.union(one, other)
    if len(table):
        groups = union_find.numbers()
        # Recordings made in one place show the same background; their frames are no versions of each other.
        groups[[i for recording in recordings for i in recording]] = -1
        augmented = images.augmented_versions(groups, lambda done, total: progress(total + done, 2 * total))
        augmented, _ = drop_dominating_groups(table.y.tolist(), augmented, together, LARGEST_SHARE_OF_VERSIONS)
        for one, other in augmented:
            union_find.union(one, other)
        near = sorted({*near, *augmented})
    unnamed = union_find.numbers()
    return Grouping(
        numbers=join_groups(unnamed, named),
        unnamed=unnamed,
        n_duplicates=sum(n_times[content] > 1 for content in contents),
        near=tuple(near),
        recordings=tuple(tuple(recording) for recording in recordings),
        versions=tuple(tuple(group) for group in versions),
        version_examples=tuple(examples_of_names(sample_ids, versions)),
        n_named=len(set(named) - {None}),
        too_alike=tuple(too_alike),
        group_versions=group_versions,
    )


class _Contents:
    """The images of a table that are compared: the first image of each content.

    Duplicates have the same near-duplicates. The images are compared in the order of their contents, so that the pairs
    do not depend on the order of the data set.
    """

    def __init__(self, table: FeatureTable, signatures: NDArray[np.uint8], kept: KeptComparison | None) -> None:
        contents = np.ascontiguousarray(table.content_hashes).view("S32").reshape(len(table))
        self._table, self._kept = table, kept
        self._first = np.unique(contents, return_index=True)[1]
        self._hashes, self._signatures = table.content_hashes[self._first], signatures[self._first]
        self._comparison: Comparison | None = None

    def near_duplicates(
        self, together: Sequence[Sequence[int]], progress: Callable[[int, int], None]
    ) -> list[tuple[int, int]]:
        """Return pairs of near-duplicates; ``together`` contains frames of recordings and versions of images."""
        table, first = self._table, self._first
        read = functools.cache(lambda: table.opened(0))
        agree = feature_measure(len(first), lambda at: read()(first[at]))
        labels = {label: number for number, label in enumerate(dict.fromkeys(table.y.tolist()))}
        marks = [
            recording_numbers(together, len(table))[first],
            np.array([labels[y] for y in table.y[first].tolist()]),
        ]
        known = None if self._kept is None else self._kept.recall(self._hashes, self._signatures)
        pairs, self._comparison = find_near_duplicates(self._signatures, agree, progress, marks, known)
        return self._positions(pairs)

    def augmented_versions(
        self, groups: NDArray[np.int64], progress: Callable[[int, int], None]
    ) -> list[tuple[int, int]]:
        """Return pairs of versions of one original, and keep the comparison; ``groups`` is known of all images."""
        first, kept = self._first, self._kept
        of = versions_digest(self._hashes, self._signatures, groups[first])
        pairs = None if kept is None else kept.versions(of)
        if pairs is None:
            pairs = find_transformed(
                self._hashes, lambda at: self._table.read_signatures(first[at]), groups[first], progress
            )
        if kept is not None:
            kept.keep(self._hashes, self._signatures, self._comparison, Versions(of, pairs))
        return self._positions(pairs)

    def _positions(self, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        near = ((int(self._first[one]), int(self._first[other])) for one, other in pairs)
        return sorted((min(pair), max(pair)) for pair in near)


def find_named_versions(
    sample_ids: Sequence[str],
    labels: Sequence[str | None],
    recordings: Sequence[Sequence[int]],
    contents: Iterable[Hashable],
    similarities: Sequence[Similarity],
) -> list[list[int]]:
    """Find versions of one image by their names: names that tools give, and similar names of images that are alike.

    Parameters
    ----------
    sample_ids : sequence of str
    labels : sequence of (str or None)
        Class of each image.
    recordings : sequence of sequence of int
        Positions of the frames of each recording, whose similar names do not show versions.
    contents : iterable of hashable, of length n
        Content hash or number of the content of each image; equal for duplicates.
    similarities : sequence of callable
        As for :func:`featx.duplicates.similar_names.find_similar_names`.

    Returns
    -------
    list of list of int
        Positions of the versions of each image, in order of their first members.
    """
    versions = find_versions(sample_ids)
    together, named = UnionFind(len(sample_ids)), UnionFind(len(sample_ids))
    together.union_equal(contents)
    for group in (*recordings, *versions):
        together.union_all(group)
    for group in (*versions, *find_similar_names(sample_ids, labels, together.numbers(), similarities)):
        named.union_all(group)
    return named.groups()


def join_groups(groups: NDArray[np.int64], named: Sequence[str | None]) -> NDArray[np.int64]:
    """Join groups that share a name.

    Parameters
    ----------
    groups : ndarray of shape (n,), int64
        Group number of each sample.
    named : sequence of (str or None), of length n
        Name of each sample; None joins nothing.

    Returns
    -------
    ndarray of shape (n,), int64
        Group numbers from 0, in order of first appearance.
    """
    union_find = UnionFind(len(groups))
    union_find.union_equal(groups.tolist())
    union_find.union_equal(named)
    return union_find.numbers()


def drop_dominating_groups(
    labels: Sequence[str | None],
    near: list[tuple[int, int]],
    recordings: Sequence[Sequence[int]],
    largest_share: float = _LARGEST_SHARE,
) -> tuple[list[tuple[int, int]], list[str]]:
    """Drop groups of near-duplicates that contain at least five images and too large a share of a class.

    Images that already belong to a recording or to versions of one image are not counted.

    Parameters
    ----------
    labels : sequence of (str or None)
        Class of each sample.
    near : list of (int, int)
        Positions of pairs of apparent near-duplicates.
    recordings : sequence of sequence of int
        Positions of the frames of each recording, and of the versions of each image.
    largest_share : float
        Largest share of a class in one group.

    Returns
    -------
    list of (int, int)
        The remaining pairs.
    list of str
        Classes for which a group was dropped.
    """
    sizes = Counter(labels)
    in_recordings = {i for recording in recordings for i in recording}
    dropped: set[int] = set()
    too_alike: set[str] = set()
    for group in group_pairs(len(labels), near):
        counts = Counter(labels[i] for i in group if i not in in_recordings)
        dominated = [
            label for label, n in counts.items() if n >= _FEWEST_TOO_ALIKE and n > largest_share * sizes[label]
        ]
        if dominated:
            dropped.update(group)
            too_alike.update(label for label in dominated if label is not None)
    return [pair for pair in near if pair[0] not in dropped], sorted(too_alike)
