"""Samples: the images of a data set with what the data set states about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.table.columns import Categorical, Column, Texts

ORIGINS = ("camera", "day")
"""Names of the further columns of a sample that are filled from EXIF data."""

Split = Literal["train", "val", "test"]
"""Name of a part of a data set. The folders or the manifest of the data set define the parts."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image of a data set.

    Parameters
    ----------
    sample_id : str
        POSIX path relative to the data set's root; bytes that are not valid UTF-8 are represented by
        surrogate escapes.
    label, group, split : str or None
        Values that the data set defines, or None. A split is ``train``, ``val`` or ``test``.
    others : tuple of (str, str)
        Name and value of each further column of the manifest, and of ``camera`` and ``day`` if the EXIF data of the
        image contain them.
    """

    sample_id: str
    label: str | None = None
    group: str | None = None
    split: Split | None = None
    others: tuple[tuple[str, str], ...] = ()

    @property
    def is_training(self) -> bool:
        """Whether the sample belongs to the training part: it has a label, and the split ``train`` or none."""
        return self.label is not None and self.split in (None, "train")


@dataclass(frozen=True, eq=False, repr=False)
class Samples(Column[Sample]):
    """The samples of a data set as columns; a :class:`Sample` is made when it is read.

    Parameters
    ----------
    sample_ids : Texts
    labels, groups, splits : Categorical
        Column of each property of a sample.
    others : mapping of str to column
        Further columns by name.

    Examples
    --------
    >>> from featx.table import Sample, Samples
    >>> samples = Samples.of([Sample("a/1.png", "a"), Sample("b/2.png", "b", split="test")])
    >>> samples[1].split, samples.labels.values
    ('test', ('a', 'b'))
    """

    sample_ids: Texts
    labels: Categorical[str | None]
    groups: Categorical[str | None]
    splits: Categorical[Split | None]
    others: Mapping[str, Categorical[str] | Texts] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Samples:
        """Return the columns of samples, all of which have the same further columns."""
        if isinstance(samples, Samples):
            return samples
        rows = list(samples)
        names = [name for name, _ in rows[0].others] if rows else []
        return cls(
            Texts.of(row.sample_id for row in rows),
            Categorical.of(row.label for row in rows),
            Categorical.of(row.group for row in rows),
            Categorical.of(row.split for row in rows),
            {name: Texts.of(row.others[at][1] for row in rows) for at, name in enumerate(names)},
        )

    @classmethod
    def unlabelled(cls, sample_ids: Texts) -> Samples:
        """Return samples without labels, groups and splits."""
        n = len(sample_ids)
        return cls(
            sample_ids, Categorical.constant(None, n), Categorical.constant(None, n), Categorical.constant(None, n)
        )

    def __len__(self) -> int:
        return len(self.sample_ids)

    def block(self, start: int, stop: int) -> list[Sample]:
        """Return some consecutive samples."""
        rows = zip(
            self.sample_ids.block(start, stop),
            self.labels.block(start, stop),
            self.groups.block(start, stop),
            self.splits.block(start, stop),
            strict=True,
        )
        if not self.others:
            return [Sample(sample_id, label, group, split) for sample_id, label, group, split in rows]
        columns = [[(name, text) for text in column.block(start, stop)] for name, column in self.others.items()]
        others = zip(*columns, strict=True)
        return [Sample(*row, more) for row, more in zip(rows, others, strict=True)]

    def take(self, at: NDArray[np.int64]) -> Samples:
        """Return the samples at some positions."""
        return Samples(
            self.sample_ids.take(at),
            self.labels.take(at),
            self.groups.take(at),
            self.splits.take(at),
            {name: column.take(at) for name, column in self.others.items()},
        )

    def with_columns(self, columns: Mapping[str, Categorical[str]]) -> Samples:
        """Return the samples with further columns."""
        return replace(self, others={**self.others, **columns})

    def are_training(self) -> NDArray[np.bool_]:
        """Return :attr:`Sample.is_training` of each sample."""
        in_part = self.splits.where(lambda split: split in (None, "train"))
        return in_part & self.labels.where(lambda label: label is not None)


def column_of(samples: Sequence[Sample], name: Literal["sample_id", "label", "group", "split"]) -> NDArray[Any]:
    """Return a property of all samples as an array of shape (n,), object."""
    if not isinstance(samples, Samples):
        return _objects([getattr(sample, name) for sample in samples])
    if name == "sample_id":
        return _objects(list(samples.sample_ids))
    column: Categorical[Any] = getattr(samples, f"{name}s")
    return column.to_array()


def _objects(values: Sequence[Any]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array
