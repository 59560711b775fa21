"""Targets: encode labels, predict classes from scores, and evaluate predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Baseline(NamedTuple):
    """Constant prediction of the majority class.

    Parameters
    ----------
    name : str
        Name of the majority class.
    accuracy : float
        Accuracy of always predicting this class.
    """

    name: str
    accuracy: float


class Rates(NamedTuple):
    """Precision, recall and F1 of one class; 0 if the class is never predicted or never occurs.

    Parameters
    ----------
    precision, recall, f1 : float
    n : int
        Number of samples of the class.
    """

    precision: float
    recall: float
    f1: float
    n: int


@dataclass(frozen=True)
class SingleLabel:
    """Targets with one class per sample, the only kind of target so far.

    This class contains everything that depends on the kind of target. A report shows the accuracy (the share of
    :meth:`hits`), the balanced accuracy, the :meth:`confusion` matrix and its :meth:`rates`.

    Parameters
    ----------
    classes : tuple of str
        Class names; the class index is the position of the name.

    Examples
    --------
    >>> import numpy as np
    >>> from featx.targets import SingleLabel
    >>> targets = SingleLabel.of(["dog", "cat", None, "dog"])
    >>> targets.classes
    ('cat', 'dog')
    >>> y = targets.encode(["dog", "cat", None])
    >>> y
    array([ 1,  0, -1])
    >>> predicted = targets.predicted(np.array([[0.2, 0.8], [0.3, 0.7]]))
    >>> targets.hits(predicted, y[:2])
    array([ True, False])
    """

    classes: tuple[str, ...]

    @classmethod
    def of(cls, labels: Iterable[str | None]) -> SingleLabel:
        """Return the targets of labels, with classes sorted by name; None means no label."""
        return cls(tuple(sorted({label for label in labels if label is not None})))

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def encode(self, labels: Iterable[str | None]) -> NDArray[np.int64]:
        """Return the class index of each label; -1 for None and for unknown labels."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([-1 if label is None else numbers.get(label, -1) for label in labels], np.int64)

    def decode(self, predicted: NDArray[np.int64]) -> list[str]:
        """Return the class name of each class index."""
        return [self.classes[number] for number in predicted.tolist()]

    def predicted(self, scores: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the index of the class with the largest score for each sample; in a tie, the first of these classes.

        Parameters
        ----------
        scores : ndarray of shape (n_samples, n_classes)
            Scores or probabilities.

        Returns
        -------
        ndarray of shape (n_samples,), int64
        """
        return np.asarray(scores.argmax(axis=1), np.int64)

    def ranked(self, scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
        """Return the class indices of the ``k`` largest scores, in descending order; shape (n_samples, k)."""
        return np.argsort(-scores, axis=1, kind="stable")[:, :k]

    def hits(self, predicted: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether each prediction is correct, shape (n_samples,)."""
        return np.asarray(predicted == y, np.bool_)

    def confidence(self, probabilities: NDArray[np.float64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of each predicted class, shape (n_samples,)."""
        return probabilities[np.arange(len(predicted)), predicted]

    def baseline(self, y: NDArray[np.int64], y_train: NDArray[np.int64] | None = None) -> Baseline:
        """Return the accuracy of always predicting the majority class.

        Parameters
        ----------
        y : ndarray of shape (n_samples,), int64
            Index of the true class of each sample; not empty.
        y_train : ndarray of shape (n_training,), int64, optional
            Class indices that determine the majority class; ``y`` if not given.
        """
        largest = int(np.bincount(y if y_train is None else y_train, minlength=self.n_classes).argmax())
        return Baseline(self.classes[largest], float((y == largest).mean()))

    def confusion(self, predicted: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the confusion matrix: number of samples by true class (rows) and predicted class (columns)."""
        n = self.n_classes
        return np.bincount(y * n + predicted, minlength=n * n).reshape(n, n)

    def rates(self, confusion: NDArray[np.int64]) -> list[Rates]:
        """Return precision, recall and F1 of each class, as scikit-learn defines them."""
        correct, n, n_predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        precision, recall = correct / np.maximum(n_predicted, 1), correct / np.maximum(n, 1)
        f1 = 2 * correct / np.maximum(n + n_predicted, 1)
        return [Rates(*one) for one in zip(precision.tolist(), recall.tolist(), f1.tolist(), n.tolist(), strict=True)]
