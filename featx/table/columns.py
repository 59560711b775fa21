"""Columns of many rows in a few arrays, whose Python objects are made on demand."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
S = TypeVar("S")

BLOCK = 4096
"""Number of rows whose Python objects exist at a time when a column is read from start to end."""

_TAKEN = 1 << 16
"""Number of rows that are copied at a time, so that positions and copies need little memory."""


class Column(Sequence[T]):
    """A sequence whose objects are made from arrays when they are read; a slice is a list of objects.

    A column equals a list or a tuple of equal objects.
    """

    @abstractmethod
    def block(self, start: int, stop: int) -> list[T]:
        """Return the objects of the rows from ``start`` to ``stop``, which lie in the column."""

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        chosen: Any = range(len(self))[at]
        if not isinstance(chosen, range):
            return self.block(chosen, chosen + 1)[0]
        if chosen.step == 1:
            return self.block(chosen.start, max(chosen.start, chosen.stop))
        return [self[i] for i in chosen]

    def __iter__(self) -> Iterator[T]:
        for start in range(0, len(self), BLOCK):
            yield from self.block(start, min(start + BLOCK, len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Column | list | tuple):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"{type(self).__name__}({shown}{f', ... ({len(self):,} in all)' if len(self) > 3 else ''})"


class Texts(Column[str]):
    """A column of different texts, in one block of bytes.

    Parameters
    ----------
    content : ndarray of shape (n_bytes,), uint8
        The texts in UTF-8, with a zero byte after each text. Surrogate escapes are encoded like other characters, each
        in three bytes. A zero byte inside a text is replaced by the replacement character.

    Examples
    --------
    >>> from featx.table import Texts
    >>> names = Texts.of(["a/1.png", "b/2.png"])
    >>> names[1], names.content.nbytes
    ('b/2.png', 16)
    """

    def __init__(self, content: NDArray[np.uint8]) -> None:
        self.content = content
        parts = [
            np.flatnonzero(content[start : start + (1 << 20)] == 0) + start for start in range(0, len(content), 1 << 20)
        ]
        self._ends: NDArray[np.int64] = np.concatenate([np.empty(0, np.int64), *parts])

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Return a column of the given texts."""
        if isinstance(texts, Texts):
            return texts
        content, rest = bytearray(), iter(texts)
        while block := list(itertools.islice(rest, BLOCK)):
            content += encoded(block)
        return cls(np.frombuffer(content, np.uint8))

    @classmethod
    def join(cls, columns: Sequence[Texts]) -> Texts:
        """Return one column of the texts of several columns."""
        return columns[0] if len(columns) == 1 else cls(np.concatenate([column.content for column in columns]))

    def __len__(self) -> int:
        return len(self._ends)

    def block(self, start: int, stop: int) -> list[str]:
        """Return some consecutive texts."""
        if start >= stop:
            return []
        return _decoded(self.content[self._begin(start) : self._ends[stop - 1]].tobytes()).split("\0")

    def take(self, at: NDArray[np.int64] | slice) -> Texts:
        """Return a column of the texts at some positions, or in a slice with step 1."""
        if isinstance(at, slice):
            chosen = range(len(self))[at]
            first, stop = (chosen.start, chosen.stop) if chosen else (0, 0)
            return Texts(self.content[self._begin(first) : self._begin(stop)])
        parts = [np.empty(0, np.uint8)]
        for first in range(0, len(at), _TAKEN):
            some = at[first : first + _TAKEN]
            starts = np.where(some > 0, self._ends[some - 1] + 1, 0)
            sizes = self._ends[some] + 1 - starts
            gaps = starts - (np.cumsum(sizes) - sizes)
            parts.append(self.content[np.arange(sizes.sum()) + np.repeat(gaps, sizes)])
        return Texts(np.concatenate(parts))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return np.array_equal(self.content, other.content)
        return super().__eq__(other)

    def _begin(self, at: int) -> int:
        """Return the position of the first byte of a text, or of the end of the last text."""
        return int(self._ends[at - 1]) + 1 if at else 0


