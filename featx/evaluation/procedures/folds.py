"""Split samples into stratified folds that keep groups together and have every class in every training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

_TRIES = 20
_RARE_SHARE = 0.1
"""Classes with too few groups count as rare if together they contain at most this fraction of all samples. Rare classes
neither prevent cross-validation nor reduce the number of folds."""

MOST_CROSS_VALIDATED = 200_000
"""Number of samples above which one split into a training and a test part replaces cross-validation."""


class Fold(NamedTuple):
    """Positions of the samples of one fold.

    Parameters
    ----------
    train, test : ndarray of shape (n,), int64
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Folds:
    """A split into folds.

    Parameters
    ----------
    splitter : str
        The scikit-learn class that made the folds.
    pairs : tuple of Fold
    untested : tuple of str
        Rare classes with a single group, which is in every training part and in no test fold.
    """

    splitter: str
    pairs: tuple[Fold, ...]
    untested: tuple[str, ...] = ()

    @property
    def tested(self) -> NDArray[np.int64]:
        """Positions of the samples of all test folds, in ascending order; all positions, unless a class is untested."""
        return np.sort(np.concatenate([fold.test for fold in self.pairs]))


class TooFewGroups(Exception):  # noqa: N818
    """The groups do not allow folds with every class in every training part; the message states the reason."""


def count_groups(y: NDArray[np.int64], groups: NDArray[np.int64], n_classes: int) -> list[int]:
    """Return, for each class, the number of groups that contain it."""
    return [len(np.unique(groups[y == label])) for label in range(n_classes)]


def make_folds(
    y: NDArray[np.int64], groups: NDArray[np.int64], classes: Sequence[str], n_folds: int, seed: int
) -> Folds:
    """Split samples into at most ``n_folds`` folds.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int64
        Index of the class of each sample.
    groups : ndarray of shape (n_samples,), int64
        Group number of each sample; samples of one group are always in the same fold.
    classes : sequence of str
        Class names.
    n_folds : int
        Maximum number of folds. There are fewer folds if a class that is not rare has fewer groups, or if with more
        folds a class is missing in a training part.
    seed : int
        Random seed.

    Returns
    -------
    Folds

    Raises
    ------
    TooFewGroups
        If a class that is not rare has a single group, or no split leaves every class in every training part.
    """
    counts = count_groups(y, groups, len(classes))
    untested = [label for label, count in enumerate(counts) if count < 2]
    if untested and not (_are_rare(y, untested) and len(classes) - len(untested) > 1):
        fewest = int(np.argmin(counts))
        n_images = int((y == fewest).sum())
        have = "has one image" if n_images == 1 else f"has all {n_images:,} images in one group"
        raise TooFewGroups(
            f'class "{classes[fewest]}" {have}, so no fold can have this class in both its training and its test images'
        )
    always = np.isin(groups, groups[np.isin(y, untested)])
    at = np.flatnonzero(~always)
    few = [label for label, count in enumerate(counts) if 2 <= count < n_folds]
    most = n_folds if _are_rare(y, few) else min(counts[label] for label in few)
    for n in range(min(most, len(np.unique(groups[at]))), 1, -1):
        # StratifiedGroupKFold may leave a class out of a training part without a warning; random groups may succeed.
        for kind in (StratifiedGroupKFold, GroupKFold):
            for attempt in range(_TRIES):
                splitter, pairs = _cut(y[at], groups[at], n, seed + 1000 * attempt, kind)
                tests = [at[fold.test] for fold in pairs]
                trains = [np.setdiff1d(np.arange(len(y)), test) for test in tests]
                if all(len(np.unique(y[train])) == len(classes) for train in trains) and all(map(len, tests)):
                    names = tuple(classes[label] for label in untested)
                    return Folds(splitter, tuple(map(Fold, trains, tests)), names)
    raise TooFewGroups("no split of the groups leaves every class in every training part")


def make_outer_folds(
    y: NDArray[np.int64], groups: NDArray[np.int64], classes: Sequence[str], n_folds: int, seed: int
) -> Folds:
    """Split samples into the outer folds of a cross-validation; above 200,000 samples, into two parts.

    The parameters and errors are the same as for :func:`make_folds`. With two parts, the test part contains about
    ``1 / n_folds`` of the samples: with five folds at least 40,000, enough for a narrow confidence interval.
    """
    folds = make_folds(y, groups, classes, n_folds, seed)
    if len(y) <= MOST_CROSS_VALIDATED:
        return folds
    return replace(folds, splitter=f"one split by {folds.splitter}", pairs=folds.pairs[:1])


def _are_rare(y: NDArray[np.int64], labels: Sequence[int]) -> bool:
    return bool(np.isin(y, labels).mean() <= _RARE_SHARE)


def _cut(y: NDArray[np.int64], groups: NDArray[np.int64], n: int, seed: int, kind: type) -> tuple[str, list[Fold]]:
    if len(np.unique(groups)) == len(groups):
        splits = StratifiedKFold(n, shuffle=True, random_state=seed).split(y, y)
        return "StratifiedKFold", [Fold(*pair) for pair in splits]
    return kind.__name__, [Fold(*pair) for pair in kind(n, shuffle=True, random_state=seed).split(y, y, groups)]
