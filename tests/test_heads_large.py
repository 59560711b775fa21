"""Replacements of heads on many samples."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import SGDClassifier
from sklearn.multiclass import OneVsOneClassifier
from sklearn.svm import SVC
from test_evaluate import training_set

from featx.classifier import softmax, to_dense
from featx.classifier.estimators import dump_estimator, load_estimator
from featx.evaluation.procedures import quiet_single_threads, tune_and_fit
from featx.heads import HEAD_NAMES, for_large, large, make_head, scores_of

N = 20_000


@pytest.mark.parametrize("name", HEAD_NAMES)
def test_up_to_ten_thousand_samples_a_head_is_not_replaced(name):
    head = make_head(name)
    same, plan = for_large(head, 10_000, 3)
    assert same is head
    exact = "svm-rbf: the kernel is exact; above 10,000 images, it is approximated by 1,000 landmarks"
    assert plan == (exact if name == "svm-rbf" else "")


@pytest.mark.parametrize("name", ["logreg", "knn", "ridge", "centroid"])
def test_heads_that_are_never_replaced(name):
    head = make_head(name)
    assert for_large(head, N, 3) == (head, "")


def test_an_estimator_that_was_given_is_used_as_it_is():
    head = make_head(SVC())
    assert for_large(head, N, 3) == (head, "")


def test_svm_on_many_samples_keeps_its_c_and_its_weights():
    head, plan = for_large(make_head("svm", {"C": [0.01, 1.0]}, "balanced", seed=7), N, 2)
    last = head.estimator[-1]
    assert (type(last), last.loss, last.class_weight, last.random_state) == (SGDClassifier, "hinge", "balanced", 7)
    assert [c["head__alpha"] for c in head.candidates(9)] == [1 / (0.01 * N), 1 / N]
    assert plan == (
        "svm: on more than 10,000 images, the head is fitted by stochastic gradient descent, with one classifier per "
        "pair of classes and alpha = 1 / (20,000 C)"
    )
    fixed, plan = for_large(make_head("svm", {"C": 0.5}), N, 10)
    assert type(fixed.estimator[-1]) is OneVsOneClassifier
    assert (fixed.estimator[-1].estimator.alpha, fixed.grid) == (1 / (0.5 * N / 5), {})
    assert plan.endswith("alpha = 1 / (4,000 C)")
    assert list(for_large(make_head("svm"), N, 10)[0].grid) == ["head__estimator__alpha"]


def test_svm_rbf_on_many_samples_has_landmarks():
    head, plan = for_large(make_head("svm-rbf", {"gamma": 0.1, "C": [1.0, 10.0]}, seed=3), N, 3)
    landmarks = head.estimator.named_steps["landmarks"]
    assert (type(landmarks), landmarks.kernel, landmarks.gamma) == (Nystroem, "rbf", 0.1)
    assert (landmarks.n_components, landmarks.random_state) == (1000, 3)
    assert "approximated by 1,000 landmarks (Nystroem)" in plan
    tuned_gamma, _ = for_large(make_head("svm-rbf", {"gamma": [0.1, 1.0]}), N, 3)
    assert set(tuned_gamma.grid) == {"head__estimator__alpha", "landmarks__gamma"}
    poly, _ = for_large(make_head("svm-rbf", {"kernel": "poly", "degree": 2}), N, 3)
    assert (poly.estimator["landmarks"].kernel, poly.estimator["landmarks"].degree) == ("poly", 2)


@pytest.mark.parametrize("params", [{"tol": 1e-5}, {"max_iter": 10}, {"C": [1.0], "shrinking": [True, False]}])
def test_parameters_without_a_counterpart_are_kept_and_reported(params):
    head = make_head("svm-rbf", params)
    kept, plan = for_large(head, N, 3)
    assert kept is head
    assert plan == (
        "svm-rbf: not approximated, because the approximation does not support a parameter; "
        "fitting on 20,000 images takes long"
    )


def test_mlp_on_many_samples_stops_early_unless_its_training_was_changed():
    head, plan = for_large(make_head("mlp"), N, 3)
    assert head.estimator[-1].early_stopping
    assert "training is stopped early, based on a held-out tenth of them" in plan
    changed = make_head("mlp", {"batch_size": 64})
    assert for_large(changed, N, 3)[0] is changed


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("name", ["svm", "svm-rbf", "mlp"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_replacement_can_be_trained_and_saved(name, n_classes, class_weight, monkeypatch):
    monkeypatch.setattr(large, "MOST_EXACT", 200)
    monkeypatch.setattr(large, "LANDMARKS", 50)
    monkeypatch.setattr(large, "BATCH", 32)
    data = training_set(300, n_classes, 20, signal=0.6)
    head, plan = for_large(make_head(name, None, class_weight), 300, n_classes)
    assert plan
    with quiet_single_threads():
        tuned = tune_and_fit(head, data, 0)
        again = tune_and_fit(head, data, 0, n_workers=3)
        scores = scores_of(tuned.estimator, data.X, n_classes)
        np.testing.assert_array_equal(scores, scores_of(again.estimator, data.X, n_classes))
        loaded = load_estimator(dump_estimator(tuned.estimator))
        np.testing.assert_array_equal(scores, scores_of(loaded, data.X, n_classes))
    assert (scores.argmax(axis=1) == data.y).mean() > 0.85
    assert tuned.converged
    dense = to_dense(tuned.estimator)
    if name == "svm-rbf":
        assert dense is None  # a kernel is not a dense layer
    else:
        np.testing.assert_allclose(softmax(dense.scores(data.X)), softmax(scores), atol=1e-4)
