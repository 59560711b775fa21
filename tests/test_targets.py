"""Targets of a single label: encoding of labels, predicted classes, and scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from featx.evaluation import ByClass
from featx.targets import Baseline, SingleLabel


def test_labels_become_numbers_and_names_again():
    targets = SingleLabel.of(["b", None, "a", "b", "ä"])
    assert targets.classes == ("a", "b", "ä")
    y = targets.encode(["ä", None, "a", "unknown"])
    assert y.dtype == np.int64
    assert y.tolist() == [2, -1, 0, -1]
    assert targets.decode(np.array([2, 0])) == ["ä", "a"]
    assert targets.encode([]).shape == (0,)


def test_the_first_of_equal_scores_is_the_prediction():
    targets = SingleLabel(("a", "b", "c"))
    scores = np.array([[0.2, 0.2, 0.1], [0.1, 0.3, 0.3], [0.0, 0.0, 1.0]])
    predicted = targets.predicted(scores)
    assert predicted.tolist() == [0, 1, 2]
    assert targets.ranked(scores, 2).tolist() == [[0, 1], [1, 2], [2, 0]]
    assert targets.confidence(scores, predicted).tolist() == [0.2, 0.3, 1.0]
    assert targets.hits(predicted, np.array([0, 2, 2])).tolist() == [True, False, True]


def test_the_baseline_is_the_majority_class_of_the_training_images():
    targets = SingleLabel(("a", "b", "c"))
    y = np.array([0, 0, 1])
    assert targets.baseline(y) == Baseline("a", 2 / 3)
    assert targets.baseline(y, np.array([1, 1, 0])) == Baseline("b", 1 / 3)
    assert targets.baseline(np.array([2, 1])) == Baseline("b", 0.5)  # the first class in a tie


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    targets = SingleLabel(tuple("abcdef"))
    y, predicted = rng.integers(0, 5, 200), rng.integers(1, 6, 200)  # one class never occurs, one is never predicted
    found = ByClass.of(targets, predicted, y)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(y, predicted, labels=range(6)))
    theirs = precision_recall_fscore_support(y, predicted, labels=range(6), zero_division=0.0)
    ours = zip(*((one.precision, one.recall, one.f1, one.n) for one in found.per_class), strict=True)
    assert [list(column) for column in ours] == [column.tolist() for column in theirs]  # bit for bit
    assert targets.hits(predicted, y).mean() == accuracy_score(y, predicted)
    assert ByClass.of(targets, predicted[:0], y[:0]) == ByClass((), ())
