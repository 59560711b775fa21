"""The table of heads."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx.cli.options import parse_param
from featx.errors import HeadError
from featx.evaluation.procedures import quiet_single_threads
from featx.evaluation.procedures.tuning import fit_head
from featx.heads import HEAD_NAMES, GridEnd, converged, for_large, large, make_head, scores_of
from featx.heads.centroid import ShrunkenCentroid


def blobs(n_classes: int, n: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), n)
    centres = rng.normal(0, 3, (n_classes, 8))
    return (centres[y] + rng.normal(0, 1, (len(y), 8))).astype(np.float32), y


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("name", HEAD_NAMES)
def test_every_head_learns_and_its_best_score_is_its_prediction(name, n_classes):
    X, y = blobs(n_classes)
    head = make_head(name)
    with quiet_single_threads():
        estimator = fit_head(head, head.default(len(y)), X, y)
        scores = scores_of(estimator, X, n_classes)
    assert scores.shape == (len(y), n_classes)
    np.testing.assert_array_equal(scores.argmax(axis=1), estimator.predict(X))
    assert (scores.argmax(axis=1) == y).mean() > 0.95


def test_c_spans_eight_orders_from_the_most_regularised():
    for name in ("logreg", "svm", "svm-rbf"):
        values = [c["head__C"] for c in make_head(name).candidates(100)]
        assert (values[0], values[-1], len(values)) == (1e-4, 1e4, 9)
    alphas = [c["head__alpha"] for c in make_head("ridge").candidates(100)]
    assert alphas == sorted(alphas, reverse=True)


def test_mlp_tunes_at_most_four_settings_on_one_split():
    head = make_head("mlp")
    assert len(head.candidates(100)) <= 4
    assert head.one_split


@pytest.mark.parametrize(
    ("name", "chosen", "inner", "further"),
    [
        ("logreg", 1e-4, 1e-3, (1e-5, 1e-6, 1e-7)),
        ("logreg", 1e4, 1e3, (1e5, 1e6)),
        ("ridge", 1e6, 1e5, (1e7, 1e8)),
        ("ridge", 1e-2, 1e-1, (1e-3, 1e-4)),
        ("knn", 31, 15, (63,)),
        ("mlp", 10.0, 1.0, (100.0, 1000.0)),
        ("centroid", 2.0, 1.0, (4.0, 8.0)),
    ],
)
def test_ends_of_grids_have_values_beyond(name, chosen, inner, further):
    head = make_head(name)
    end = head.end_of(next(iter(head.grid)), chosen, 100)
    assert (end.inner, end.further) == (inner, further)
    assert end.is_largest == (chosen > inner)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [("logreg", 1.0), ("knn", 1), ("mlp", 1e-4), ("centroid", None), ("centroid", 0.2), ("centroid", 0.5)],
)
def test_inner_values_and_limits_of_a_parameter_are_no_ends(name, chosen):
    head = make_head(name)
    assert head.end_of(next(iter(head.grid)), chosen, 100) is None


def test_given_values_have_ends_and_nothing_beyond():
    head = make_head("svm", {"C": [1.0, 0.1, 10.0], "kernel": ["linear", "rbf"]})
    assert head.end_of("head__C", 0.1, 100) == GridEnd(1.0, (), False)
    assert head.end_of("head__C", 10.0, 100) == GridEnd(1.0, (), True)
    assert head.end_of("head__C", 1.0, 100) is None
    assert head.end_of("head__kernel", "rbf", 100) is None
    assert make_head("knn", {"n_neighbors": [1, 3]}).end_of("head__n_neighbors", 1, 100) is None


def test_alphas_of_a_replacement_end_where_the_values_of_c_end(monkeypatch):
    monkeypatch.setattr(large, "MOST_EXACT", 50)
    head, _ = for_large(make_head("svm"), 100, 2)
    end = head.end_of("head__alpha", head.grid["head__alpha"][0], 100)
    assert end.is_largest  # the smallest C is the largest alpha
    assert end.further == pytest.approx([1 / (C * 100) for C in (1e-5, 1e-6, 1e-7)])


def test_no_more_neighbours_than_samples():
    assert [c["head__n_neighbors"] for c in make_head("knn").candidates(6)] == [5, 3, 1]
    assert make_head("knn").default(1) == {"head__n_neighbors": 1}


def test_params_fix_or_replace_the_grid():
    fixed = make_head("logreg", {"C": 0.3})
    assert fixed.candidates(100) == [{}]
    assert fixed.estimator.get_params()["head__C"] == 0.3
    assert [c["head__C"] for c in make_head("svm", {"C": [1, 2]}).candidates(100)] == [1, 2]
    assert make_head("mlp", {"hidden_layer_sizes": (8, 4)}).estimator[-1].hidden_layer_sizes == (8, 4)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("C=0.1", ("C", 0.1)),
        ("C=[0.1, 1]", ("C", [0.1, 1])),
        ("hidden_layer_sizes=(8,4)", ("hidden_layer_sizes", (8, 4))),
        ("solver=lbfgs", ("solver", "lbfgs")),
        ("gamma=a=b", ("gamma", "a=b")),
    ],
)
def test_parse_param(text, value):
    assert parse_param(text) == value


def test_errors_teach():
    with pytest.raises(HeadError, match="`head=svn`: did you mean svm"):
        make_head("svn")
    with pytest.raises(HeadError, match="logreg has no parameter 'c'; its parameters are C, class_weight, dual"):
        make_head("logreg", {"c": 1})
    with pytest.raises(HeadError, match="expected name=value, for example C=0.1"):
        parse_param("C")
    with pytest.raises(HeadError, match="is not a head; expected a name"):
        make_head(3)
    for other in (KMeans(3), GaussianMixture(3), IsolationForest(), LinearRegression(), StandardScaler()):
        with pytest.raises(HeadError, match=f"{type(other).__name__}.* is not a head; expected a name"):
            make_head(other)
    with pytest.raises(HeadError, match="`class_weight=heavy`: expected balanced"):
        make_head("logreg", class_weight="heavy")
    with pytest.raises(HeadError, match="knn does not support class weights; leave out `class_weight`"):
        make_head("knn", class_weight="balanced")
    with pytest.raises(HeadError, match="logreg with C=-1 cannot be fitted; .*must be a float"):
        fit_head(make_head("logreg"), {"head__C": -1}, *blobs(2))


@pytest.mark.parametrize("name", [name for name in HEAD_NAMES if name not in ("knn", "mlp")])
def test_balanced_weights_help_the_small_class(name):
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.normal(0, 1, (300, 4)), rng.normal(1.0, 1, (15, 4))]).astype(np.float32)
    y = np.repeat([0, 1], [300, 15])
    recalls = []
    for class_weight in (None, "balanced"):
        head = make_head(name, {"C": 1.0} if name.startswith(("logreg", "svm")) else None, class_weight)
        with quiet_single_threads():
            estimator = fit_head(head, head.default(len(y)), X, y)
            recalls.append(scores_of(estimator, X, 2).argmax(axis=1)[y == 1].mean())
        assert head.weighs_classes == (class_weight == "balanced")
    assert recalls[1] > recalls[0] + 0.2


def test_mlp_is_balanced_by_sample_weights():
    head = make_head("mlp", {"hidden_layer_sizes": (4,), "max_iter": 50}, "balanced")
    seen = {}

    class Spy(type(head.estimator[-1])):
        def fit(self, X, y, sample_weight=None):
            seen["weights"] = sample_weight
            return super().fit(X, y, sample_weight=sample_weight)

    head.estimator.steps[-1] = ("head", Spy(hidden_layer_sizes=(4,), max_iter=50))
    X, y = blobs(2)
    with quiet_single_threads():
        fit_head(head, {}, X[:30], y[:30])
    np.testing.assert_allclose(np.unique(seen["weights"]), [0.75, 1.5])


def test_any_classifier_is_used_unchanged():
    given = make_pipeline(StandardScaler(), KNeighborsClassifier(3))
    head = make_head(given)
    assert head.name == "pipeline"
    assert head.candidates(10) == [{}]
    assert head.estimator is not given
    with pytest.raises(HeadError, match="`class_weight` does not apply to an estimator object"):
        make_head(given, class_weight="balanced")
    assert make_head(LogisticRegression(), {"C": [1, 2]}).candidates(9) == [{"C": 1}, {"C": 2}]


def test_scores_of_a_classifier_without_scores():
    class Plain(DummyClassifier):
        predict_proba = property()

    X, y = blobs(3)
    plain = Plain(strategy="constant", constant=2).fit(X, y)
    assert scores_of(plain, X[:2], 3).tolist() == [[0, 0, 1], [0, 0, 1]]


def test_convergence_of_a_fit():
    X, y = blobs(3)
    with quiet_single_threads():
        assert not converged(fit_head(make_head("logreg", {"max_iter": 1}), {"head__C": 1.0}, X, y))
        assert converged(fit_head(make_head("logreg"), {"head__C": 1.0}, X, y))
        assert converged(fit_head(make_head("svm"), {"head__C": 1.0}, X, y))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("logreg", {"C": "abc"}, "`params={'C': \"abc\"}`: logreg cannot be fitted; scikit-learn reports: "),
        ("logreg", {"C": [1, "abc"]}, "`params={'C': \"abc\"}`: logreg cannot be fitted; scikit-learn reports: "),
        ("svm", {"C": -1.0}, "The 'C' parameter of SVC must be a float in the range"),
        ("mlp", {"activation": "x"}, "The 'activation' parameter of MLPClassifier must be a str among"),
        ("logreg", {"solver": "newton-cholesky", "l1_ratio": 1.0}, "Solver newton-cholesky supports only 'l2'"),
        ("svm-rbf", {"kernel": "precomputed"}, "Precomputed matrix must be a square matrix"),
    ],
)
def test_invalid_values_are_rejected_before_any_data_is_read(name, params, message):
    with pytest.raises(HeadError, match=re.escape(message)):
        make_head(name, params)


def test_values_of_a_given_estimator_are_checked_too():
    with pytest.raises(
        HeadError, match="logisticregression cannot be fitted; scikit-learn reports: \"The 'C' parameter"
    ):
        make_head(LogisticRegression(C="abc"))
    with pytest.raises(HeadError, match="pipeline cannot be fitted; scikit-learn reports: \"The 'C' parameter"):
        make_head(make_pipeline(StandardScaler(), LogisticRegression(C=-1.0)))


@pytest.mark.parametrize("threshold", [2.0, 0.2, None])
def test_centroids_of_features_that_do_not_vary_within_the_classes(threshold):
    """scikit-learn divides 0 by 0 for such features, which occur with nearly equal images."""
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    X = np.zeros((24, 12), np.float32)
    X[:, 0], X[:, 1] = 9 * y, rng.normal(size=24)
    with quiet_single_threads():
        head = ShrunkenCentroid(shrink_threshold=threshold, priors="empirical").fit(X, y)
    assert np.isfinite(head.centroids_).all()
    assert np.isfinite(head.deviations_).all()
    assert head.score(X, y) == 1


@pytest.mark.parametrize("threshold", [2.0, 0.2, None])
def test_centroids_are_those_of_scikit_learn(threshold):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)).astype(np.float32), np.arange(40) % 3
    ours = ShrunkenCentroid(shrink_threshold=threshold, priors="empirical").fit(X, y)
    theirs = NearestCentroid(shrink_threshold=threshold, priors="empirical").fit(X, y)
    np.testing.assert_array_equal(ours.centroids_, theirs.centroids_)
    np.testing.assert_array_equal(ours.decision_function(X), theirs.decision_function(X))
