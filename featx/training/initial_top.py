"""The initial dense layers of a training run: those of a fitted head, or random ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier import DenseHead
from featx.errors import HeadError


@dataclass(frozen=True)
class DenseLayers:
    """Dense layers with a ReLU between consecutive layers.

    Parameters
    ----------
    weights, biases : list of ndarray
        Arrays of shape (n_in, n_out) and (n_out,); the last layer has one column for each class.
    """

    weights: list[NDArray[np.float64]]
    biases: list[NDArray[np.float64]]


def layers_of_head(name: str, dense_head: DenseHead | None, n_classes: int, temperature: float) -> DenseLayers:
    """Return a fitted head as dense layers; their logits are the scores of the head divided by a temperature.

    Parameters
    ----------
    name : str
        Name of the head in messages.
    dense_head : DenseHead or None
        The head as matrices; None if it has no such form.
    n_classes : int
    temperature : float

    Raises
    ------
    HeadError
        If the head cannot be converted to dense layers.
    """
    if dense_head is None or (dense_head.pairwise and n_classes > 2):
        raise HeadError(
            f"the head {name} cannot be converted to the initial dense layers for {n_classes} classes; use logreg, "
            "ridge or mlp"
        )
    weights, biases = list(dense_head.weights), list(dense_head.biases)
    if weights[-1].shape[1] == 1:  # a single score s of two classes equals the pair (-s/2, s/2)
        weights[-1], biases[-1] = weights[-1] * [[-0.5, 0.5]], biases[-1] * np.array([-0.5, 0.5])
    weights[-1], biases[-1] = weights[-1] / temperature, biases[-1] / temperature
    return DenseLayers(weights, biases)


def random_layers(n_features: int, hidden: tuple[int, ...], n_classes: int, seed: int) -> DenseLayers:
    """Return dense layers with random weights (He et al. 2015); the last layer is 0, so that no class is preferred."""
    rng = np.random.default_rng(seed)
    sizes = [n_features, *hidden]
    weights: list[Any] = [
        rng.normal(0, np.sqrt(2 / n_in), (n_in, n_out)) for n_in, n_out in zip(sizes, hidden, strict=False)
    ]
    last = np.zeros((sizes[-1], n_classes))
    return DenseLayers([*weights, last], [*(np.zeros(n) for n in hidden), np.zeros(n_classes)])


def last_layer_as_estimator(kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> Any:
    """Return the last dense layer as a fitted scikit-learn classifier.

    Parameters
    ----------
    kernel : ndarray of shape (n_features, n_classes), float64
    bias : ndarray of shape (n_classes,), float64
    """
    from sklearn.linear_model import LogisticRegression

    n_features, n_classes = kernel.shape
    if n_classes == 2:
        kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
    estimator = LogisticRegression()
    estimator.coef_, estimator.intercept_ = kernel.T.copy(), bias.copy()
    estimator.classes_, estimator.n_features_in_ = np.arange(n_classes), n_features
    estimator.n_iter_ = np.zeros(1, np.int32)
    return estimator
