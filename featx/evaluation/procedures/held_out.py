"""Split a labelled feature table into training, validation and test parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import EvaluationError
from featx.evaluation.procedures.data_split import split_table, stop_if_all_equal
from featx.evaluation.procedures.folds import TooFewGroups, make_folds
from featx.table import FeatureTable
from featx.targets import SingleLabel

_FOLDS = 5


@dataclass(frozen=True)
class HeldOutParts:
    """Training, validation and test parts of a table; no group is in two parts.

    Parameters
    ----------
    targets : SingleLabel
    y : ndarray of shape (n_samples,), int64
        Class index of each sample; -1 for samples without a label.
    train, val, test : ndarray of shape (n,), int64
        Positions of the samples of each part.
    is_own_test : bool
        Whether the test part is the split ``test`` of the data set.
    """

    targets: SingleLabel
    y: NDArray[np.int64]
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    test: NDArray[np.int64]
    is_own_test: bool

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return self.targets.classes


def split_train_val_test(table: FeatureTable, groups: NDArray[np.int64], seed: int) -> HeldOutParts:
    """Split a table into training, validation and test parts.

    The splits ``val`` and ``test`` of the data set are used if they exist. A part without a split is made of about a
    fifth of the remaining training images.

    Parameters
    ----------
    table : FeatureTable
    groups : ndarray of shape (n_samples,), int64
        Group of each sample. Images of the splits that share a group with a training image are left out, and images of
        ``val`` that share a group with a test image.
    seed : int
        Random seed.

    Returns
    -------
    HeldOutParts

    Raises
    ------
    EvaluationError
        If there are no labels or only one class, no part can be held out without dividing a group or losing a class,
        every image of a split shares a group with an image of another part, or all training images have the same
        features.
    """
    divided = split_table(table, groups)
    targets, rest = divided.train.targets, divided.at
    y = targets.encode(table.y)
    own = {name: np.flatnonzero((y >= 0) & (table.splits == name)) for name in ("val", "test")}
    parts = {name: at[~np.isin(groups[at], groups[rest])] for name, at in own.items()}
    for name in ("test", "val"):
        if not len(own[name]):
            rest, parts[name] = _cut_off(rest, y, groups, targets.classes, seed)
        elif not len(parts[name]):
            part = "validation" if name == "val" else name
            raise EvaluationError(f"every image of the {part} part shares a group with a training image")
    if len(rest) < len(divided.at):
        stop_if_all_equal(table, table.opened(0)(rest), rest)
    parts["val"] = parts["val"][~np.isin(groups[parts["val"]], groups[parts["test"]])]
    if not len(parts["val"]):
        raise EvaluationError("every image of the validation part shares a group with a test image")
    return HeldOutParts(targets, y, rest, parts["val"], parts["test"], bool(len(own["test"])))


def _cut_off(
    rest: NDArray[np.int64], y: NDArray[np.int64], groups: NDArray[np.int64], classes: Sequence[str], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    try:
        kept, off = make_folds(y[rest], groups[rest], classes, _FOLDS, seed).pairs[0]
    except TooFewGroups as error:
        raise EvaluationError(f"no validation or test part can be held out: {error}") from None
    return rest[kept], rest[off]
