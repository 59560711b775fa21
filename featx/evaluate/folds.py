"""Cut samples into folds that are stratified, keep groups together and leave no class out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

_TRIES = 20


@dataclass(frozen=True)
class Folds:
    """A division into folds.

    Parameters
    ----------
    splitter : str
        The scikit-learn class that made it.
    pairs : tuple of (train, test)
        Positions of each fold's training and test samples, int64.
    """

    splitter: str
    pairs: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]


class TooFewGroups(Exception):  # noqa: N818
    """A class cannot be on both sides of a split; the message says which."""


def count_groups(y: NDArray[np.int64], groups: NDArray[np.int64], n_classes: int) -> list[int]:
    """Return the number of groups that each class occurs in."""
    return [len(np.unique(groups[y == label])) for label in range(n_classes)]


def cut_folds(
    y: NDArray[np.int64], groups: NDArray[np.int64], classes: Sequence[str], n_folds: int, seed: int
) -> Folds:
    """Cut samples into at most ``n_folds`` folds.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int64
        Class numbers.
    groups : ndarray of shape (n_samples,), int64
        Samples of one group are never separated.
    classes : sequence of str
        For messages.
    n_folds : int
        Wanted number; fewer where a class has fewer groups.
    seed : int

    Raises
    ------
    TooFewGroups
        A class has one group, or no division leaves every class on both sides.
    """
    counts = count_groups(y, groups, len(classes))
    fewest = int(np.argmin(counts))
    if counts[fewest] < 2:
        n_pictures = int((y == fewest).sum())
        what = "one picture" if n_pictures == 1 else f"{n_pictures:,} pictures that are all one group"
        raise TooFewGroups(f"class {classes[fewest]!r} has {what}: it cannot be both learnt and tested")
    for n in range(min(n_folds, counts[fewest]), 1, -1):
        # StratifiedGroupKFold may leave a class out of a training part without a word; then groups at random may do.
        for kind in (StratifiedGroupKFold, GroupKFold):
            for attempt in range(_TRIES):
                folds = _cut(y, groups, n, seed + 1000 * attempt, kind)
                if all(len(np.unique(y[train])) == len(classes) and len(test) for train, test in folds.pairs):
                    return folds
    raise TooFewGroups("the groups mix the classes so that no division leaves every class in training")


def _cut(y: NDArray[np.int64], groups: NDArray[np.int64], n: int, seed: int, kind: type) -> Folds:
    if len(np.unique(groups)) == len(groups):
        splits = StratifiedKFold(n, shuffle=True, random_state=seed).split(y, y)
        return Folds("StratifiedKFold", tuple(splits))
    splits = kind(n, shuffle=True, random_state=seed).split(y, y, groups)
    return Folds(kind.__name__, tuple(splits))
