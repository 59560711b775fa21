"""Batches of training inputs: cached activations at the cut, or pixels for the frozen blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

ReadView = Callable[[int, NDArray[np.int64]], NDArray[Any]]
"""Function that returns the inputs of a view (0: the image itself) at the given positions, in this order."""


class Feed(Protocol):
    """Images for training or validation.

    Attributes
    ----------
    y : ndarray of shape (n,), int64
        Index of the class of each image.
    """

    @property
    def y(self) -> NDArray[np.int64]:
        """Index of the class of each image, shape (n,)."""
        ...

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Yield the inputs and the class indices of one pass, batch by batch."""
        ...


@dataclass(frozen=True)
class Shuffled:
    """Training images, in each epoch in a new order and as another view.

    Order and views depend only on the seed and the epoch, so that a resumed run uses the same batches as an
    uninterrupted run.

    Parameters
    ----------
    read : callable
        See :data:`ReadView`.
    at : ndarray of shape (n,), int64
        Positions of the training images in the data set.
    y : ndarray of shape (n,), int64
        Index of the class of each image.
    n_views : int
        Number of augmented views of each image, in addition to the image itself.
    batch_size : int
    seed : int
    """

    read: ReadView
    at: NDArray[np.int64]
    y: NDArray[np.int64]
    n_views: int
    batch_size: int
    seed: int

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Yield the inputs and the class indices of one pass, batch by batch; see :class:`Feed`."""
        first = np.random.default_rng(self.seed).integers(0, self.n_views + 1, len(self.y))
        views = (first + number) % (self.n_views + 1)  # each view is used once in n_views + 1 epochs
        order = np.random.default_rng((self.seed, number)).permutation(len(self.y))
        for start in range(0, len(order), self.batch_size):
            some = order[start : start + self.batch_size]
            yield _gather(self.read, views[some], self.at[some]), self.y[some]


@dataclass(frozen=True)
class InOrder:
    """Images without augmentation, in fixed order, for example for validation.

    Parameters
    ----------
    read : callable
        See :data:`ReadView`.
    at, y : ndarray of shape (n,), int64
        Position, and index of the class, of each image.
    batch_size : int
    """

    read: ReadView
    at: NDArray[np.int64]
    y: NDArray[np.int64]
    batch_size: int

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Yield the inputs and the class indices of one pass, batch by batch; see :class:`Feed`."""
        for start in range(0, len(self.y), self.batch_size):
            some = slice(start, start + self.batch_size)
            yield self.read(0, self.at[some]), self.y[some]


def _gather(read: ReadView, views: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[Any]:
    """Return the inputs of images, each as the given view."""
    members = [np.flatnonzero(views == view) for view in np.unique(views)]
    parts = [read(int(views[some[0]]), at[some]) for some in members]
    inputs = np.empty((len(at), *parts[0].shape[1:]), parts[0].dtype)
    for some, part in zip(members, parts, strict=True):
        inputs[some] = part
    return inputs
