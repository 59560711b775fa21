"""Split a labelled data set, fit heads and train networks on the training part, and evaluate on the test part."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones import FILE_BACKBONE, engine_of
from featx.classifier import DenseHead, to_dense
from featx.contrast import MOST_LOOKED_AT, find_indistinct
from featx.duplicates import group_table
from featx.errors import DatasetError
from featx.evaluation import FinetuneComparison, Interval
from featx.evaluation.procedures import (
    FitCounter,
    TrainingSet,
    check_samples,
    difference_of_shares,
    find_temperature,
    quiet_single_threads,
    share_of,
    split_train_val_test,
    tune_and_fit,
)
from featx.execution import bundle_graph
from featx.extraction import compute_table
from featx.heads import Head, scores_of
from featx.options import ExtractOptions, FeatureOptions, RunOptions, SplitOptions
from featx.runtime import Runtime
from featx.source import Place
from featx.store import check_cache
from featx.table import FeatureTable
from featx.training import (
    TrainedNetwork,
    TrainingData,
    TrainingPlan,
    layers_of_head,
    train_blocks,
    train_small_cnn,
)


def extract_and_split(
    path: Place,
    backbone: str,
    options: FeatureOptions,
    run: RunOptions,
    splitting: SplitOptions,
    runtime: Runtime,
) -> TrainingData:
    """Extract the frozen features of a data set and split it into a training, a validation and a test part.

    Parameters
    ----------
    path : path
        Folder or manifest.
    backbone : str
    options : FeatureOptions
    run : RunOptions
    splitting : SplitOptions
    runtime : Runtime

    Raises
    ------
    EvaluationError
        If no valid test part can be held out; the message states the reason.
    FeatxError
        As for :func:`featx.extract`.
    """
    check_cache(runtime.cache, ["training"])
    check = partial(check_samples, group_by=splitting.group_by)
    table = compute_table(path, backbone, ExtractOptions.of(vars(options)), run, check=check, runtime=runtime)
    grouping = group_table(table, splitting.group_by, runtime, splitting.group_versions)
    split = split_train_val_test(table, grouping.numbers, splitting.seed)
    runtime.notice(
        f"{len(split.train):,} training images, {len(split.val):,} validation images (to select the epoch), "
        f"{len(split.test):,} test images"
    )
    indistinct = find_indistinct(table).notes() if len(table) <= MOST_LOOKED_AT else []
    for note in indistinct:
        runtime.notice(note)
    notes = (*indistinct, *grouping.notes())
    return TrainingData(path, backbone, options, run, table, grouping, split, notes, splitting.seed, runtime)


def with_features_of(data: TrainingData, backbone: str, options: FeatureOptions) -> TrainingData:
    """Return the same data set and split with the features of another backbone.

    Raises
    ------
    DatasetError
        If the data set has changed since it was split.
    FeatxError
        As for :func:`featx.extract`.
    """
    table = compute_table(data.path, backbone, ExtractOptions.of(vars(options)), data.run, runtime=data.runtime)
    if not np.array_equal(table.content_hashes, data.table.content_hashes):
        raise DatasetError(f"{data.path} has changed during the comparison; run the command again")
    return replace(data, backbone=backbone, options=options, table=table)


@dataclass(frozen=True)
class JudgedHead:
    """A head on frozen features, or the last layer of a trained network, with scores on validation and test part.

    Parameters
    ----------
    data : TrainingData
    network : path
        File or name of the network.
    table : FeatureTable
        Features of the data set.
    estimator : fitted scikit-learn classifier
    dense_head : DenseHead or None
        The estimator as matrices; None if it has no such form.
    val_scores, test_scores : ndarray of shape (n, n_classes), float64
        Scores of the images of the validation part and of the test part.
    head : str
    params : dict
        Selected hyper-parameters, for reports.
    seconds : float
        Wall time of fitting or training, and of scoring, in seconds.
    notes : tuple of str
        Notes on fits that did not converge.
    """

    data: TrainingData
    network: Path
    table: FeatureTable
    estimator: Any
    dense_head: DenseHead | None
    val_scores: NDArray[np.float64]
    test_scores: NDArray[np.float64]
    head: str
    params: dict[str, Any]
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether the prediction of each test image is correct, shape (n_test,)."""
        split = self.data.split
        return split.targets.hits(split.targets.predicted(self.test_scores), split.y[split.test])

    @property
    def accuracy(self) -> Interval:
        """Accuracy on the test part."""
        return share_of(self.hits, self._test_groups)

    @property
    def val_accuracy(self) -> float:
        """Accuracy on the validation part."""
        split = self.data.split
        return float(split.targets.hits(split.targets.predicted(self.val_scores), split.y[split.val]).mean())

    @property
    def temperature(self) -> float:
        """Divisor of the scores, calibrated on the validation part."""
        return find_temperature(self.val_scores, self.data.split.y[self.data.split.val])

    def difference(self, other: JudgedHead) -> Interval:
        """Return the accuracy minus the accuracy of another candidate, paired by image."""
        return difference_of_shares(self.hits, other.hits, self._test_groups)

    def with_graph(self) -> JudgedHead:
        """Return the candidate with the graph of its network, if the network is a file and the engine keeps graphs."""
        spec = self.table.spec
        if spec.backbone != FILE_BACKBONE or not engine_of(spec).keeps_graph:
            return self
        return replace(self, table=bundle_graph(self.table, lambda: self.network, self.data.runtime))

    @property
    def _test_groups(self) -> NDArray[np.int64]:
        return self.data.groups[self.data.split.test]


