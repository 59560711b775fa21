"""All accuracies of one head on one data set: honest, at random, by source, on what was set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.duplicates import Grouping, join_groups
from featx.evaluate import (
    CrossValidated,
    Parts,
    Tally,
    TooFewGroups,
    TrainingSet,
    Tuned,
    accuracy_as_fitted,
    cross_validate,
    effective_number,
    wilson,
)
from featx.evaluation import HeldOut, Interval, SourceAccuracy
from featx.heads import Head, scores_of
from featx.runtime import Runtime
from featx.sources import candidate_sources
from featx.table import FeatureTable, Sample

_MOST_CONFLICTS = 200


@dataclass(frozen=True)
class Measurer:
    """Measures a head.

    Parameters
    ----------
    head : Head
    parts : Parts
    cv, repeats, seed : int
        As in :func:`featx.fit`.
    runtime : Runtime
    tally : Tally
        Counts all fits.
    """

    head: Head
    parts: Parts
    cv: int
    repeats: int
    seed: int
    runtime: Runtime
    tally: Tally

    def honest(self) -> tuple[CrossValidated | None, str]:
        """Return the nested cross-validation that keeps groups together; or None and why there is none."""
        try:
            result = cross_validate(
                self.head,
                self.parts.train,
                self.cv,
                self.repeats,
                self.seed,
                self.runtime.n_workers,
                lambda done, n: self.runtime.progress("fit", done, n),
                self.tally,
            )
        except TooFewGroups as error:
            return None, str(error)
        return result, ""

    def at_random(self, tuned: Tuned, honest: CrossValidated | None) -> Interval | None:
        """Return the accuracy as it is commonly reported: every picture on its own, copies torn apart."""
        alone = np.arange(len(self.parts.train.y))
        if honest is not None and len(np.unique(self.parts.train.groups)) == len(alone):
            return honest.summary.accuracy
        return self._as_fitted(tuned, replace(self.parts.train, groups=alone))

    def by_source(self, tuned: Tuned, samples: Sequence[Sample]) -> tuple[SourceAccuracy, ...]:
        """Return the accuracy by each hint of sources that is not grouped by already.

        Parameters
        ----------
        tuned : Tuned
        samples : sequence of Sample
            Those of the training part, in its order.
        """
        train = self.parts.train
        found = []
        for source in candidate_sources(samples):
            groups = join_groups(train.groups, source.values)
            if np.array_equal(groups, join_groups(train.groups, [None] * len(groups))):
                continue
            accuracy = self._as_fitted(tuned, replace(train, groups=groups))
            if accuracy is not None:
                names = sorted({value for value in source.values if value is not None})
                ends = (names[0], names[-1])
                found.append(SourceAccuracy(source.name, source.group_by, len(names), ends, accuracy))
        return tuple(found)

    def held_out(self, tuned: Tuned, part: TrainingSet) -> HeldOut | None:
        """Return the accuracy on a part that was set aside; None if there is none."""
        if not len(part.y):
            return None
        hit = scores_of(tuned.estimator, part.X, len(part.classes)).argmax(axis=1) == part.y
        apart = ~np.isin(part.groups, self.parts.train.groups)
        accuracy = wilson(float(hit[apart].mean()), effective_number(part.groups[apart])) if apart.any() else None
        return HeldOut(accuracy, int(apart.sum()), float(hit.mean()), len(hit))

    def _as_fitted(self, tuned: Tuned, data: TrainingSet) -> Interval | None:
        try:
            return accuracy_as_fitted(
                self.head, tuned.params, data, self.cv, self.seed, self.runtime.n_workers, self.tally
            )
        except TooFewGroups:
            return None


def find_conflicts(table: FeatureTable, grouping: Grouping, at: NDArray[np.int64]) -> list[list[str]]:
    """Return sample ids of copies and near-copies whose labels differ, the first 200 pairs.

    Parameters
    ----------
    table : FeatureTable
    grouping : Grouping
    at : ndarray of shape (n_train,), int64
        Positions of the training part.
    """
    first: dict[bytes, int] = {}
    same = [(first.setdefault(table.content_hashes[i].tobytes(), i), i) for i in at.tolist()]
    known = set(at.tolist())
    samples = table.samples
    pairs = [
        (one, other)
        for one, other in [*same, *grouping.near]
        if {one, other} <= known and samples[one].label != samples[other].label
    ]
    return [[samples[one].sample_id, samples[other].sample_id] for one, other in pairs[:_MOST_CONFLICTS]]
