"""Shared computation between the candidates of a grid does not change their scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from test_evaluate import training_set

from featx.classifier import softmax
from featx.errors import HeadError
from featx.evaluation.procedures import (
    FitCounter,
    TrainingSet,
    calibrate,
    cross_validate,
    learning_curve,
    quiet_single_threads,
    tune_and_fit,
    tuning,
)
from featx.evaluation.procedures.folds import make_folds
from featx.evaluation.procedures.search import Split, rotated, shares_work, try_candidates
from featx.evaluation.procedures.tuning import fit_head
from featx.fitting.rejecting import learn_rejector
from featx.heads import HEAD_NAMES, make_head, scores_of
from featx.targets import SingleLabel


def exact_split_name(n: int = 90, n_classes: int = 3, d: int = 20, signal: float = 0.4) -> Split:
    data = training_set(n, n_classes, d, signal)
    train, test = make_folds(data.y, data.groups, data.classes, 3, 0).pairs[0]
    return Split(data.X, data.y, train, test, data.targets)


def separate_scores(head, params, split: Split) -> np.ndarray:
    estimator = fit_head(head, params, split.X[split.train], split.y[split.train])
    return scores_of(estimator, split.X[split.test], split.targets.n_classes)


def centred(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X_train, X_test = rng.normal(size=(n, d)), rng.normal(size=(40, d))
    return X_train - X_train.mean(axis=0), X_test - X_train.mean(axis=0)


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(tol=1e-10, max_iter=5000), RidgeClassifier(0.1), SVC(kernel="linear", tol=1e-9)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_rotated_samples_have_equal_decision_values(estimator):
    X_train, X_test = centred(30, 200)
    y = np.arange(30) % 2
    R_train, R_test = rotated(X_train, X_test)
    assert (R_train.shape, R_test.shape) == ((30, 30), (40, 30))
    np.testing.assert_allclose(R_train @ R_train.T, X_train @ X_train.T, atol=1e-10)
    np.testing.assert_allclose(R_test @ R_train.T, X_test @ X_train.T, atol=1e-10)
    in_full = estimator.fit(X_train, y).decision_function(X_test)
    np.testing.assert_allclose(estimator.fit(R_train, y).decision_function(R_test), in_full, atol=1e-7)


def test_samples_are_not_rotated_if_they_are_as_many_as_features():
    X_train, X_test = centred(50, 60)
    assert rotated(X_train, X_test)[0] is X_train


@pytest.mark.parametrize(("d", "n_classes"), [(20, 2), (20, 3), (400, 2), (400, 3)])
@pytest.mark.parametrize("name", HEAD_NAMES)
def test_shared_computation_gives_the_scores_of_separate_fits(name, d, n_classes):
    params = {"tol": 1e-8, "max_iter": 10_000} if name == "logreg" else None
    if name == "mlp":
        params = {"hidden_layer_sizes": (8,), "max_iter": 30}
    head, split = make_head(name, params), exact_split_name(90, n_classes, d)
    candidates = head.candidates(len(split.train))
    with quiet_single_threads():
        tried = list(try_candidates(head, candidates, split))
        for one, values in zip(tried, candidates, strict=True):
            if name == "logreg" and values["head__C"] > 1:
                continue  # the loss is flat in float32, so that the result depends on the start of the fit
            np.testing.assert_allclose(one.scores, separate_scores(head, values, split), atol=0.01, rtol=0.01)


@pytest.mark.parametrize("name", ["svm", "svm-rbf", "knn", "centroid"])
def test_kernels_and_neighbours_are_the_same_up_to_rounding(name):
    head, split = make_head(name), exact_split_name(120, 4, 50)
    candidates = head.candidates(len(split.train))
    with quiet_single_threads():
        for one, values in zip(try_candidates(head, candidates, split), candidates, strict=True):
            np.testing.assert_allclose(one.scores, separate_scores(head, values, split), atol=1e-9)


@pytest.mark.parametrize("gamma", ["scale", "auto", 0.02])
@pytest.mark.parametrize("kernel", ["rbf", "poly", "sigmoid"])
def test_any_kernel_and_gamma(kernel, gamma):
    head, split = make_head("svm-rbf", {"kernel": kernel, "gamma": gamma, "C": [0.1, 10.0]}), exact_split_name()
    with quiet_single_threads():
        for one, values in zip(try_candidates(head, head.candidates(60), split), head.candidates(60), strict=True):
            np.testing.assert_allclose(one.scores, separate_scores(head, values, split), atol=1e-7)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("name", ["logreg", "svm", "ridge", "mlp"])
def test_class_weights_reach_every_candidate(name, class_weight):
    params = {"hidden_layer_sizes": (8,), "max_iter": 30} if name == "mlp" else {}
    if name == "logreg":
        params = {"C": [0.01, 0.1], "tol": 1e-7}
    head, split = make_head(name, params, class_weight), exact_split_name(90, 2)
    split.y[split.train[:20]] = 1
    with quiet_single_threads():
        for one, values in zip(try_candidates(head, head.candidates(60), split), head.candidates(60), strict=True):
            np.testing.assert_allclose(one.scores, separate_scores(head, values, split), atol=1e-3)


def test_with_other_parameters_each_candidate_is_fitted_separately():
    two = make_head("svm", {"C": [0.1, 1.0], "kernel": ["linear", "rbf"]})
    split = exact_split_name()
    with quiet_single_threads():
        tried = list(try_candidates(two, two.candidates(60), split))
        assert len(tried) == 4
        for one, values in zip(tried, two.candidates(60), strict=True):
            np.testing.assert_allclose(one.scores, separate_scores(two, values, split), atol=1e-9)
    given = make_head(make_pipeline(LogisticRegression()))
    assert not shares_work(given, [{"logisticregression__C": 1.0}])


@pytest.mark.parametrize("name", [name for name in HEAD_NAMES if name != "mlp"])
def test_the_choice_is_that_of_separate_fits(name, monkeypatch):
    data = training_set(150, 3, 400, signal=0.25)
    head = make_head(name, {"tol": 1e-7, "C": [1e-3, 1e-2, 1e-1, 1.0]} if name == "logreg" else None)
    with quiet_single_threads():
        shared = tune_and_fit(head, data, 0)
        monkeypatch.setattr(tuning, "shares_work", lambda head, candidates: False)
        apart = tune_and_fit(head, data, 0)
    assert shared.params == apart.params
    np.testing.assert_array_equal(
        scores_of(shared.estimator, data.X, 3), scores_of(apart.estimator, data.X, 3)
    )  # the final fit shares nothing


def test_on_many_samples_the_first_decrease_ends_the_search(monkeypatch):
    data = training_set(300, 3, 20, signal=0.3)
    head = make_head("logreg")
    with quiet_single_threads():
        tallies = FitCounter(), FitCounter()
        every = tune_and_fit(head, data, 0, tallies[0])
        monkeypatch.setattr(tuning, "_MOST_FOR_ALL", 299)
        ended = tune_and_fit(head, data, 0, tallies[1])
    n_tries = [tally.to_dict()["tuning"]["n"] for tally in tallies]
    assert n_tries[0] == 27
    assert n_tries[1] < 27
    assert ended.params == every.params


def noisy(n: int = 600) -> TrainingSet:
    """Return samples with two features and overlapping classes, which many neighbours predict best."""
    y = np.arange(n) % 2
    X = np.random.default_rng(0).normal(0, 1, (n, 2)) + 0.3 * y[:, None]
    return TrainingSet(X.astype(np.float32), y, np.arange(n), SingleLabel(("a", "b")))


def test_values_beyond_an_end_are_tried_while_the_accuracy_increases():
    data, tally = noisy(), FitCounter()
    with quiet_single_threads():
        tuned = tune_and_fit(make_head("knn"), data, 0, tally)
        every = make_head("knn", {"n_neighbors": [31, 15, 7, 5, 3, 1, 63, 127]})
        best = tune_and_fit(every, data, 0).params["head__n_neighbors"]
    assert best in (63, 127)
    assert tuned.params == {"head__n_neighbors": best}
    assert tally.to_dict()["tuning"]["n"] == 3 * (6 + 1 + (best == 127) + (best == 63))
    beyond = "n_neighbors=63 lies beyond the usual values, which end at 31: the accuracy of the tuning still increased"
    last = "n_neighbors=127 is the largest value that is tried, and the accuracy of the tuning still increases"
    (note,) = tuned.notes
    assert note.startswith(beyond if best == 63 else last)


def test_values_that_the_user_gave_are_not_extended_and_their_end_is_reported():
    with quiet_single_threads():
        tuned = tune_and_fit(make_head("knn", {"n_neighbors": [1, 3, 5]}), noisy(), 0)
        inside = tune_and_fit(make_head("knn", {"n_neighbors": [1, 63, 599]}), noisy(), 0)
    assert tuned.params == {"head__n_neighbors": 5}
    assert tuned.notes == (
        "n_neighbors=5 is the largest of the given values, and has the highest accuracy of the tuning; give larger "
        "values too",
    )
    assert inside.params == {"head__n_neighbors": 63}
    assert inside.notes == ()


def test_an_end_that_is_only_as_accurate_as_the_next_value_is_no_reason_to_go_on():
    tally = FitCounter()
    with quiet_single_threads():
        tuned = tune_and_fit(make_head("logreg"), training_set(60, 2, 5, signal=20.0), 0, tally)
    assert tuned.params == {"head__C": 1e-4}
    assert tally.to_dict()["tuning"]["n"] == 27
    assert tuned.notes == ()


def test_fits_of_the_search_that_do_not_converge_are_counted():
    data = training_set(90, 3)
    tally, head = FitCounter(), make_head("logreg", {"max_iter": 2})
    with quiet_single_threads():
        tuned = tune_and_fit(head, data, 0, tally, "end")
    assert not tuned.converged
    # For the first candidates of the path, two iterations are enough.
    assert tally.to_dict() == {"end": {"n": 1, "n_not_converged": 1}, "tuning": {"n": 27, "n_not_converged": 21}}


def test_an_invalid_candidate_is_an_error():
    split = exact_split_name()
    head = replace(make_head("logreg"), grid={"head__C": (-1.0, 1.0)})  # make_head would reject it
    with pytest.raises(HeadError, match="logreg with C=-1.0 cannot be fitted; .*must be a float"):
        list(try_candidates(head, head.candidates(60), split))


@pytest.mark.parametrize("name", ["logreg", "svm-rbf", "ridge", "knn"])
def test_results_do_not_depend_on_the_number_of_workers(name):
    data = training_set(120, 3, 300, signal=0.3)
    with quiet_single_threads():
        tuned = [tune_and_fit(make_head(name), data, 0, n_workers=workers) for workers in (1, 3)]
    assert tuned[0].params == tuned[1].params
    np.testing.assert_array_equal(*(scores_of(one.estimator, data.X, 3) for one in tuned))
    summaries = [cross_validate(make_head(name), data, 4, 1, 0, workers).summary for workers in (1, 4)]
    assert summaries[0] == summaries[1]


@pytest.mark.parametrize(("name", "n_fits"), [("logreg", 9 * 3 + 1), ("mlp", 4 + 1)])
@pytest.mark.parametrize("n_workers", [1, 2])
def test_progress_of_tuning(name, n_fits, n_workers):
    data, reported = training_set(n=40), []
    options = {"n_workers": n_workers, "progress": lambda *done: reported.append(done)}
    with quiet_single_threads():
        tune_and_fit(make_head(name), data, 0, **options)
    assert reported == [(n, n_fits) for n in range(1, n_fits)]


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("name", HEAD_NAMES)
def test_bits_of_an_evaluation_do_not_depend_on_the_number_of_workers(name, is_large, monkeypatch):
    """Neither the number of threads nor the order in which jobs end changes a bit, a choice or a count."""
    if is_large:  # the search ends at the first decrease, so that its candidates are jobs of several steps
        monkeypatch.setattr(tuning, "_MOST_FOR_ALL", 99)
    data = training_set(150, 3, 60, signal=0.3)
    head = make_head(name, {"hidden_layer_sizes": (8,), "max_iter": 30} if name == "mlp" else None)

    def evaluated(n_workers: int) -> dict[str, object]:
        tally = FitCounter()
        crossed = cross_validate(head, data, 4, 2, 0, n_workers, tally=tally)
        params = head.candidates(100)[-1]
        calibrated = calibrate(head, params, data, crossed, n_workers, tally)
        learnt = learning_curve(head, data, crossed, 0, n_workers, tally)
        rejector = learn_rejector(data, crossed, softmax(calibrated.as_final), 0, n_workers)
        with quiet_single_threads():
            tuned = tune_and_fit(head, data, 0, tally, "final", n_workers)
        return {
            "scores": crossed.scores.tobytes(),
            "summary": crossed.summary,
            "params": crossed.params,
            "calibrated": (calibrated.temperature, calibrated.scores.tobytes(), calibrated.as_final.tobytes()),
            "learning": learnt,
            "rejector": (rejector.novelties.tobytes(), rejector.subspace.novelty(data.X).tobytes()),
            "tuned": (tuned.params, scores_of(tuned.estimator, data.X, 3).tobytes()),
            "fits": tally.to_dict(),
            "notes": tally.notes(),
        }

    alone = evaluated(1)
    for n_workers in (2, 7):
        assert evaluated(n_workers) == alone


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize(("n", "n_classes", "d"), [(90, 2, 20), (90, 8, 20), (60, 3, 300), (90, 8, 300)])
def test_ridge_with_shared_normal_equations_is_the_same_up_to_rounding(n, n_classes, d, class_weight):
    head, split = make_head("ridge", {"alpha": [1e4, 1.0, 0.01]}, class_weight), exact_split_name(n, n_classes, d)
    split = replace(split, X=split.X.astype(np.float64))  # not scaled in float32 when a head is applied
    split.y[split.train[:10]] = 1
    candidates = head.candidates(len(split.train))
    with quiet_single_threads():
        for one, values in zip(try_candidates(head, candidates, split), candidates, strict=True):
            np.testing.assert_allclose(one.scores, separate_scores(head, values, split), atol=1e-8)


def test_ridge_without_an_intercept():
    head, split = make_head("ridge", {"alpha": [1.0, 0.01], "fit_intercept": False}), exact_split_name(90, 3, 20)
    split = replace(split, X=split.X.astype(np.float64))
    with quiet_single_threads():
        for one, values in zip(try_candidates(head, head.candidates(60), split), head.candidates(60), strict=True):
            np.testing.assert_allclose(one.scores, separate_scores(head, values, split), atol=1e-8)
