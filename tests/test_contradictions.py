"""Contradictions between accuracies: what chance explains is not reported, what it does not explain is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from featx.evaluation import Interval
from featx.evaluation.procedures import (
    Outcomes,
    TrainingSet,
    cross_validate,
    group_at_chance,
    judge_group_hint,
    judge_part,
    judge_ungrouped,
    tune_and_fit,
)
from featx.evaluation.procedures.contradictions import paired_interval
from featx.heads import make_head
from featx.targets import SingleLabel

Z = 2.5758293035489004
HEAD = make_head("logreg", {"C": 0.1})


def outcomes(hits, tested=None, interval=None):
    hits = np.array(hits, bool)
    accuracy = Interval(hits.mean(), hits.mean() - 0.02, hits.mean() + 0.02) if interval is None else interval
    return Outcomes(accuracy, np.arange(len(hits)) if tested is None else np.array(tested), hits)


def never():
    raise AssertionError("groups were drawn by chance although the difference needs no explanation")


def test_the_difference_to_a_part_uses_both_intervals():
    cv, test = Interval(0.9, 0.88, 0.92), Interval(0.8, 0.75, 0.84)
    found = judge_part("test", cv, test)
    down, up = (Z / 1.959963984540054 * math.hypot(*sides) for sides in ((0.05, 0.02), (0.04, 0.02)))
    assert found.difference.mean == pytest.approx(-0.1)
    assert (found.difference.low, found.difference.high) == (pytest.approx(-0.1 - down), pytest.approx(-0.1 + up))
    assert (found.accuracy, found.other, found.trust, found.trusted) == (cv, test, "test", test)
    assert judge_part("test", cv, Interval(0.8, 0.7, 0.88)) is None
    assert judge_part("test", Interval(0.9, 0.82, 0.96), test) is None


def test_two_intervals_that_overlap_a_little_can_contradict_each_other():
    cv, test = Interval(0.8, 0.7, 0.9), Interval(0.602, 0.502, 0.702)
    assert judge_part("test", cv, test) is not None
    narrow = Interval(0.9, 0.89, 0.91), Interval(0.883, 0.88, 0.889)
    assert judge_part("test", *narrow) is None  # they do not overlap, but the difference may be less than 0.01


def test_an_easier_part_does_not_raise_the_accuracy_to_trust():
    cv, test = Interval(0.8, 0.78, 0.82), Interval(0.95, 0.93, 0.97)
    found = judge_part("test", cv, test)
    assert (found.trust, found.trusted) == ("cv", cv)
    assert found.difference.low > 0.01


def test_paired_interval_by_hand():
    one, other = outcomes([1, 1, 0, 0, 1, 0, 1, 1]), outcomes([1, 0, 1, 1, 1, 1, 1, 1])
    alone = paired_interval(one, other)  # 3 better, 1 worse
    assert (alone.mean, alone.low) == (pytest.approx(2 / 8), pytest.approx(2 / 8 - Z * math.sqrt(4) / 8))
    units = np.array([0, 0, 1, 1, 1, 2, 2, 2])  # sums -1, 2 and 1
    together = paired_interval(one, other, units)
    assert together.low == pytest.approx(2 / 8 - Z * math.sqrt(6) / 8)
    assert together.high == 1.0  # a difference of accuracies is at most 1
    assert together.mean == alone.mean


def test_only_images_that_are_tested_twice_are_paired():
    one, other = outcomes([1, 0, 0], [2, 5, 7]), outcomes([1, 1, 1], [5, 7, 9])
    found = paired_interval(one, other, np.arange(10) // 5)
    assert found == Interval(1.0, pytest.approx(1 - Z * 2 / 2, abs=2), 1.0)
    assert paired_interval(one, outcomes([1], [1])) == Interval(0.0, 0.0, 0.0)


def test_groups_drawn_by_chance_have_the_same_composition():
    y, groups = np.repeat([0, 0, 1, 1, 2], 12), np.repeat([4, 4, 4, 7, 9], 12)
    units = np.arange(60) // 3
    drawn = group_at_chance(groups, units, y, 0)
    for group in (4, 7, 9):
        assert (
            np.bincount(y[drawn == group], minlength=3).tolist()
            == np.bincount(y[groups == group], minlength=3).tolist()
        )
    assert all(len(set(drawn[units == unit])) == 1 for unit in range(20))
    assert (drawn != groups).any()
    assert (drawn == group_at_chance(groups, units, y, 0)).all()
    assert (drawn != group_at_chance(groups, units, y, 1)).any()


def drawn_set(sizes, seed, alike=0.0, n_classes=3, d=20):
    """Return samples in groups that share a part ``alike`` of their variance."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    y = (rng.permutation(len(sizes)) % n_classes)[groups]
    shared = rng.normal(0, math.sqrt(alike), (len(sizes), d))[groups]
    X = rng.normal(0, 0.4, (n_classes, d))[y] + shared + rng.normal(0, math.sqrt(1 - alike), (len(y), d))
    return TrainingSet(X.astype(np.float32), y, groups, SingleLabel(tuple("abc"[:n_classes])))


