"""Divide a labelled feature table into training, validation and test parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.blocks import FeatureBlocks, Features, places_in_store
from featx.contrast import are_equal
from featx.errors import EvaluationError
from featx.evaluation.procedures.training_set import TrainingSet
from featx.group_hints import read_groups
from featx.table import ORIGINS, FeatureTable, Sample
from featx.targets import SingleLabel


@dataclass(frozen=True)
class DataSplit:
    """A labelled table, divided by the splits of the data set.

    Parameters
    ----------
    train : TrainingSet
        Samples of the split ``train`` and samples without a split.
    at : ndarray of shape (n_train,), int64
        Positions of the training samples in the table.
    val, test : TrainingSet
        Samples of the splits ``val`` and ``test``; empty if there are none.
    """

    train: TrainingSet
    at: NDArray[np.int64]
    val: TrainingSet
    test: TrainingSet


def split_table(
    table: FeatureTable, groups: NDArray[np.int64], views: int = 0, in_blocks: bool = False, n_workers: int = 1
) -> DataSplit:
    """Divide a table by the splits of the data set; samples without a label are left out.

    Parameters
    ----------
    table : FeatureTable
    groups : ndarray of shape (n_samples,), int64
        Group of each sample.
    views : int
        Number of augmented views of each training image.
    in_blocks : bool
        Whether features and views stay in the store and are read in blocks, instead of into memory.
    n_workers : int
        Number of threads that read and process blocks.

    Returns
    -------
    DataSplit

    Raises
    ------
    EvaluationError
        If there are no labels or only one class, a class occurs only in the validation or test part, all training
        images have the same features, or the table has fewer views.
    """
    targets = training_targets(table.name, table.samples)
    labels, splits = table.y, table.splits
    labelled = np.array([label is not None for label in labels], np.bool_)
    in_train = np.array([sample.is_training for sample in table.samples], np.bool_)
    y = targets.encode(labels)
    _check_views(table, views)
    read = _reader_of_blocks(table, views, n_workers) if in_blocks else _reader(table)

    def part(members: NDArray[np.bool_]) -> TrainingSet:
        at = np.flatnonzero(members)
        return TrainingSet(read(at, 0), y[at], groups[at], targets)

    train, at = part(in_train), np.flatnonzero(in_train)
    stop_if_all_equal(table, train.X, at)
    return DataSplit(
        replace(train, views=[read(at, view) for view in range(1, views + 1)] or None),
        at,
        part(labelled & (splits == "val")),
        part(labelled & (splits == "test")),
    )


def stop_if_all_equal(table: FeatureTable, X: Features, at: NDArray[np.int64]) -> None:
    """Check that training images do not all have the same features.

    Parameters
    ----------
    table : FeatureTable
    X : ndarray of shape (n, n_features), float32, or FeatureBlocks
        Features of the training images.
    at : ndarray of shape (n,), int64
        Positions of the training images in the table.

    Raises
    ------
    EvaluationError
        If all training images have the same features.
    """
    if are_equal(X):
        names = [table.samples[i].sample_id for i in at[:2]]
        raise EvaluationError(
            f"all {len(X):,} images of the training part of {table.name} have the same features, so no head can be "
            f"trained. Look at {' and '.join(names)}: they may be fully transparent, of one colour, or have an empty "
            "first page (`page`); featx inspect lists such images"
        )


def _check_views(table: FeatureTable, n: int) -> None:
    if not 0 <= n <= table.views:
        has = f"{table.views} augmented views of each image" if table.views else "no augmented views"
        raise EvaluationError(f"`views={n}`: {table.name} has {has}; extract more with `augment` and `views`")


def _reader(table: FeatureTable) -> Callable[[NDArray[np.int64], int], Features]:
    """Return a function that reads the features of one view of some samples into memory."""
    of_images = table.opened(0)
    return lambda at, view: table.opened(view)(at) if view else of_images(at)


def _reader_of_blocks(table: FeatureTable, views: int, n_workers: int) -> Callable[[NDArray[np.int64], int], Features]:
    """Return a function that selects the features of one view of some samples, which are read in blocks."""
    sources = [table.opened(view) for view in range(1 + views)]
    places = places_in_store(table.content_hashes)
    whole = FeatureBlocks(sources, places, table.extraction.n_features, np.arange(len(table)), n_workers)
    return lambda at, view: whole[at].view(view)


def check_samples(name: str, samples: Sequence[Sample], group_by: str | None = None) -> None:
    """Check labels and groups of samples before their images are read.

    Parameters
    ----------
    name : str
        Name of the data set.
    samples : sequence of Sample
    group_by : str, optional
        As for :func:`featx.fit`. ``camera`` and ``day`` cannot be checked before the images are read.

    Raises
    ------
    EvaluationError
        As for :func:`training_targets`.
    DatasetError
        If ``group_by`` matches no image.
    """
    training_targets(name, samples)
    if group_by is not None and group_by not in ORIGINS:
        read_groups(samples, group_by)


def training_targets(name: str, samples: Sequence[Sample]) -> SingleLabel:
    """Return the targets of the training part.

    Parameters
    ----------
    name : str
        Name of the data set, for messages.
    samples : sequence of Sample

    Raises
    ------
    EvaluationError
        If there are no labels or only one class, or a class occurs only in the validation or test part.
    """
    if all(sample.label is None for sample in samples):
        raise EvaluationError(
            f"{name} has no labels; put the images of each class into their own folder, or give a manifest (path,label)"
        )
    targets = SingleLabel.of(sample.label for sample in samples if sample.is_training)
    classes = targets.classes
    if len(classes) < 2:
        only = f"one class, {classes[0]!r}" if classes else "no labelled image"
        raise EvaluationError(f"the training part of {name} has {only}; at least two classes are required")
    for split in ("val", "test"):
        new = sorted({sample.label for sample in samples if sample.split == split and sample.label} - set(classes))
        if new:
            part = "validation" if split == "val" else split
            raise EvaluationError(f"the {part} part contains {', '.join(new)}, but the training part does not")
    return targets
