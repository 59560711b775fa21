"""What a training run works on: a data set with frozen features, divided, and a folder to go on from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.contrast import MOST_LOOKED_AT, find_indistinct
from featx.dataset import is_folder
from featx.duplicates import Grouping, group_samples
from featx.evaluation.procedures import HeldOutParts, TrainingSet, check_samples, hold_out
from featx.extraction import compute_table
from featx.files import below
from featx.heads import Head
from featx.options import ExtractOptions, FeatureOptions, RunOptions
from featx.runtime import Runtime
from featx.sources import read_groups, unnamed_note
from featx.store import check_cache, open_run
from featx.table import FeatureTable
from featx.training.tops import FrozenHead, fit_frozen


@dataclass(frozen=True)
class Material:
    """A data set with the features of its frozen network, divided.

    Parameters
    ----------
    data : path
    backbone : str
    options : FeatureOptions
        For every pass over the data set.
    run : RunOptions
    table : FeatureTable
    grouping : Grouping
        No group is in two parts.
    group_by : str or None
        How the user named groups.
    parts : HeldOutParts
    notes : tuple of str
        Images without contrast or of equal features, and where images could not be grouped.
    seed : int
    runtime : Runtime
    """

    data: Path
    backbone: str
    options: FeatureOptions
    run: RunOptions
    table: FeatureTable
    grouping: Grouping
    group_by: str | None
    parts: HeldOutParts
    notes: tuple[str, ...]
    seed: int
    runtime: Runtime

    @property
    def groups(self) -> NDArray[np.int64]:
        """Group of each sample, shape (n_samples,)."""
        return self.grouping.numbers

    @property
    def quietly(self) -> Runtime:
        """A runtime that does not tell again what data set and network are."""
        return dataclasses.replace(self.runtime, notice=lambda text: None)

    @property
    def paths(self) -> list[Path]:
        """Where the pictures are, in the order of the table."""
        root = self.data if is_folder(self.data) else self.data.parent
        return [below(root, sample.sample_id) for sample in self.table.samples]

    def fit_frozen(self, head: Head) -> FrozenHead:
        """Tune and fit a head on the frozen features of the training part."""
        parts, X = self.parts, self.table.X
        train = TrainingSet(X[parts.train], parts.y[parts.train], self.groups[parts.train], parts.targets)
        with self.runtime.stage("tuning and fitting the head that training begins with") as advance:
            return fit_frozen(head, train, X[parts.val], parts.y[parts.val], self.seed, advance)

    def folder(self, what: Mapping[str, Any]) -> Path:
        """Return a folder in the cache whose name covers the pictures, their parts, and what is done with them."""
        key = hashlib.sha256(json.dumps({"spec": self.table.spec.to_json(), **what}, sort_keys=True).encode())
        for array in (self.table.content_hashes, self.parts.y, self.parts.train, self.parts.val):
            key.update(np.ascontiguousarray(array).tobytes())
        return open_run(self.runtime.cache, key.hexdigest()[:16])


def divide(
    data: Path,
    backbone: str,
    options: FeatureOptions,
    run: RunOptions,
    group_by: str | None,
    seed: int,
    runtime: Runtime,
) -> Material:
    """Extract the frozen features of a data set and divide it.

    Raises
    ------
    EvaluationError
        No part can be held out honestly; the message says why.
    FeatxError
        As for :func:`featx.extract`.
    """
    check_cache(runtime.cache, ["training"])
    check = partial(check_samples, group_by=group_by)
    table = compute_table(data, backbone, ExtractOptions.of(vars(options)), run, check=check, runtime=runtime)
    named = table.groups.tolist() if group_by is None else read_groups(table.samples, group_by)
    with runtime.stage("finding near-duplicates") as advance:
        grouping = group_samples(table, named, advance)
    unnamed = unnamed_note(table.samples, group_by, named)
    parts = hold_out(table, grouping.numbers, seed)
    runtime.notice(
        f"{len(parts.train):,} pictures to learn from, {len(parts.val):,} to choose the epoch by, "
        f"{len(parts.test):,} held out to judge"
    )
    indistinct = find_indistinct(table).notes() if len(table) <= MOST_LOOKED_AT else []
    for note in indistinct:
        runtime.notice(note)
    notes = (*indistinct, *grouping.notes(), *([unnamed] if unnamed else []))
    return Material(data, backbone, options, run, table, grouping, group_by, parts, notes, seed, runtime)
