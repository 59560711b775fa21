"""Targets: what a label is, how scores become an answer, what a hit is, and which figures a report shows of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Baseline(NamedTuple):
    """The answer that needs no image: always the largest class.

    Parameters
    ----------
    name : str
        That class.
    accuracy : float
    """

    name: str
    accuracy: float


class Rates(NamedTuple):
    """Figures of one class; 0 where it was never answered or never occurs.

    Parameters
    ----------
    precision, recall, f1 : float
    n : int
        Its samples.
    """

    precision: float
    recall: float
    f1: float
    n: int


@dataclass(frozen=True)
class SingleLabel:
    """One class for each sample: the only kind of target so far.

    Whatever depends on the kind is asked here. A report shows the accuracy (the share of hits), the balanced accuracy,
    :meth:`confusion` and its :meth:`rates`.

    Parameters
    ----------
    classes : tuple of str
        Class names; the class number is the position.

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
    >>> answers = targets.answers(np.array([[0.2, 0.8], [0.3, 0.7]]))
    >>> targets.hits(answers, y[:2])
    array([ True, False])
    """

    classes: tuple[str, ...]

    @classmethod
    def of(cls, labels: Iterable[str | None]) -> SingleLabel:
        """Return the targets that some labels make, classes sorted by name; None is no label."""
        return cls(tuple(sorted({label for label in labels if label is not None})))

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def encode(self, labels: Iterable[str | None]) -> NDArray[np.int64]:
        """Return the class number of each label; -1 for none, and for a label that is no class."""
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([-1 if label is None else numbers.get(label, -1) for label in labels], np.int64)

    def decode(self, answers: NDArray[np.int64]) -> list[str]:
        """Return the class name of each answer."""
        return [self.classes[number] for number in answers.tolist()]

    def answers(self, scores: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the class number of the largest score, the first of equals.

        Parameters
        ----------
        scores : ndarray of shape (n_samples, n_classes)
            Or probabilities.
        """
        return np.asarray(scores.argmax(axis=1), np.int64)

    def ranked(self, scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
        """Return the class numbers of the ``k`` largest scores, the answer first; shape (n_samples, k)."""
        return np.argsort(-scores, axis=1, kind="stable")[:, :k]

    def hits(self, answers: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether each answer is right, shape (n_samples,)."""
        return np.asarray(answers == y, np.bool_)

    def confidence(self, probabilities: NDArray[np.float64], answers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the probability of each answer, shape (n_samples,)."""
        return probabilities[np.arange(len(answers)), answers]

    def baseline(self, y: NDArray[np.int64], learnt: NDArray[np.int64] | None = None) -> Baseline:
        """Return the accuracy of always answering the largest class.

        Parameters
        ----------
        y : ndarray of shape (n_samples,), int64
            Class numbers that the answer is compared with; not empty.
        learnt : ndarray of shape (n_training,), int64, optional
            Class numbers that say which class is the largest; ``y`` if not given.
        """
        largest = int(np.bincount(y if learnt is None else learnt, minlength=self.n_classes).argmax())
        return Baseline(self.classes[largest], float((y == largest).mean()))

    def confusion(self, answers: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of samples of each class (rows) by their answer (columns)."""
        n = self.n_classes
        return np.bincount(y * n + answers, minlength=n * n).reshape(n, n)

    def rates(self, confusion: NDArray[np.int64]) -> list[Rates]:
        """Return precision, recall and F1 of each class, as scikit-learn defines them."""
        right, n, answered = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
        precision, recall = right / np.maximum(answered, 1), right / np.maximum(n, 1)
        f1 = 2 * right / np.maximum(n + answered, 1)
        return [Rates(*one) for one in zip(precision.tolist(), recall.tolist(), f1.tolist(), n.tolist(), strict=True)]