def measured(data, groups):
    return Outcomes.of(cross_validate(HEAD, TrainingSet(data.X, data.y, groups, data.targets), 5, 1, 0), data.y)


def judged(data):
    alone = np.arange(len(data.y))
    return judge_ungrouped(
        measured(data, data.groups),
        measured(data, alone),
        lambda: measured(data, group_at_chance(data.groups, alone, data.y, 0)),
    )


def test_versions_of_one_image_make_the_ungrouped_accuracy_contradict_the_grouped():
    data = drawn_set((10,) * 40, 0, alike=0.9)
    found = judged(data)
    assert (found.kind, found.trust) == ("ungrouped", "cv")
    assert found.other.mean > found.accuracy.high
    assert found.difference.mean == pytest.approx(found.other.mean - found.accuracy.mean)
    assert found.at_chance.mean == pytest.approx(found.other.mean, abs=0.05)


@pytest.mark.parametrize("sizes", [(4,) * 60, (30,) * 10, (100,) * 3 + (1,) * 60])
def test_groups_without_meaning_contradict_nothing(sizes):
    """Large groups lower the accuracy, because there are fewer folds with smaller training parts."""
    assert [judged(drawn_set(sizes, seed)) for seed in range(6)] == [None] * 6


def test_groups_are_not_drawn_without_need():
    data = drawn_set((1,) * 120, 0)
    alone = measured(data, data.groups)
    assert judge_ungrouped(alone, alone, never) is None
    assert judge_group_hint(alone, alone, data.groups, "plate", "plate", never) is None
    within = outcomes([1] * 90 + [0] * 10, interval=Interval(0.9, 0.6, 1.0))
    assert judge_ungrouped(within, outcomes([1] * 100), never) is None  # inside the interval


def test_without_folds_of_groups_drawn_by_chance_nothing_is_claimed():
    low, high = outcomes([1] * 60 + [0] * 40), outcomes([1] * 100)
    assert judge_ungrouped(low, high, lambda: None) is None
    assert judge_group_hint(high, low, np.arange(100), "plate", "plate", lambda: None) is None
    assert judge_ungrouped(low, high, lambda: low) is None
    assert judge_ungrouped(low, high, lambda: high).at_chance == high.accuracy


def test_plates_that_differ_contradict_and_words_without_meaning_do_not():
    for tint, expected in ((0.0, None), (2.0, "group hint")):
        data = drawn_set((1,) * 240, 1)
        rng = np.random.default_rng(2)
        plates = rng.integers(0, 8, len(data.y))
        X = data.X + rng.normal(0, tint, (8, 3, 20))[plates, data.y]
        data = TrainingSet(X.astype(np.float32), data.y, data.groups, data.targets)
        found = judge_group_hint(
            measured(data, data.groups),
            measured(data, plates),
            data.groups,
            "plate",
            r"(P\d+)",
            lambda data=data, plates=plates: measured(data, group_at_chance(plates, data.groups, data.y, 0)),
        )
        assert (None if found is None else found.kind) == expected
        if found is not None:
            assert (found.trust, found.name, found.group_by) == ("group hint", "plate", r"(P\d+)")
            assert found.trusted.mean < found.accuracy.low < found.at_chance.mean + 0.1


def test_false_alarms_are_rare():
    """A small version of benchmarks.contradictions: a test part that is drawn like the training part."""
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        data = drawn_set((1,) * 300, seed)
        train, test = np.split(rng.permutation(300), [200])
        cv = cross_validate(HEAD, data.part(train), 5, 1, seed).summary.accuracy
        fitted = tune_and_fit(HEAD, data.part(train), seed).estimator
        n = len(test)
        share = float((fitted.predict(data.X[test]) == data.y[test]).mean())
        half = 1.96 * math.sqrt(share * (1 - share) / n)
        alarms += judge_part("test", cv, Interval(share, share - half, min(1.0, share + half))) is not None
    assert alarms <= 2
