"""Where training gets its inputs from: cached activations at the cut, or pixels that go through the frozen part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

ReadView = Callable[[int, NDArray[np.int64]], NDArray[Any]]
"""Returns the inputs of a view (0: the image itself) at some positions, in that order."""


class Feed(Protocol):
    """Images to train on or to validate with.

    Attributes
    ----------
    y : ndarray of shape (n,), int64
        Class numbers.
    """

    @property
    def y(self) -> NDArray[np.int64]:
        """Class numbers, shape (n,)."""
        ...

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Yield inputs and class numbers of one pass, batch by batch."""
        ...


@dataclass(frozen=True)
class Shuffled:
    """Training images in a new order each epoch, each as one of its views.

    Order and views depend on seed and epoch alone: a run that goes on after a kill sees what it would have seen.

    Parameters
    ----------
    read : callable
        See :data:`ReadView`.
    at : ndarray of shape (n,), int64
        Positions of the training images.
    y : ndarray of shape (n,), int64
        Class numbers.
    n_views : int
        Augmented views of each image, besides itself.
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
        """Yield inputs and class numbers of one pass, batch by batch; see :class:`Feed`."""
        first = np.random.default_rng(self.seed).integers(0, self.n_views + 1, len(self.y))
        views = (first + number) % (self.n_views + 1)  # over n_views + 1 epochs every view comes once
        order = np.random.default_rng((self.seed, number)).permutation(len(self.y))
        for start in range(0, len(order), self.batch_size):
            some = order[start : start + self.batch_size]
            yield _gather(self.read, views[some], self.at[some]), self.y[some]


@dataclass(frozen=True)
class InOrder:
    """Images as they are, in order: the validation part.

    Parameters
    ----------
    read : callable
        See :data:`ReadView`.
    at, y : ndarray of shape (n,), int64
        Positions and class numbers.
    batch_size : int
    """

    read: ReadView
    at: NDArray[np.int64]
    y: NDArray[np.int64]
    batch_size: int

    def epoch(self, number: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        """Yield inputs and class numbers of one pass, batch by batch; see :class:`Feed`."""
        for start in range(0, len(self.y), self.batch_size):
            some = slice(start, start + self.batch_size)
            yield self.read(0, self.at[some]), self.y[some]


def _gather(read: ReadView, views: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[Any]:
    """Read each image as its view."""
    members = [np.flatnonzero(views == view) for view in np.unique(views)]
    parts = [read(int(views[some[0]]), at[some]) for some in members]
    inputs = np.empty((len(at), *parts[0].shape[1:]), parts[0].dtype)
    for some, part in zip(members, parts, strict=True):
        inputs[some] = part
    return inputs