class Categorical(Column[T], Generic[T]):
    """A column of few distinct values: the number of the value of each row.

    Parameters
    ----------
    codes : ndarray of shape (n,), unsigned integer
        Position in ``values`` of the value of each row.
    values : sequence
        The distinct values. Some may occur in no row.

    Examples
    --------
    >>> from featx.table import Categorical
    >>> labels = Categorical.of(["cat", "dog", "cat"])
    >>> labels.codes.tolist(), labels.values, labels.counts()
    ([0, 1, 0], ('cat', 'dog'), {'cat': 2, 'dog': 1})
    """

    def __init__(self, codes: NDArray[Any], values: Sequence[T]) -> None:
        self.codes = codes
        self.values = tuple(values)
        self._numbers: dict[T, int] | None = None

    @classmethod
    def of(cls, rows: Iterable[T]) -> Categorical[T]:
        """Return a column of the given values."""
        if isinstance(rows, Categorical):
            return rows
        numbers: dict[T, int] = {}
        codes = np.fromiter((numbers.setdefault(value, len(numbers)) for value in rows), np.uint32)
        return cls(_narrow(codes, len(numbers)), tuple(numbers))

    @classmethod
    def constant(cls, value: T, n: int) -> Categorical[T]:
        """Return a column of ``n`` equal values."""
        return cls(np.zeros(n, np.uint8), (value,))

    @classmethod
    def join(cls, columns: Sequence[Categorical[T]]) -> Categorical[T]:
        """Return one column of the values of several columns."""
        if len(columns) == 1:
            return columns[0]
        numbers: dict[T, int] = {}
        new = [[numbers.setdefault(value, len(numbers)) for value in column.values] for column in columns]
        codes = [
            np.array(renamed, _width(len(numbers)))[column.codes] for renamed, column in zip(new, columns, strict=True)
        ]
        return cls(np.concatenate(codes), tuple(numbers))

    def __len__(self) -> int:
        return len(self.codes)

    def block(self, start: int, stop: int) -> list[T]:
        """Return some consecutive values."""
        return [self.values[code] for code in self.codes[start:stop].tolist()]

    def take(self, at: NDArray[Any] | slice) -> Categorical[T]:
        """Return a column of the rows at some positions."""
        return Categorical(self.codes[at], self.values)

    def where(self, test: Callable[[T], object]) -> NDArray[np.bool_]:
        """Return for each row whether its value passes a test, which is called once for each distinct value."""
        passed: NDArray[np.bool_] = np.array([bool(test(value)) for value in self.values], np.bool_)[self.codes]
        return passed

    def changed(self, change: Callable[[T], S]) -> Categorical[S]:
        """Return a column of the results of a function, which is called once for each distinct value."""
        numbers: dict[S, int] = {}
        new = [numbers.setdefault(change(value), len(numbers)) for value in self.values]
        return Categorical(np.array(new, _width(len(numbers)))[self.codes], tuple(numbers))

    def counts(self) -> dict[T, int]:
        """Return the number of rows of each value that occurs."""
        counts = np.bincount(self.codes, minlength=len(self.values)).tolist()
        return {value: count for value, count in zip(self.values, counts, strict=True) if count}

    def to_array(self) -> NDArray[Any]:
        """Return the values as an array of shape (n,), object."""
        values = np.empty(len(self.values), object)
        values[:] = self.values
        rows: NDArray[Any] = values[self.codes]
        return rows

    def in_order(self) -> Categorical[T]:
        """Return an equal column whose values are in the order of their first rows, without values of no row."""
        used, first = np.unique(self.codes, return_index=True)
        used = used[np.argsort(first)]
        new = np.zeros(len(self.values), _width(len(used)))
        new[used] = np.arange(len(used))
        return Categorical(new[self.codes], tuple(self.values[code] for code in used.tolist()))

    def assign(self, start: int, rows: Sequence[T]) -> None:
        """Replace some consecutive rows, in place; new values are added."""
        codes = self._codes_of(rows)
        self.codes[start : start + len(codes)] = codes

    def put(self, start: int, rows: Categorical[T]) -> None:
        """Replace some consecutive rows by those of another column, in place; new values are added."""
        codes = np.array(self._codes_of(rows.values), np.int64)
        self.codes[start : start + len(rows)] = codes[rows.codes]

    def _codes_of(self, values: Iterable[T]) -> list[int]:
        """Return the codes of values, after new values are added."""
        if self._numbers is None:
            self._numbers = {value: number for number, value in enumerate(self.values)}
        numbers = self._numbers
        codes = [numbers.setdefault(value, len(numbers)) for value in values]
        if len(numbers) > len(self.values):
            self.values = tuple(numbers)
            self.codes = self.codes.astype(_width(len(numbers)), copy=False)
        return codes


def gathered(columns: Sequence[Any], at: NDArray[np.int64]) -> Any:
    """Return the rows at some positions of several arrays or columns that follow each other."""
    if isinstance(columns[0], Categorical):
        return Categorical.join(columns).take(at)
    rows = np.empty((len(at), *columns[0].shape[1:]), columns[0].dtype)
    for first in range(0, len(at), _TAKEN):
        some, start = at[first : first + _TAKEN], 0
        for column in columns:
            here = (some >= start) & (some < start + len(column))
            rows[first : first + _TAKEN][here] = column[some[here] - start]
            start += len(column)
    return rows


def encoded(texts: Sequence[str]) -> bytes:
    """Return texts in the form of :attr:`Texts.content`."""
    whole = "\0".join(texts) + "\0" if texts else ""
    if whole.count("\0") != len(texts):
        whole = "\0".join(text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in texts) + "\0"
    return whole.encode("utf-8", "surrogatepass")


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # only in a file that featx did not write
        return content.decode("utf-8", "replace")


def _width(n: int) -> np.dtype[Any]:
    """Return the smallest unsigned type for the codes of ``n`` values."""
    return np.min_scalar_type(max(0, n - 1))


def _narrow(codes: NDArray[Any], n: int) -> NDArray[Any]:
    return codes.astype(_width(n), copy=False)


def find_rows(wanted: NDArray[np.uint8], known: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Find rows of bytes among other rows.

    Parameters
    ----------
    wanted : ndarray of shape (n, n_bytes), uint8
    known : ndarray of shape (m, n_bytes), uint8

    Returns
    -------
    ndarray of shape (n,), int64
        Position in ``known`` of the last equal row; -1 if there is none.
    """
    if not len(known) or not len(wanted):
        return np.full(len(wanted), -1, np.int64)
    rows = as_strings(known)
    order = np.argsort(rows, kind="stable")
    place = np.searchsorted(rows[order], as_strings(wanted), side="right") - 1
    at = order[np.maximum(place, 0)]
    return np.where((place >= 0) & (rows[at] == as_strings(wanted)), at, -1)


def as_strings(rows: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return rows of bytes, shape (n, n_bytes), as byte strings of shape (n,), which NumPy sorts and compares."""
    strings: NDArray[Any] = np.ascontiguousarray(rows).view(f"S{rows.shape[1]}")
    return strings.reshape(len(rows))
