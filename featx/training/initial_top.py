"""The dense layers that training begins with: those of a fitted head, or new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier import DenseHead
from featx.errors import HeadError


@dataclass(frozen=True)
class DenseLayers:
    """Dense layers with a ReLU between any two.

    Parameters
    ----------
    weights, biases : list of ndarray
        (n_in, n_out) and (n_out,); the last one has a column for each class.
    """

    weights: list[NDArray[np.float64]]
    biases: list[NDArray[np.float64]]


def layers_of_head(name: str, folded: DenseHead | None, n_classes: int, temperature: float) -> DenseLayers:
    """Return a fitted head as dense layers, whose logits are its scores over a temperature.

    Parameters
    ----------
    name : str
        Of the head, for people.
    folded : DenseHead or None
        The head as matrices; None if it is of another kind.
    n_classes : int
    temperature : float

    Raises
    ------
    HeadError
        It is of a kind that is no chain of dense layers.
    """
    if folded is None or (folded.pairwise and n_classes > 2):
        raise HeadError(
            f"the head {name} is no chain of dense layers for {n_classes} classes, which training begins with; "
            "use logreg, ridge or mlp"
        )
    weights, biases = list(folded.weights), list(folded.biases)
    if weights[-1].shape[1] == 1:  # one score s for two classes is (-s/2, s/2)
        weights[-1], biases[-1] = weights[-1] * [[-0.5, 0.5]], biases[-1] * np.array([-0.5, 0.5])
    weights[-1], biases[-1] = weights[-1] / temperature, biases[-1] / temperature
    return DenseLayers(weights, biases)


def random_layers(n_features: int, hidden: tuple[int, ...], n_classes: int, seed: int) -> DenseLayers:
    """Return dense layers with random weights (He et al. 2015); the last one is 0, so that no class is preferred."""
    rng = np.random.default_rng(seed)
    sizes = [n_features, *hidden]
    weights: list[Any] = [
        rng.normal(0, np.sqrt(2 / n_in), (n_in, n_out)) for n_in, n_out in zip(sizes, hidden, strict=False)
    ]
    last = np.zeros((sizes[-1], n_classes))
    return DenseLayers([*weights, last], [*(np.zeros(n) for n in hidden), np.zeros(n_classes)])


def dense_as_estimator(kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> Any:
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
