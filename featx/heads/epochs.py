"""Fit heads by stochastic gradients on features that are read in blocks, block by block and epoch by epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsOneClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from featx.heads.training_parts import Fitted, TrainingParts, fitted_pipeline


class _Job(Protocol):
    """One estimator that is fitted to one training part."""

    part: int
    is_done: bool

    def update(self, X: NDArray[np.float32], y: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        """Train on the rows of a block that belong to the part, at the given positions."""

    def end_epoch(self) -> None:
        """Decide whether another epoch is needed."""


class SvmBlocks:
    """Fits of linear support vector machines by averaged stochastic gradients, as :func:`featx.heads.for_large` uses.

    Each classifier of a pair of classes stops when its mean hinge loss no longer decreases. The loss of a block is
    measured before the classifier is updated with this block.

    Parameters
    ----------
    parts : TrainingParts
    """

    def __init__(self, parts: TrainingParts) -> None:
        self._parts = parts

    def fit(self, pipelines: Sequence[Pipeline]) -> Iterator[list[Fitted]]:
        """Fit pipelines of scaler and head in the same passes, and yield the fitted pipelines of the parts of each."""
        parts = self._parts
        pairs = list(itertools.combinations(range(parts.n_classes), 2))
        jobs = [
            [[_PairJob(_machine(pipeline), part, pair, parts) for pair in pairs] for part in range(parts.n_parts)]
            for pipeline in pipelines
        ]
        _run_epochs(
            parts, [job for of_pipeline in jobs for of_part in of_pipeline for job in of_part], _seed(pipelines)
        )
        for pipeline, of_pipeline in zip(pipelines, jobs, strict=True):
            yield [
                Fitted(
                    fitted_pipeline(pipeline, scaler, _joined(pipeline, [job.machine for job in own], parts)),
                    all(job.has_converged for job in own),
                )
                for scaler, own in zip(parts.scalers, of_pipeline, strict=True)
            ]


class MlpBlocks:
    """Fits of multilayer perceptrons with early stopping, as :func:`featx.heads.for_large` uses.

    As in scikit-learn, training stops when the accuracy on held-out rows of the training part no longer increases, and
    the best coefficients are kept.

    Parameters
    ----------
    parts : TrainingParts
    sample_weight : {None, "balanced"}
        Weights of the rows by their class.
    """

    def __init__(self, parts: TrainingParts, sample_weight: str | None) -> None:
        self._parts = parts
        self._class_weights = parts.class_weights(sample_weight)

    def fit(self, pipelines: Sequence[Pipeline]) -> Iterator[list[Fitted]]:
        """Fit pipelines of scaler and head in the same passes, and yield the fitted pipelines of the parts of each."""
        parts = self._parts
        jobs = [
            [_MlpJob(clone(pipeline[-1]), part, parts, self._class_weights[part]) for part in range(parts.n_parts)]
            for pipeline in pipelines
        ]
        _run_epochs(parts, list(itertools.chain.from_iterable(jobs)), _seed(pipelines))
        for pipeline, of_pipeline in zip(pipelines, jobs, strict=True):
            yield [
                Fitted(fitted_pipeline(pipeline, scaler, job.finished()), job.has_converged)
                for scaler, job in zip(parts.scalers, of_pipeline, strict=True)
            ]


def _run_epochs(parts: TrainingParts, jobs: Sequence[_Job], seed: int | None) -> None:
    """Pass over the blocks, in a new random order in each epoch, until all jobs are done.

    Each job gets the blocks in the same order, and the jobs share the threads, so that the bits do not depend on their
    number.
    """
    rng, scalers = np.random.default_rng(seed), parts.scalers
    active = list(jobs)
    with ThreadPoolExecutor(parts.X.n_workers, "featx-updates") as pool:
        while active:
            needed = sorted({job.part for job in active})

            def scaled(at: NDArray[np.int64], block: NDArray[np.float32], needed: list[int] = needed) -> Any:
                return at, {part: scalers[part].transform(block) for part in needed}

            with closing(parts.X.map(scaled, rng)) as epoch:
                for at, blocks in epoch:
                    updates = [pool.submit(job.update, blocks[job.part], parts.y[at], at) for job in active]
                    for update in updates:
                        update.result()
            for job in active:
                job.end_epoch()
            active = [job for job in active if not job.is_done]


class _PairJob:
    """A classifier of one pair of classes."""

    def __init__(self, machine: SGDClassifier, part: int, pair: tuple[int, int], parts: TrainingParts) -> None:
        members = parts.inside[:, part]
        y = parts.y[members]
        counts = np.array([(y == label).sum() for label in pair])
        self.machine = machine
        self.part = part
        self.is_done = self.has_converged = False
        self._pair, self._inside = pair, members
        self._class_weight = machine.class_weight
        self._weights = np.ones(2)
        if machine.class_weight == "balanced":
            self._weights = counts.sum() / (2 * np.maximum(counts, 1))
        elif machine.class_weight is not None:
            self._weights = np.array([machine.class_weight.get(label, 1.0) for label in range(2)])
        machine.set_params(class_weight=None)  # partial_fit would compute balanced weights from one block
        self._n = int(counts.sum())
        self._loss, self._best, self._n_without_gain, self._n_epochs = 0.0, np.inf, 0, 0

    def update(self, X: NDArray[np.float32], y: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        first, second = self._pair
        chosen = np.flatnonzero(self._inside[at] & ((y == first) | (y == second)))
        if not len(chosen):
            return
        X, target = X[chosen], (y[chosen] == second).astype(np.int64)
        weights = self._weights[target]
        margins = self.machine.decision_function(X) if hasattr(self.machine, "coef_") else np.zeros(len(X))
        self._loss += float((np.maximum(0, 1 - (2 * target - 1) * margins) * weights).sum())
        self.machine.partial_fit(X, target, classes=np.arange(2), sample_weight=weights)

    def end_epoch(self) -> None:
        machine = self.machine
        self._n_epochs += 1
        self._n_without_gain = self._n_without_gain + 1 if self._loss > self._best - machine.tol * self._n else 0
        self._best, self._loss = min(self._best, self._loss), 0.0
        self.has_converged = self._n_without_gain >= machine.n_iter_no_change
        self.is_done = self.has_converged or self._n_epochs == machine.max_iter
        if self.is_done:
            machine.n_iter_ = self._n_epochs
            machine.set_params(class_weight=self._class_weight)


class _MlpJob:
    """A multilayer perceptron."""

    def __init__(self, mlp: MLPClassifier, part: int, parts: TrainingParts, class_weights: NDArray[np.float64]) -> None:
        train = np.flatnonzero(parts.inside[:, part])
        train, held_out = train_test_split(
            train, test_size=mlp.validation_fraction, random_state=mlp.random_state, stratify=parts.y[train]
        )
        self.part = part
        self.is_done = self.has_converged = False
        self._mlp, self._parts, self._class_weights = mlp.set_params(early_stopping=False), parts, class_weights
        self._trains = np.zeros(len(parts.y), np.bool_)
        self._trains[train] = True
        self._held_out = held_out
        self._accuracies: list[float] = []
        self._losses: list[float] = []
        self._of_epoch: list[tuple[float, int]] = []
        self._best: tuple[list[NDArray[Any]], list[NDArray[Any]]] = ([], [])
        self._n_without_gain = 0
        self._batch_size = mlp.batch_size

    def update(self, X: NDArray[np.float32], y: NDArray[np.int64], at: NDArray[np.int64]) -> None:
        chosen = np.flatnonzero(self._trains[at])
        if not len(chosen):
            return
        y = y[chosen]
        weights = self._class_weights[y]
        self._mlp.set_params(batch_size=min(self._batch_size, len(chosen)))
        self._mlp.partial_fit(X[chosen], y, sample_weight=weights, classes=np.arange(self._parts.n_classes))
        self._of_epoch.append((self._mlp.loss_, len(chosen)))

    def end_epoch(self) -> None:
        mlp, parts, held_out = self._mlp, self._parts, self._held_out
        scaler = parts.scalers[self.part]
        predicted = parts.X[held_out].apply(lambda block: mlp.predict(scaler.transform(block)))
        hits, weights = predicted == parts.y[held_out], self._class_weights[parts.y[held_out]]
        accuracy = float(np.average(hits, weights=weights))
        losses, sizes = zip(*self._of_epoch, strict=True)
        self._losses.append(float(np.average(losses, weights=sizes)))
        self._of_epoch.clear()
        best = max(self._accuracies, default=-np.inf)
        self._n_without_gain = self._n_without_gain + 1 if accuracy < best + mlp.tol else 0
        if accuracy > best:
            self._best = [one.copy() for one in mlp.coefs_], [one.copy() for one in mlp.intercepts_]
        self._accuracies.append(accuracy)
        self.has_converged = self._n_without_gain > mlp.n_iter_no_change
        self.is_done = self.has_converged or len(self._accuracies) == mlp.max_iter

    def finished(self) -> MLPClassifier:
        """Return the perceptron with its best coefficients, and the attributes that early stopping sets."""
        mlp = self._mlp.set_params(early_stopping=True, batch_size=self._batch_size)
        mlp.coefs_, mlp.intercepts_ = self._best
        mlp.n_iter_ = len(self._accuracies)
        mlp.loss_curve_, mlp.loss_, mlp.best_loss_ = self._losses, self._losses[-1], None
        mlp.validation_scores_, mlp.best_validation_score_ = self._accuracies, max(self._accuracies)
        return mlp


def _seed(pipelines: Sequence[Pipeline]) -> int | None:
    return _machine(pipelines[0]).random_state  # type: ignore[no-any-return]


def _machine(pipeline: Pipeline) -> Any:
    """Return a clone of the head, or of the classifier of one pair of classes."""
    last = pipeline[-1]
    return clone(last.estimator if isinstance(last, OneVsOneClassifier) else last)


def _joined(pipeline: Pipeline, machines: list[SGDClassifier], parts: TrainingParts) -> Any:
    """Return the head with the fitted classifiers of all pairs of classes."""
    if parts.n_classes == 2:
        return machines[0]
    head = clone(pipeline[-1])
    head.classes_, head.n_features_in_ = np.arange(parts.n_classes), parts.X.n_features
    head.estimators_, head.pairwise_indices_ = tuple(machines), None
    return head
