"""The parts of a labelled feature table: what is learnt from, and what its owner set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.contrast import are_equal
from featx.errors import EvaluationError
from featx.evaluation.procedures.training_set import TrainingSet
from featx.group_hints import read_groups
from featx.table import ORIGINS, FeatureTable, Sample
from featx.targets import SingleLabel


@dataclass(frozen=True)
class DataSplit:
    """A labelled table, divided by its splits.

    Parameters
    ----------
    train : TrainingSet
        Samples of the split ``train`` or of none.
    at : ndarray of shape (n_train,), int64
        Their positions in the table.
    val, test : TrainingSet
        Samples of those splits; empty where there are none.
    """

    train: TrainingSet
    at: NDArray[np.int64]
    val: TrainingSet
    test: TrainingSet


def split_table(table: FeatureTable, groups: NDArray[np.int64], views: int = 0) -> DataSplit:
    """Divide a table into its parts; samples without a label are left out.

    Parameters
    ----------
    table : FeatureTable
    groups : ndarray of shape (n_samples,), int64
        Group of each sample.
    views : int
        How many augmented views of the training part are learnt from, in memory like the features themselves.

    Raises
    ------
    EvaluationError
        No labels, one class, or a class that only a test part has; all images of the training part have the same
        features; or the table has not so many views.
    """
    targets = training_targets(table.name, table.samples)
    labels, splits = table.y, table.splits
    labelled = np.array([label is not None for label in labels], np.bool_)
    in_train = np.array([sample.is_training for sample in table.samples], np.bool_)
    y, read = targets.encode(labels), table.opened(0)

    def part(members: NDArray[np.bool_]) -> TrainingSet:
        at = np.flatnonzero(members)
        return TrainingSet(read(at), y[at], groups[at], targets)

    train = part(in_train)
    stop_if_all_equal(table, train.X, np.flatnonzero(in_train))
    return DataSplit(
        replace(train, views=_read_views(table, np.flatnonzero(in_train), views)),
        np.flatnonzero(in_train),
        part(labelled & (splits == "val")),
        part(labelled & (splits == "test")),
    )


def stop_if_all_equal(table: FeatureTable, X: NDArray[np.float32], at: NDArray[np.int64]) -> None:
    """Make sure that images to learn from differ.

    Parameters
    ----------
    table : FeatureTable
    X : ndarray of shape (n, n_features), float32
        Their features.
    at : ndarray of shape (n,), int64
        Their positions.

    Raises
    ------
    EvaluationError
        They all have the same features.
    """
    if are_equal(X):
        names = [table.samples[i].sample_id for i in at[:2]]
        raise EvaluationError(
            f"all {len(X):,} images of the training part of {table.name} have the same features: nothing can be "
            f"learnt. Look at {' and '.join(names)}: they may be fully transparent, of one colour, or have an empty "
            "first page (`page`); featx inspect lists such images"
        )


def _read_views(table: FeatureTable, at: NDArray[np.int64], n: int) -> NDArray[np.float32] | None:
    if not 0 <= n <= table.views:
        has = f"{table.views} augmented views of each image" if table.views else "no augmented views"
        raise EvaluationError(f"{table.name} has {has}, {n} are asked for; extract takes `augment` and `views`")
    if not n:
        return None
    views = np.empty((n, len(at), table.extraction.n_features), np.float32)
    for view in range(n):
        views[view] = table.opened(view + 1)(at)
    return views


def check_samples(name: str, samples: Sequence[Sample], group_by: str | None = None) -> None:
    """Make sure that samples can be learnt from, as far as labels and groups tell, before their images are read.

    Parameters
    ----------
    name : str
        Of the data set.
    samples : sequence of Sample
    group_by : str, optional
        As for :func:`featx.fit`; ``camera`` and ``day`` are known only once the images are read.

    Raises
    ------
    EvaluationError
        As for :func:`training_targets`.
    DatasetError
        ``group_by`` matches no image.
    """
    training_targets(name, samples)
    if group_by is not None and group_by not in ORIGINS:
        read_groups(samples, group_by)


def training_targets(name: str, samples: Sequence[Sample]) -> SingleLabel:
    """Return the targets of the training part.

    Raises
    ------
    EvaluationError
        No labels, one class, or a class that only a test part has.
    """
    if all(sample.label is None for sample in samples):
        raise EvaluationError(
            f"{name} has no labels; put each class into a folder of its own, or give a manifest (path,label)"
        )
    targets = SingleLabel.of(sample.label for sample in samples if sample.is_training)
    classes = targets.classes
    if len(classes) < 2:
        only = f"one class, {classes[0]!r}" if classes else "no labelled image"
        raise EvaluationError(f"the training part of {name} has {only}; at least two classes are needed")
    for split in ("val", "test"):
        new = sorted({sample.label for sample in samples if sample.split == split and sample.label} - set(classes))
        if new:
            raise EvaluationError(f"{', '.join(new)} occurs in the {split} part but not in the training part")
    return targets
