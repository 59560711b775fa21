"""Find versions of one image by names and likeness: images with similar names that are far more alike than others."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.measures import normalized_features
from featx.duplicates.name_patterns import NamePattern, name_patterns, name_shape
from featx.duplicates.similarity import Patterns
from featx.duplicates.union_find import UnionFind

Similarity = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Takes two arrays of positions of shape (n_pairs,), and returns how similar the two images of each pair are."""

_MOST = 100
"""Maximum number of versions of an image; larger groups are the images of a source or a class."""

_MOST_EXAMPLES = 3
_GROUPS = 600
_MOST_OF_UNIT = 100
_FEWEST_OF_UNIT = 8
"""Numbers of groups that are compared: in all, and of the names of one form in one folder."""

_PAIRS_OF_GROUP = 2
_REFERENCES = 40
_FEWEST_REFERENCES = 4
_AT_ONCE = 200
"""Number of pairs that are compared together; with their references, these are at most 8,400 images."""

_PAIRS_IN_BLOCK = 1 << 11

_TOP = 0.05
_LEAST_TOP, _LEAST_TOP_OF_THUMBNAILS = 0.28, 0.15
"""Least shares of pairs among the most similar 5 %, corrected for chance, less one standard error: by one of the
measures, and by thumbnails.

Groups of versions have shares of 0.3 to 1.0 by features and 0.2 to 0.8 by thumbnails. Groups of a plate or a camera
with a strong colour cast may have 0.9 by features, but hardly 0.2 by thumbnails."""

_LARGEST_RANK = 0.4
_DEVIATIONS = 3.3
"""Largest mean rank for names that only versions have, and least number of standard deviations of the mean rank below
0.5; for other names, of the mean rank by thumbnails."""


class Evidence(NamedTuple):
    """How similar the images of groups are, compared with images of other groups of the same folder and class.

    The rank of a pair of images is the share of other images that are at least as similar to the first image as the
    second one is. It is 0.5 by chance, whatever the class looks like.

    Parameters
    ----------
    groups : ndarray of shape (n_pairs,), int64
        Number of the group of each pair.
    ranks : ndarray of shape (n_similarities, n_pairs), float64
        Rank of each pair.
    is_top, chance : ndarray of shape (n_similarities, n_pairs), float64
        1 if the rank is among the lowest 5 %, otherwise 0; and the probability of this by chance.
    """

    groups: NDArray[np.int64]
    ranks: NDArray[np.float64]
    is_top: NDArray[np.float64]
    chance: NDArray[np.float64]

    @property
    def n_groups(self) -> int:
        """Number of groups that were compared."""
        return len(np.unique(self.groups))

    def mean_ranks(self) -> NDArray[np.float64]:
        """Return the mean rank of each similarity; each group has the same weight."""
        numbers, at = np.unique(self.groups, return_inverse=True)
        n = np.bincount(at)
        means = [np.bincount(at, ranks, len(numbers)) / n for ranks in self.ranks]
        return np.array([mean.mean() if len(mean) else 0.5 for mean in means])

    def top_shares(self) -> NDArray[np.float64]:
        """Return the share of pairs whose rank is among the lowest 5 %, for each similarity; 0 by chance, at most 1."""
        if not len(self.groups):
            return np.zeros(len(self.ranks))
        chance = self.chance.mean(axis=1)
        return np.asarray((self.is_top.mean(axis=1) - chance) / (1 - chance))

    def is_convincing(self, is_of_versions: bool) -> bool:
        """Return whether the images of a group are versions of one image.

        Parameters
        ----------
        is_of_versions : bool
            Whether only versions have such names. It is then enough that the images are clearly more similar than
            others; otherwise they must be as similar as versions are, also by their thumbnails, since images of one
            plate, day or person are also similar.
        """
        largest_by_chance = 0.5 - _DEVIATIONS / math.sqrt(12 * max(1, self.n_groups))
        if is_of_versions:
            lowest = float(self.mean_ranks().min())
            return lowest <= min(_LARGEST_RANK, largest_by_chance)
        if self.n_groups < _FEWEST_OF_UNIT or self.mean_ranks()[-1] > largest_by_chance:
            return False
        shares = self.top_shares()
        errors = np.sqrt(np.clip(shares * (1 - shares), 0, None) / len(self.groups))
        surely = (shares - errors).tolist()
        return bool(max(surely) >= _LEAST_TOP and surely[-1] >= _LEAST_TOP_OF_THUMBNAILS)

    def contradicts(self, is_of_versions: bool) -> bool:
        """Return whether the images of a group are hardly more similar than others, though those of all groups are."""
        if is_of_versions:
            return self.n_groups >= _FEWEST_OF_UNIT and float(self.mean_ranks().min()) > 0.5
        shares = self.top_shares().tolist()
        return bool(max(shares) < _LEAST_TOP / 2 or shares[-1] < _LEAST_TOP_OF_THUMBNAILS / 2)


