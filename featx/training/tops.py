"""The top that training begins with: a head fitted on frozen features, as dense layers; or a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier import fold
from featx.errors import HeadError
from featx.evaluation.procedures import TrainingSet, Tuned, find_temperature, quiet_single_threads, tune_and_fit
from featx.heads import Head, scores_of


@dataclass(frozen=True)
class Top:
    """Dense layers with a ReLU between any two.

    Parameters
    ----------
    weights, biases : list of ndarray
        (n_in, n_out) and (n_out,); the last one has a column for each class.
    """

    weights: list[NDArray[np.float64]]
    biases: list[NDArray[np.float64]]


@dataclass(frozen=True)
class FrozenHead:
    """A head on frozen features.

    Parameters
    ----------
    tuned : Tuned
        Fitted on the training part alone.
    top : Top
        The same as dense layers, whose logits are its scores over a temperature that was found on the validation part.
    n_classes : int
    """

    tuned: Tuned
    top: Top
    n_classes: int

    def scores(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return a score for each class, shape (n, n_classes)."""
        return scores_of(self.tuned.estimator, X, self.n_classes)


def fit_frozen(
    head: Head,
    train: TrainingSet,
    X_val: NDArray[np.float32],
    y_val: NDArray[np.int64],
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FrozenHead:
    """Tune and fit a head on the training part, and turn it into dense layers.

    Raises
    ------
    HeadError
        It is of a kind that is no chain of dense layers.
    """
    n_classes = len(train.classes)
    with quiet_single_threads():
        tuned = tune_and_fit(head, train, seed, progress=progress)
    folded = fold(tuned.estimator)
    if folded is None or (folded.pairwise and n_classes > 2):
        raise HeadError(
            f"the head {head.name} is no chain of dense layers for {n_classes} classes, which training begins with; "
            "use logreg, ridge or mlp"
        )
    temperature = find_temperature(scores_of(tuned.estimator, X_val, n_classes), y_val)
    weights, biases = list(folded.weights), list(folded.biases)
    if weights[-1].shape[1] == 1:  # one score s for two classes is (-s/2, s/2)
        weights[-1], biases[-1] = weights[-1] * [[-0.5, 0.5]], biases[-1] * np.array([-0.5, 0.5])
    weights[-1], biases[-1] = weights[-1] / temperature, biases[-1] / temperature
    return FrozenHead(tuned, Top(weights, biases), n_classes)


def random_top(n_features: int, hidden: tuple[int, ...], n_classes: int, seed: int) -> Top:
    """Return dense layers with random weights (He et al. 2015); the last one is 0, so that no class is preferred."""
    rng = np.random.default_rng(seed)
    sizes = [n_features, *hidden]
    weights: list[Any] = [
        rng.normal(0, np.sqrt(2 / n_in), (n_in, n_out)) for n_in, n_out in zip(sizes, hidden, strict=False)
    ]
    return Top([*weights, np.zeros((sizes[-1], n_classes))], [*(np.zeros(n) for n in hidden), np.zeros(n_classes)])


def linear_estimator(kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> Any:
    """Return a dense layer of classes as a scikit-learn classifier, as if fitted.

    Parameters
    ----------
    kernel : ndarray of shape (n_features, n_classes), float64
    bias : ndarray of shape (n_classes,), float64
    """
    from sklearn.linear_model import LogisticRegression

    n_features, n_classes = kernel.shape
    if n_classes == 2:
        kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    made = LogisticRegression()
    made.coef_, made.intercept_ = kernel.T.copy(), bias.copy()
    made.classes_, made.n_features_in_ = np.arange(n_classes), n_features
    made.n_iter_ = np.zeros(1, np.int32)
    return made
