"""Find accuracies that differ from the cross-validated accuracy by more than chance explains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from featx.evaluation.procedures.cross_validation import CrossValidated
from featx.evaluation.records.scores import Interval
from featx.evaluation.records.verdict import Contradiction

_Z = 2.5758293035489004
"""Quantile of the 99 % intervals: up to seven accuracies are compared (docs/decisions/contradictions.md)."""

_Z_95 = 1.959963984540054

_LEAST = 0.01
"""Differences of less than this are not reported, however many images there are."""


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of a cross-validation, without the scores.

    Parameters
    ----------
    accuracy : Interval
    tested : ndarray of shape (n_tested,), int64
        Positions of the tested samples, in ascending order.
    hits : ndarray of shape (n_tested,), bool
        Whether each out-of-fold prediction is correct.
    """

    accuracy: Interval
    tested: NDArray[np.int64]
    hits: NDArray[np.bool_]

    @classmethod
    def of(cls, crossed: CrossValidated, y: NDArray[np.int64]) -> Outcomes:
        """Return the outcomes of a cross-validation of samples with class indices ``y``."""
        hits = crossed.targets.hits(crossed.predicted, y[crossed.tested])
        return cls(crossed.summary.accuracy, crossed.tested, hits)


def judge_part(
    kind: Literal["test", "val", "on"], accuracy: Interval, other: Interval, name: str = ""
) -> Contradiction | None:
    """Compare the cross-validated accuracy with the accuracy on images that were not used for training.

    The 99 % interval of the difference is computed from the two 95 % intervals (Newcombe 1998, method 10; Zou and
    Donner 2008), which account for the groups of both parts.

    Parameters
    ----------
    kind : {"test", "val", "on"}
    accuracy : Interval
        Cross-validated accuracy.
    other : Interval
        Accuracy on the other images.
    name : str
        For ``on``: the data set.

    Returns
    -------
    Contradiction or None
        None if chance explains the difference, or if it is less than 0.01.
    """
    mean, wider = other.mean - accuracy.mean, _Z / _Z_95
    down = wider * math.hypot(other.mean - other.low, accuracy.high - accuracy.mean)
    up = wider * math.hypot(other.high - other.mean, accuracy.mean - accuracy.low)
    difference = Interval(mean, max(-1.0, mean - down), min(1.0, mean + up))
    if difference.low <= _LEAST and difference.high >= -_LEAST:
        return None
    return Contradiction(kind, accuracy, other, difference, name=name)


def judge_ungrouped(
    grouped: Outcomes, ungrouped: Outcomes, at_chance: Callable[[], Outcomes | None]
) -> Contradiction | None:
    """Compare the grouped with the ungrouped accuracy of the same samples.

    Parameters
    ----------
    grouped, ungrouped : Outcomes
    at_chance : callable
        Returns the outcomes with groups from :func:`group_at_chance`, or None if there are no folds with them. Called
        only if the ungrouped accuracy lies above the interval of the grouped accuracy by more than chance explains.

    Returns
    -------
    Contradiction or None
        None if groups that are drawn by chance explain the difference.
    """
    if ungrouped.accuracy.mean <= grouped.accuracy.high:
        return None
    chance = _lower_than_chance(grouped, ungrouped, None, at_chance)
    if chance is None:
        return None
    difference = paired_interval(grouped, ungrouped)
    return Contradiction("ungrouped", grouped.accuracy, ungrouped.accuracy, difference, chance)


def judge_group_hint(
    grouped: Outcomes,
    by_hint: Outcomes,
    units: NDArray[np.int64],
    name: str,
    group_by: str,
    at_chance: Callable[[], Outcomes | None],
) -> Contradiction | None:
    """Compare the cross-validated accuracy with the accuracy with the groups of a group hint, on the same samples.

    Parameters
    ----------
    grouped, by_hint : Outcomes
    units : ndarray of shape (n_samples,), int64
        Number of the unit of each sample: samples of one unit are in one group in both cross-validations.
    name, group_by : str
        Kind of the group hint, and value of the parameter ``group_by`` that groups by it.
    at_chance : callable
        As for :func:`judge_ungrouped`.

    Returns
    -------
    Contradiction or None
        None if groups that are drawn by chance explain the difference.
    """
    if by_hint.accuracy.mean >= grouped.accuracy.low:
        return None
    chance = _lower_than_chance(by_hint, grouped, units, at_chance)
    if chance is None:
        return None
    difference = paired_interval(grouped, by_hint, units)
    return Contradiction("group hint", grouped.accuracy, by_hint.accuracy, difference, chance, name, group_by)


def group_at_chance(
    groups: NDArray[np.int64], units: NDArray[np.int64], y: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Return the group numbers after the units of each class have exchanged their groups by chance.

    Each group keeps its number of units of each class, so that folds have the same composition as with the given
    groups.

    Parameters
    ----------
    groups, units, y : ndarray of shape (n_samples,), int64
        Number of the group and of the unit, and index of the class of each sample. All samples of a unit are in one
        group. A unit with samples of several classes counts as a unit of the class of its first sample.
    seed : int
    """
    rng = np.random.default_rng(seed)
    _, first, unit_of = np.unique(units, return_index=True, return_inverse=True)
    exchanged = groups[first]
    for label in np.unique(y[first]):
        at = np.flatnonzero(y[first] == label)
        exchanged[at] = exchanged[rng.permutation(at)]
    return np.asarray(exchanged[unit_of], np.int64)


def paired_interval(one: Outcomes, other: Outcomes, units: NDArray[np.int64] | None = None) -> Interval:
    """Return the accuracy of ``other`` minus that of ``one`` on the same samples, with its 99 % interval.

    The variance is that of the test for clustered matched pairs (Durkalski et al. 2003), which is McNemar's test if
    each sample is a unit.

    Parameters
    ----------
    one, other : Outcomes
        Only samples that are tested in both are compared.
    units : ndarray of shape (n_samples,), int64, optional
        Number of the unit of each sample; each sample is a unit if not given.
    """
    tested, at_one, at_other = np.intersect1d(one.tested, other.tested, assume_unique=True, return_indices=True)
    differences = other.hits[at_other].astype(np.float64) - one.hits[at_one]
    members = np.unique(tested if units is None else units[tested], return_inverse=True)[1]
    mean = float(differences.mean()) if len(tested) else 0.0
    half = _Z * math.sqrt(float(np.square(np.bincount(members, differences)).sum())) / max(len(tested), 1)
    return Interval(mean, max(-1.0, mean - half), min(1.0, mean + half))


def _lower_than_chance(
    lower: Outcomes, higher: Outcomes, units: NDArray[np.int64] | None, at_chance: Callable[[], Outcomes | None]
) -> Interval | None:
    """Return the accuracy with groups drawn by chance if it, too, is higher than that with the coarser groups."""
    if paired_interval(lower, higher, units).low <= _LEAST:
        return None
    drawn = at_chance()
    if drawn is None or paired_interval(lower, drawn, units).low <= _LEAST:
        return None
    return drawn.accuracy