class _Key(NamedTuple):
    """A group by name: the number of its folder or class, and the part of the name that its images share."""

    place: int
    name: str


def find_similar_names(
    sample_ids: Sequence[str],
    labels: Sequence[str | None],
    together: NDArray[np.int64],
    similarities: Sequence[Similarity],
) -> list[list[int]]:
    """Find groups of images with similar names that are versions of one image.

    Each pattern of :func:`name_patterns` gives groups. They are accepted if the images of a group are far more similar
    to each other than to images of other groups of the same folder and class. This is decided for the names of each
    form in each folder if these are at least eight groups, and for the others together. First the images of each folder
    are compared, then those of one class in different folders.

    Parameters
    ----------
    sample_ids : sequence of str
    labels : sequence of (str or None)
        Class of each image.
    together : ndarray of shape (n,), int64
        Numbers of groups that are already known, such as duplicates and recordings; their images are not compared with
        each other.
    similarities : sequence of callable
        Features, if there are any, and then thumbnails. Images of one plate or camera may be similar by their features,
        because of its colours; only versions are also similar by their thumbnails.

    Returns
    -------
    list of list of int
        Positions of the images of each group, in order of their first images.
    """
    ids_and_labels = list(zip(sample_ids, labels, strict=True))
    folders = _numbered([(sample_id.rpartition("/")[0], label) for sample_id, label in ids_and_labels])
    classes = _numbered(labels)
    known, found = UnionFind(len(folders)), UnionFind(len(folders))
    known.union_equal(together.tolist())
    numbers = known.numbers()
    for places, apart in ((folders, None), (classes, folders)):
        if apart is not None and max(folders, default=0) == max(classes, default=0):
            continue  # each class is in one folder
        tested = set()
        for pattern in name_patterns(sample_ids, places):
            candidates = _Candidates(pattern, places, apart, numbers)
            if not candidates.groups or (content := candidates.content()) in tested:
                continue
            tested.add(content)
            accepted = list(candidates.accepted(similarities))
            for group in accepted:
                known.union_all(group)
                found.union_all(group)
            if accepted:
                numbers = known.numbers()
    return found.groups()


def examples_of_names(sample_ids: Sequence[str], groups: Sequence[Sequence[int]]) -> list[tuple[str, str]]:
    """Return two names of one group for up to three forms of names, the most frequent form first.

    Parameters
    ----------
    sample_ids : sequence of str
    groups : sequence of sequence of int
        Positions of the members of each group.
    """
    pairs: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
    for first, second, *_ in groups:
        names = (sample_ids[first], sample_ids[second])
        pairs[tuple(name_shape(name.rpartition("/")[2]) for name in names)].append(names)
    return [some[0] for some in sorted(pairs.values(), key=len, reverse=True)[:_MOST_EXAMPLES]]


