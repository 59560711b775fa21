"""Measure the accuracies of one head on one data set: grouped, ungrouped, by group hint, and on held-out parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from featx.duplicates import Grouping, join_groups
from featx.evaluation import ByClass, Contradiction, GroupHintAccuracy, HeldOut, Interval, ViewsGain
from featx.evaluation.procedures import (
    CrossValidated,
    DataSplit,
    FitCounter,
    Outcomes,
    TooFewGroups,
    TrainingSet,
    Tuned,
    cross_validate,
    group_at_chance,
    judge_group_hint,
    judge_part,
    judge_ungrouped,
    paired_difference,
    share_of,
)
from featx.group_hints import find_group_hints, in_natural_order, read_groups
from featx.heads import Head, scores_of
from featx.runtime import Runtime
from featx.table import Sample, Views


@dataclass(frozen=True)
class AccuracyMeasurer:
    """Measures the accuracies of one head on one data set.

    Parameters
    ----------
    head : Head
    parts : DataSplit
        Training, validation and test parts.
    cv, repeats, seed : int
        As in :func:`featx.fit`.
    runtime : Runtime
    tally : FitCounter
        Counts all fits.
    """

    head: Head
    parts: DataSplit
    cv: int
    repeats: int
    seed: int
    runtime: Runtime
    tally: FitCounter

    def grouped(self) -> tuple[CrossValidated | None, str]:
        """Return the nested cross-validation that keeps groups together, or None and the reason for None."""
        try:
            return self._nested(self.parts.train, "cross-validating"), ""
        except TooFewGroups as error:
            return None, str(error)

    def gain_of_views(self, views: Views, grouped: CrossValidated | None) -> ViewsGain | None:
        """Return how much the augmented views change the accuracy; None if the training part has no views.

        Parameters
        ----------
        views : Views
            Settings with which the views were made. The training part may use fewer views.
        grouped : CrossValidated or None
            Cross-validation with the views.
        """
        train = self.parts.train
        if train.views is None:
            return None
        n = len(train.views)
        if grouped is None:
            return ViewsGain(n, views.policy, views.seed, None, None)
        # The same seed gives the same folds, so that the difference is paired.
        without = self._nested(replace(train, views=None), "cross-validating without views")
        difference = paired_difference(grouped, without, train.y, train.groups)
        return ViewsGain(n, views.policy, views.seed, without.summary.accuracy, difference)

    def ungrouped(self, grouped: CrossValidated | None) -> tuple[Interval | None, list[Contradiction]]:
        """Return the ungrouped accuracy, with duplicates on both sides of splits, as is commonly reported.

        The same cross-validation, including tuning, is computed with each image as a group of its own.

        Returns
        -------
        Interval or None
            None if a class has too few images.
        list of Contradiction
            Contradiction to the grouped accuracy, if there is one.
        """
        train = self.parts.train
        alone = np.arange(len(train.y))
        if grouped is not None and len(np.unique(train.groups)) == len(alone):
            return grouped.summary.accuracy, []
        found = self._outcomes(alone, "fit, ungrouped")
        if found is None or grouped is None:
            return None if found is None else found.accuracy, []
        contradiction = judge_ungrouped(
            Outcomes.of(grouped, train.y), found, partial(self._at_chance, train.groups, alone)
        )
        return found.accuracy, [] if contradiction is None else [contradiction]

    def by_group_hint(
        self, samples: Sequence[Sample], grouping: Grouping, grouped: CrossValidated | None
    ) -> tuple[tuple[GroupHintAccuracy, ...], list[Contradiction]]:
        """Return the accuracy with the groups of each group hint, unless these are the groups already used.

        Parameters
        ----------
        samples : sequence of Sample
            Samples of the whole table.
        grouping : Grouping
            Groups of these samples.
        grouped : CrossValidated or None
            Cross-validation with the groups already used.

        Returns
        -------
        tuple of GroupHintAccuracy
        list of Contradiction
            Contradictions to the accuracy with the groups already used.
        """
        train, at = self.parts.train, self.parts.at
        units, accuracies, contradictions = grouping.unnamed[at], [], []
        for source in find_group_hints([samples[i] for i in at]):
            groups = join_groups(grouping.unnamed, read_groups(samples, source.group_by))[at]
            if np.array_equal(_in_order(groups), _in_order(train.groups)):
                continue
            found = self._outcomes(groups, f"fit, by {source.name}")
            if found is None:
                continue
            names = in_natural_order({value for value in source.values if value is not None})
            ends = (names[0], names[-1])
            accuracies.append(GroupHintAccuracy(source.name, source.group_by, len(names), ends, found.accuracy))
            if grouped is not None:
                known, at_chance = Outcomes.of(grouped, train.y), partial(self._at_chance, groups, units)
                contradictions.append(judge_group_hint(known, found, units, source.name, source.group_by, at_chance))
        return tuple(accuracies), [one for one in contradictions if one is not None]

    def held_out(self, tuned: Tuned, part: TrainingSet) -> HeldOut | None:
        """Return the accuracy on a validation or test part; None if the part is empty."""
        if not len(part.y):
            return None
        targets = part.targets
        predicted = targets.predicted(scores_of(tuned.estimator, part.X, targets.n_classes))
        hit = targets.hits(predicted, part.y)
        apart = ~np.isin(part.groups, self.parts.train.groups)
        if not apart.any():
            return HeldOut(None, 0, float(hit.mean()), len(hit))
        return HeldOut(
            share_of(hit[apart], part.groups[apart]),
            int(apart.sum()),
            float(hit.mean()),
            len(hit),
            *ByClass.of(targets, predicted[apart], part.y[apart]),
        )

    def _nested(self, data: TrainingSet, stage: str) -> CrossValidated:
        n_workers = self.runtime.n_workers
        with self.runtime.stage(stage) as advance:
            return cross_validate(self.head, data, self.cv, self.repeats, self.seed, n_workers, advance, self.tally)

    def _outcomes(self, groups: NDArray[np.int64], stage: str) -> Outcomes | None:
        train = self.parts.train
        try:
            return Outcomes.of(self._nested(replace(train, groups=groups), stage), train.y)
        except TooFewGroups:
            return None

    def _at_chance(self, groups: NDArray[np.int64], units: NDArray[np.int64]) -> Outcomes | None:
        drawn = group_at_chance(groups, units, self.parts.train.y, self.seed)
        return self._outcomes(drawn, "fit, groups drawn by chance")


def judge_held_out(grouped: CrossValidated | None, val: HeldOut | None, test: HeldOut | None) -> list[Contradiction]:
    """Return the contradictions between the cross-validated accuracy and the accuracies on held-out parts.

    Parameters
    ----------
    grouped : CrossValidated or None
    val, test : HeldOut or None
    """
    if grouped is None:
        return []
    accuracy = grouped.summary.accuracy
    judged = [
        None if test is None or test.accuracy is None else judge_part("test", accuracy, test.accuracy),
        None if val is None or val.accuracy is None else judge_part("val", accuracy, val.accuracy),
    ]
    return [one for one in judged if one is not None]


def _in_order(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the same groups, numbered in order of first appearance."""
    return join_groups(groups, [None] * len(groups))