def fit_head(data: TrainingData, head: Head, starts_training: bool = False) -> JudgedHead:
    """Tune and fit a head on the frozen features of the training part.

    Parameters
    ----------
    data : TrainingData
    head : Head
    starts_training : bool
        Whether the head becomes the initial dense layers of a network; used only in the progress text.
    """
    started = time.monotonic()
    split, X, counter = data.split, data.table.X, FitCounter()
    n_classes = split.targets.n_classes
    name = "the initial head" if starts_training else head.name
    with quiet_single_threads(), data.runtime.stage(f"tuning and fitting {name}") as advance:
        training = TrainingSet(X[split.train], split.y[split.train], data.groups[split.train], split.targets)
        tuned = tune_and_fit(head, training, data.seed, counter, "the final head", progress=advance)
    return JudgedHead(
        data=data,
        network=Path(data.backbone),
        table=data.table,
        estimator=tuned.estimator,
        dense_head=to_dense(tuned.estimator),
        val_scores=scores_of(tuned.estimator, X[split.val], n_classes),
        test_scores=scores_of(tuned.estimator, X[split.test], n_classes),
        head=head.name,
        params={name.removeprefix("head__"): value for name, value in tuned.params.items()},
        seconds=time.monotonic() - started,
        notes=(*tuned.notes, *counter.notes()),
    )


def train_network(
    data: TrainingData, plan: TrainingPlan, frozen: JudgedHead | None, size: int
) -> tuple[TrainedNetwork, JudgedHead]:
    """Train the top blocks of the backbone, or a small network from scratch.

    Parameters
    ----------
    data : TrainingData
    plan : TrainingPlan
    frozen : JudgedHead or None
        Head that becomes the initial dense layers; None to train from scratch.
    size : int
        Side of the input of a network from scratch, in pixels.

    Raises
    ------
    HeadError
        If the head cannot be converted to dense layers.
    TrainingError
        If the network cannot be cut as requested, or the cached activations do not fit on the disk.
    """
    started = time.monotonic()
    split = data.split
    if frozen is None:
        trained = train_small_cnn(data, plan, size)
    else:
        top = layers_of_head(frozen.head, frozen.dense_head, len(split.classes), frozen.temperature)
        trained = train_blocks(data, plan, top)
    X, history = trained.table.X, trained.history
    candidate = JudgedHead(
        data=data,
        network=trained.file,
        table=trained.table,
        estimator=trained.estimator,
        dense_head=trained.dense_head,
        val_scores=trained.dense_head.scores(X[split.val]),
        test_scores=trained.dense_head.scores(X[split.test]),
        head="finetuned",
        params={"epoch": history.best, "epochs": len(history.epochs) - 1, "optimizer": plan.config.optimizer},
        seconds=time.monotonic() - started + (0.0 if frozen is None else frozen.seconds),
    )
    return trained, candidate


def compare_candidates(
    frozen: JudgedHead | None, finetuned: JudgedHead, trained: TrainedNetwork, unfrozen: str
) -> FinetuneComparison:
    """Compare both candidates on the test part; the fine-tuned network is kept only if its accuracy is higher.

    Parameters
    ----------
    frozen : JudgedHead or None
        None if the network was trained from scratch.
    finetuned : JudgedHead
    trained : TrainedNetwork
    unfrozen : str
        Description of the trained blocks, for reports.
    """
    split = finetuned.data.split
    difference = None if frozen is None else finetuned.difference(frozen)
    return FinetuneComparison(
        kept="finetuned" if difference is None or difference.mean > 0 else "frozen",
        frozen=None if frozen is None else frozen.accuracy,
        finetuned=finetuned.accuracy,
        difference=difference,
        n=len(split.test),
        is_own_test=split.is_own_test,
        unfrozen=unfrozen,
        history=trained.history.to_dict(),
    )
