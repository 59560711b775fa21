"""Features that are read from the store in blocks, because all of them together do not fit into memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_T = TypeVar("_T")

BLOCK_BYTES = 1 << 24
"""Size of the features of one block in bytes. Smaller blocks need more Python calls, larger blocks more memory."""

Read = Callable[[NDArray[np.int64]], NDArray[np.float32]]


class FeatureBlocks:
    """Features of samples that stay in the store and are read in blocks, each time they are needed.

    Such an object takes the place of an array of features. Selecting some of its rows reads nothing. Blocks follow the
    order of the store, where rows are sorted by the SHA-256 of the images: reading is nearly sequential, and neighbours
    in this order have nothing in common.

    Parameters
    ----------
    sources : sequence of callable
        ``sources[view](positions)`` returns features of samples of the table, shape (n, n_features), for the images
        (view 0) and each of their augmented views.
    places : ndarray of shape (n_table,), int64
        Place of each sample of the table in the store; see :func:`places_in_store`.
    n_features : int
    at : ndarray of shape (n_rows,), int64
        Rows of this object: ``view * n_table + position in the table``.
    n_workers : int
        Number of threads that read and process blocks.
    block_bytes : int
        Size of the features of one block in bytes.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        sources: Sequence[Read],
        places: NDArray[np.int64],
        n_features: int,
        at: NDArray[np.int64],
        n_workers: int = 1,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._sources = sources
        self._places = places
        self._at = at
        self.n_features = n_features
        self.n_workers = n_workers
        self._block_bytes = block_bytes
        self._n_rows = max(1, block_bytes // (4 * n_features))

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, chosen: Any) -> FeatureBlocks:
        """Return the rows at some positions, or the rows that a mask or slice selects, without reading them."""
        return self._with(self._at[chosen])

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and number of features."""
        return len(self._at), self.n_features

    def view(self, number: int) -> FeatureBlocks:
        """Return an augmented view of each row; the rows must be images."""
        return self._with(self._at + number * len(self._places))

    def join(self, others: Sequence[FeatureBlocks]) -> FeatureBlocks:
        """Return these rows followed by other rows of the same table."""
        return self._with(np.concatenate([self._at, *(other._at for other in others)]))

    def map(
        self,
        function: Callable[[NDArray[np.int64], NDArray[np.float32]], _T],
        rng: np.random.Generator | None = None,
        n_values: int = 1,
    ) -> Generator[_T, None, None]:
        """Yield ``function(positions, features)`` of each block.

        Several threads read and process blocks, but results are yielded in the order of the blocks, so that sums over
        blocks do not depend on the number of threads.

        Parameters
        ----------
        function : callable
            Receives the positions of the rows of a block, in the order of the store, and their features, which it may
            change.
        rng : numpy.random.Generator, optional
            If given, the blocks are in random order.
        n_values : int
            Number of float64 values that ``function`` computes for each row. If they take more memory than the
            features of the row, the blocks have fewer rows.
        """
        n_rows = max(1, min(self._n_rows, self._block_bytes // (8 * n_values)))
        parts = [self._order[start : start + n_rows] for start in range(0, len(self), n_rows)]
        if rng is not None:
            parts = [parts[number] for number in rng.permutation(len(parts))]

        def result_of(part: NDArray[np.int64]) -> _T:
            return function(part, self._read(self._at[part]))

        if self.n_workers <= 1 or len(parts) <= 1:
            yield from map(result_of, parts)
            return
        waiting: deque[Future[_T]] = deque()
        pool = ThreadPoolExecutor(self.n_workers, "featx-blocks")
        try:
            for part in parts:
                waiting.append(pool.submit(result_of, part))
                if len(waiting) > self.n_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def apply(self, function: Callable[[NDArray[np.float32]], NDArray[Any]]) -> NDArray[Any]:
        """Return the values of a function that computes one value, or one row of values, for each row of features."""
        values = np.empty(0)
        for number, (at, some) in enumerate(self.map(lambda at, X: (at, function(X)))):
            if not number:
                values = np.empty((len(self), *some.shape[1:]), some.dtype)
            values[at] = some
        return values

    def to_array(self) -> NDArray[np.float32]:
        """Return all rows as an array in memory, shape (n_rows, n_features)."""
        X = np.empty(self.shape, np.float32)
        for at, block in self.map(lambda at, block: (at, block)):
            X[at] = block
        return X

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Positions of the rows in the order of the store, the images before their views."""
        n = len(self._places)
        return np.argsort(self._places[self._at % n] + self._at // n * n)

    def _with(self, at: NDArray[np.int64]) -> FeatureBlocks:
        return FeatureBlocks(self._sources, self._places, self.n_features, at, self.n_workers, self._block_bytes)

    def _read(self, at: NDArray[np.int64]) -> NDArray[np.float32]:
        views, positions = at // len(self._places), at % len(self._places)
        if not views.any():
            return self._sources[0](positions)
        X = np.empty((len(at), self.n_features), np.float32)
        for number in np.unique(views):
            of_view = views == number
            X[of_view] = self._sources[number](positions[of_view])
        return X


Features = NDArray[np.float32] | FeatureBlocks
"""Features of shape (n_samples, n_features), in memory or in the store."""


def places_in_store(content_hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the place of each content hash, shape (n, 32), in the order of the store, which is sorted by content hash.

    Parameters
    ----------
    content_hashes : ndarray of shape (n, 32), uint8

    Returns
    -------
    ndarray of shape (n,), int64
    """
    order = np.argsort(np.ascontiguousarray(content_hashes).view("S32").reshape(-1), kind="stable")
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def in_memory(X: Features, at: NDArray[np.int64] | slice) -> NDArray[np.float32]:
    """Return some rows of features as an array in memory.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float32, or FeatureBlocks
    at : ndarray of shape (n,), int64, or slice
        Positions of the rows.
    """
    return X[at].to_array() if isinstance(X, FeatureBlocks) else X[at]
