"""All accuracies of one head on one data set: honest, at random, by source, on what was set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from featx.duplicates import join_groups
from featx.evaluate import (
    CrossValidated,
    Parts,
    Tally,
    TooFewGroups,
    TrainingSet,
    Tuned,
    accuracy_as_fitted,
    cross_validate,
    paired_difference,
    share_of,
)
from featx.evaluation import HeldOut, Interval, SourceAccuracy, ViewsWorth
from featx.heads import Head, scores_of
from featx.runtime import Runtime
from featx.sources import candidate_sources
from featx.table import Sample, Views


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
            return self._nested(self.parts.train, "cross-validating"), ""
        except TooFewGroups as error:
            return None, str(error)

    def worth_of_views(self, views: Views, honest: CrossValidated | None) -> ViewsWorth | None:
        """Return whether the augmented views that are learnt from helped; None if there are none.

        Parameters
        ----------
        views : Views
            What they are; as many as the training part has of them are learnt from.
        honest : CrossValidated or None
            With them.
        """
        train = self.parts.train
        if train.views is None:
            return None
        n = len(train.views)
        if honest is None:
            return ViewsWorth(n, views.policy, views.seed, None, None)
        without = self._nested(
            replace(train, views=None), "cross-validating without views"
        )  # the seed cuts the same folds
        difference = paired_difference(honest, without, train.y, train.groups)
        return ViewsWorth(n, views.policy, views.seed, without.summary.accuracy, difference)

    def at_random(self, tuned: Tuned, honest: CrossValidated | None) -> Interval | None:
        """Return the accuracy as it is commonly reported: every picture on its own, copies torn apart."""
        alone = np.arange(len(self.parts.train.y))
        if honest is not None and len(np.unique(self.parts.train.groups)) == len(alone):
            return honest.summary.accuracy
        return self._as_fitted(tuned, replace(self.parts.train, groups=alone), "measuring the ungrouped accuracy")

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
            accuracy = self._as_fitted(tuned, replace(train, groups=groups), f"measuring the accuracy by {source.name}")
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
        accuracy = share_of(hit[apart], part.groups[apart]) if apart.any() else None
        return HeldOut(accuracy, int(apart.sum()), float(hit.mean()), len(hit))

    def _nested(self, data: TrainingSet, stage: str) -> CrossValidated:
        n_workers = self.runtime.n_workers
        with self.runtime.stage(stage) as advance:
            return cross_validate(self.head, data, self.cv, self.repeats, self.seed, n_workers, advance, self.tally)

    def _as_fitted(self, tuned: Tuned, data: TrainingSet, stage: str) -> Interval | None:
        n_workers = self.runtime.n_workers
        try:
            with self.runtime.stage(stage) as advance:
                return accuracy_as_fitted(
                    self.head, tuned.params, data, self.cv, self.seed, n_workers, self.tally, advance
                )
        except TooFewGroups:
            return None