class _Candidates:
    """Groups of images by one pattern of names, each of which has images that are not yet known to be together."""

    def __init__(
        self, pattern: NamePattern, places: Sequence[int], apart: Sequence[int] | None, together: NDArray[np.int64]
    ) -> None:
        self._is_of_versions, self._places, self._together = pattern.is_of_versions, places, together
        self._members: dict[_Key, list[int]] = defaultdict(list)
        for i, (place, name) in enumerate(zip(places, pattern.keys, strict=True)):
            if name is not None:
                self._members[_Key(place, name)].append(i)
        self.groups: dict[_Key, list[int]] = {}
        """Images of each group that are compared."""
        for key, members in self._members.items():
            if 1 < len(members) <= _MOST:
                compared = _one_of_each(members, together, apart)
                if len(compared) > 1:
                    self.groups[key] = compared

    def content(self) -> Hashable:
        """Return a value that is equal for patterns with the same groups."""
        return frozenset(tuple(self._members[key]) for key in self.groups)

    def accepted(self, similarities: Sequence[Similarity]) -> Iterator[list[int]]:
        """Yield the positions of the images of each accepted group."""
        units = self._units()
        evidences = self._compared(units, similarities)
        joint = Evidence(*(np.concatenate(parts, axis=-1) for parts in zip(*evidences, strict=True)))
        is_joint = joint.is_convincing(self._is_of_versions)
        for unit, evidence in zip(units, evidences, strict=True):
            if evidence.is_convincing(self._is_of_versions) or (
                is_joint and not evidence.contradicts(self._is_of_versions)
            ):
                yield from (self._members[key] for key in unit)

    def _units(self) -> list[list[_Key]]:
        """Divide the groups into units: by folder and form of the names, if these are enough groups to be judged."""
        units: dict[Hashable, list[_Key]] = defaultdict(list)
        for key in self.groups:
            units[key.place, name_shape(key.name)].append(key)
        for coarser in (lambda key: key.place, lambda key: None):
            for unit in [unit for unit, keys in units.items() if len(keys) < _FEWEST_OF_UNIT]:
                for key in units.pop(unit):
                    units[coarser(key)].append(key)
        return list(units.values())

    def _compared(self, units: list[list[_Key]], similarities: Sequence[Similarity]) -> list[Evidence]:
        """Compare pairs of images of some groups of each unit with other images of the same folder or class."""
        rng = np.random.default_rng(0)
        most = min(_MOST_OF_UNIT, max(_FEWEST_OF_UNIT, _GROUPS // len(units)))
        references = self._references({key.place for unit in units for key in unit}, rng)
        pairs: list[_Pair] = []
        for number, unit in enumerate(units):
            for at in sorted(rng.permutation(len(unit))[:most].tolist()):
                pairs += self._pairs(number, unit[at], references[unit[at].place], rng)
        parts = [_ranked(pairs[start : start + _AT_ONCE], similarities) for start in range(0, len(pairs), _AT_ONCE)]
        whole = [np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)]
        groups = np.array([pair.group for pair in pairs], np.int64)
        of = np.array([pair.unit for pair in pairs], np.int64)
        none = np.empty((len(similarities), 0))
        return [
            Evidence(groups[of == unit], *(part[:, of == unit] for part in (whole or [none] * 3)))
            for unit in range(len(units))
        ]

    def _references(self, chosen: set[int], rng: np.random.Generator) -> dict[int, NDArray[np.int64]]:
        """Return images of each place, at most one of each group, since versions of one image are one observation.

        Images without a group are left out: changed images are more similar to each other than to unchanged images,
        because they have the same margins and blur.
        """
        images: dict[int, list[int]] = defaultdict(list)
        for key in self.groups:
            if key.place in chosen:
                images[key.place] += self._members[key]
        self._number = np.arange(len(self._places)) + len(self._members)
        for number, members in enumerate(self._members.values()):
            self._number[members] = number
        references = {}
        for place, positions in images.items():
            shuffled = rng.permutation(positions)
            first = np.unique(self._number[shuffled], return_index=True)[1]
            first = first[np.unique(self._together[shuffled[first]], return_index=True)[1]]
            references[place] = shuffled[rng.permutation(first)[: _REFERENCES + 1]]
        return references

    def _pairs(self, unit: int, key: _Key, references: NDArray[np.int64], rng: np.random.Generator) -> Iterator[_Pair]:
        some = rng.permutation(self.groups[key])[: _PAIRS_OF_GROUP + 1]
        number = int(self._number[some[0]])
        for one, other in zip(some[:-1].tolist(), some[1:].tolist(), strict=True):
            is_other = (self._number[references] != number) & (self._together[references] != self._together[one])
            if is_other.sum() >= _FEWEST_REFERENCES:
                yield _Pair(unit, number, one, other, references[is_other][:_REFERENCES])


class _Pair(NamedTuple):
    """Two images of a group, and images of other groups with which the first one is compared."""

    unit: int
    group: int
    one: int
    other: int
    references: NDArray[np.int64]


def _ranked(pairs: Sequence[_Pair], similarities: Sequence[Similarity]) -> list[NDArray[np.float64]]:
    """Return the ranks of pairs, whether these are among the lowest 5 %, and the probability of this by chance."""
    n = np.array([len(pair.references) for pair in pairs])
    starts = np.cumsum(n + 1) - (n + 1)
    ones = np.repeat([pair.one for pair in pairs], n + 1)
    others = np.concatenate([np.append(pair.other, pair.references) for pair in pairs])
    counts = []
    for similarity in similarities:
        values = similarity(ones, others)
        counts.append(np.add.reduceat(values >= np.repeat(values[starts], n + 1), starts, dtype=np.int64) - 1)
    n_similar = np.array(counts, np.float64)
    most = np.floor(_TOP * n)
    return [
        (n_similar + 0.5) / (n + 1),
        (n_similar <= most).astype(np.float64),
        np.broadcast_to((most + 1) / (n + 1), n_similar.shape),
    ]


def _one_of_each(members: Sequence[int], together: NDArray[np.int64], apart: Sequence[int] | None) -> list[int]:
    """Return one image of each group that is already known, and at most one of each folder in ``apart``."""
    seen, folders, chosen = set(), set(), []
    for i in members:
        number, folder = int(together[i]), i if apart is None else apart[i]
        if number not in seen and folder not in folders:
            seen.add(number)
            folders.add(folder)
            chosen.append(i)
    return chosen


def _numbered(values: Sequence[Hashable]) -> list[int]:
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in values]


def thumbnail_similarity(signatures: NDArray[np.uint8]) -> Similarity:
    """Return a measure that compares thumbnails in eight orientations, whatever their brightness and contrast.

    Parameters
    ----------
    signatures : ndarray of shape (n, side, side), uint8
        Grey thumbnails.
    """

    def similarity(ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float32]:
        asked, at = np.unique(np.concatenate([ones, others]), return_inverse=True)
        return -Patterns(signatures[asked]).gaps(at[: len(ones)], at[len(ones) :])

    return similarity


def feature_similarity(read: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> Similarity:
    """Return the cosine of features as a measure.

    Parameters
    ----------
    read : callable
        Takes ascending positions, and returns their features, shape (n_positions, n_features), float32.
    """

    def similarity(ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float32]:
        asked, at = np.unique(np.concatenate([ones, others]), return_inverse=True)
        rows = normalized_features(read(asked))
        cosines = np.empty(len(ones), np.float32)
        for start in range(0, len(ones), _PAIRS_IN_BLOCK):
            block = slice(start, start + _PAIRS_IN_BLOCK)
            left, right = (rows[some[block]] for some in (at[: len(ones)], at[len(ones) :]))
            cosines[block] = np.einsum("ij,ij->i", left, right)
        return cosines

    return similarity
