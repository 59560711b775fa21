"""Heads on features that are read from the store in blocks."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from test_evaluate import training_set

from featx import blocks as blocks_module
from featx.blocks import FeatureBlocks, in_memory, places_in_store
from featx.classifier import classifier as classifier_module
from featx.classifier import learn_subspace
from featx.comparison import compare
from featx.contrast import are_equal
from featx.errors import DamagedStoreError, EvaluationError
from featx.evaluation.procedures import (
    FitCounter,
    TrainingSet,
    cross_validate,
    fit_head,
    plan_memory,
    quiet_single_threads,
    tune_and_fit,
    tuning,
)
from featx.fitting import fit
from featx.heads import BlockFits, for_blocks, for_large, large, logistic, make_head, scores_of
from featx.model import Classifier
from featx.runtime import Runtime
from featx.scaling import CommonScaler, scalers_of_blocks
from featx.spec import FeatureSpec
from featx.store import FeatureStore, Rows, keys_of
from featx.table import Extraction, FeatureTable, Sample

SPEC = FeatureSpec("quadrants", "ab" * 32, "none", 32, "1-000000000000", "openvino", "float32")
HEADS = ("logreg", "svm", "mlp")


def hashes(n: int) -> np.ndarray:
    return np.frombuffer(b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n)), np.uint8).reshape(-1, 32)


def in_blocks(data: TrainingSet, n_workers: int = 1, rows: int = 16) -> TrainingSet:
    """Return a training set whose features are read in blocks of a few rows."""
    n, d = data.X.shape
    sources = [(lambda at, X=X: X[at]) for X in (data.X, *(data.views or ()))]
    X = FeatureBlocks(sources, places_in_store(hashes(n)), d, np.arange(n), n_workers, 4 * d * rows)
    views = None if data.views is None else [X.view(number) for number in range(1, 1 + len(data.views))]
    return replace(data, X=X, views=views)


def stored_table(cache: Path, n: int = 240, n_classes: int = 3, d: int = 40, signal: float = 1.0) -> FeatureTable:
    """Return a table with features in a store; a fifth of the samples is in the test part."""
    data, contents = training_set(n, n_classes, d, signal), hashes(n)
    store, keys = FeatureStore(cache, SPEC), keys_of(contents)
    probes = np.arange(10 * d, dtype=np.float32).reshape(10, d)
    signatures = np.random.default_rng(0).integers(0, 256, (n, 64, 64)).astype(np.uint8)
    with store.writer(print) as writer:
        writer.begin(probes, {"engine": "test 1"})
        writer.append(Rows(keys, signatures, data.X))
        writer.finish()
    names = ["".join("abcdefghij"[int(digit)] for digit in str(i)) for i in range(n)]
    samples = [
        Sample(f"{name}.png", f"class {y}", split="test" if i % 5 == 4 else "train")
        for i, (name, y) in enumerate(zip(names, data.y.tolist(), strict=True))
    ]
    extraction = Extraction(
        SPEC.id, store.path, "quadrants", "openvino", "", "float32", d, n, 0, n, 0, (), (), None, {}, 0.0
    )
    stored = store.snapshot()
    return FeatureTable(
        "set",
        SPEC,
        samples,
        contents,
        lambda view: lambda at: stored.rows(keys[at]).features,
        lambda at: stored.rows(keys[at]).signatures,
        probes,
        extraction,
    )


@pytest.mark.parametrize("n_workers", [1, 3])
def test_blocks_have_the_rows_of_the_array_in_the_order_of_the_store(n_workers):
    data = training_set(100, 3, 7)
    X = in_blocks(data, n_workers).X
    assert (len(X), X.shape) == (100, (100, 7))
    np.testing.assert_array_equal(X.to_array(), data.X)
    np.testing.assert_array_equal(X.apply(lambda block: block.sum(axis=1)), data.X.sum(axis=1))
    parts = list(X.map(lambda at, block: at))
    assert list(map(len, parts)) == [16] * 6 + [4]
    contents = [row.tobytes() for row in hashes(100)]
    assert np.concatenate(parts).tolist() == sorted(range(100), key=lambda i: contents[i])
    assert [len(at) for at in X.map(lambda at, block: at, n_values=7)] == [8] * 12 + [4]
    shuffled = list(X.map(lambda at, block: at, np.random.default_rng(0)))
    assert sorted(map(tuple, shuffled)) == sorted(map(tuple, parts)) != list(map(tuple, shuffled))


def test_a_selection_reads_only_its_own_rows():
    read: list[int] = []

    def source(at: np.ndarray) -> np.ndarray:
        read.extend(at.tolist())
        return np.repeat(at[:, np.newaxis], 2, axis=1).astype(np.float32)

    X = FeatureBlocks([source], places_in_store(hashes(50)), 2, np.arange(50), 1, 8 * 10)
    some = X[np.array([7, 3, 40])][np.array([True, False, True])]
    assert read == []
    np.testing.assert_array_equal(some.to_array(), [[7, 7], [40, 40]])
    np.testing.assert_array_equal(in_memory(X, slice(2)), [[0, 0], [1, 1]])
    assert sorted(read) == [0, 1, 7, 40]


def test_views_follow_the_images():
    data = training_set(30, 3, 4)
    data = replace(data, views=[data.X + 1, data.X + 2])
    lazy = in_blocks(data, rows=8)
    at = np.array([3, 1, 20])
    for one, other in zip(lazy.rows(at), data.rows(at), strict=True):
        np.testing.assert_array_equal(in_memory(one, slice(None)), other)
    np.testing.assert_array_equal(lazy.part(at).rows()[0].to_array(), data.part(at).rows()[0])


def test_equal_features():
    data = training_set(40, 2, 3)
    assert not are_equal(in_blocks(data).X)
    assert are_equal(in_blocks(replace(data, X=np.ones_like(data.X))).X)
    assert not are_equal(in_blocks(data).X[:1])


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_the_scalers_are_those_of_separate_fits(offset):
    data = training_set(200, 2, 9)
    data = replace(data, X=data.X + np.float32(offset))
    inside = np.random.default_rng(0).random((200, 3)) < 0.6
    for number, scaler in enumerate(scalers_of_blocks(in_blocks(data).X, inside)):
        expected = CommonScaler().fit(data.X[inside[:, number]])
        np.testing.assert_allclose(scaler.mean_, expected.mean_, rtol=1e-7, atol=1e-7)
        assert scaler.scale_ == pytest.approx(expected.scale_, rel=1e-6)
        assert scaler.n_features_in_ == 9
    assert scalers_of_blocks(in_blocks(replace(data, X=np.ones_like(data.X))).X, inside)[0].scale_ == 1


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("has_covariances", [True, False])
def test_logistic_regression_has_the_optimum_of_scikit_learn(n_classes, class_weight, has_covariances, monkeypatch):
    if not has_covariances:
        monkeypatch.setattr(logistic, "_MOST_COVARIANCES", 0)
    data = training_set(300, n_classes, 15, signal=0.4)
    y = np.where(np.arange(300) < 60, 0, data.y)
    head = make_head("logreg", {"tol": 1e-6, "C": [0.01, 1.0]}, class_weight)
    trains = [np.arange(200), np.arange(50, 300)]
    fits = BlockFits(head, in_blocks(data).X, y, trains)
    for params, fitted in zip(head.candidates(200), fits.fit(head.candidates(200)), strict=True):
        for train, (estimator, has_converged) in zip(trains, fitted, strict=True):
            expected = clone(head.estimator).set_params(**params, head__tol=1e-8)
            expected.fit(data.X[train].astype(np.float64), y[train])
            assert has_converged
            last, theirs = estimator[-1], expected[-1]
            np.testing.assert_allclose(last.coef_, theirs.coef_, atol=2e-4)
            np.testing.assert_allclose(last.intercept_, theirs.intercept_, atol=2e-4)
            assert (last.coef_.dtype, last.coef_.shape) == (np.float32, theirs.coef_.shape)


def test_a_limit_of_iterations_is_reported():
    data = training_set(90, 3)
    tally = FitCounter()
    fit_head(make_head("logreg", {"max_iter": 2, "C": 100.0}), {}, in_blocks(data).X, data.y, tally, "end")
    assert tally.to_dict() == {"end": {"n": 1, "n_not_converged": 1}}


@pytest.mark.parametrize("name", HEADS)
def test_the_rows_outside_a_training_part_do_not_change_its_fit(name):
    data, train = training_set(200, 3, 8), np.arange(0, 200, 2)
    head, _ = for_blocks(make_head(name), 200, 3)
    params = head.candidates(100)[1]
    changed = data.X.copy()
    changed[1::2] = 1e6
    with quiet_single_threads():
        fitted = [
            next(BlockFits(head, in_blocks(replace(data, X=X)).X, data.y, [train]).fit([params]))[0].estimator
            for X in (data.X, changed)
        ]
    np.testing.assert_array_equal(*(scores_of(one, data.X, 3) for one in fitted))
    np.testing.assert_allclose(fitted[0][0].mean_, data.X[train].mean(axis=0, dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", HEADS)
def test_a_tuned_head_is_as_accurate_as_in_memory(name, n_classes, class_weight, monkeypatch):
    monkeypatch.setattr(large, "BATCH", 32)
    data, other = training_set(600, n_classes, 20, 0.5), training_set(600, n_classes, 20, 0.5, seed=0)
    rng = np.random.default_rng(1)
    other = replace(other, X=other.X + rng.normal(0, 0.3, other.X.shape).astype(np.float32))
    head = make_head(name, None, class_weight)
    lazy, _ = for_blocks(head, 600, n_classes)
    with quiet_single_threads():
        here = tune_and_fit(for_large(head, 20_000, n_classes)[0], data, 0)
        there = tune_and_fit(lazy, in_blocks(data, rows=150), 0)
        accuracies = [
            float((scores_of(t.estimator, other.X, n_classes).argmax(1) == other.y).mean()) for t in (here, there)
        ]
    assert there.was_tuned
    assert accuracies[1] == pytest.approx(accuracies[0], abs=0.002 if name == "logreg" else 0.03)
    if name == "logreg":
        assert there.params == here.params


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_bits_do_not_depend_on_the_number_of_threads(name, is_large, monkeypatch):
    if is_large:
        monkeypatch.setattr(tuning, "_MOST_FOR_ALL", 99)
    data = training_set(300, 3, 10, signal=0.4)
    head, _ = for_blocks(make_head(name), 300, 3)
    results = [cross_validate(head, in_blocks(data, n_workers, 75), 3, 1, 0) for n_workers in (1, 4)]
    assert results[0].summary == results[1].summary
    np.testing.assert_array_equal(results[0].scores, results[1].scores)


def test_the_size_of_blocks_changes_logistic_regression_only_by_rounding():
    data, head = training_set(300, 3, 10, signal=0.4), make_head("logreg", {"tol": 1e-6})
    with quiet_single_threads():
        tuned = [tune_and_fit(head, in_blocks(data, rows=rows), 0) for rows in (7, 64, 1000)]
    assert tuned[0].params == tuned[1].params == tuned[2].params
    scores = [scores_of(one.estimator, data.X, 3) for one in tuned]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-3)
    np.testing.assert_allclose(scores[2], scores[0], atol=1e-3)


def test_views_are_training_rows_in_blocks_too():
    data = training_set(120, 3, 8, signal=0.4)
    noise = np.random.default_rng(2).normal(0, 0.3, (2, *data.X.shape)).astype(np.float32)
    data = replace(data, views=[data.X + one for one in noise])
    head = make_head("logreg", {"tol": 1e-6})
    results = [cross_validate(head, one, 3, 1, 0) for one in (data, in_blocks(data))]
    assert results[0].params == results[1].params
    np.testing.assert_allclose(results[1].scores, results[0].scores, atol=0.02)


def test_the_subspace_of_novelties_is_that_of_features_in_memory():
    data = training_set(150, 3, 60)
    one, other = learn_subspace(data.X, data.y, 3), learn_subspace(in_blocks(data).X, data.y, 3)
    np.testing.assert_allclose(other.means, one.means, atol=1e-6)
    np.testing.assert_allclose(other.novelty(in_blocks(data).X), one.novelty(data.X), rtol=1e-3)


@pytest.mark.parametrize("name", HEADS)
def test_a_fit_in_blocks_has_the_same_report(name, tmp_path, monkeypatch):
    monkeypatch.setattr(large, "BATCH", 16)  # each epoch has more than one step
    table, notices = stored_table(tmp_path), []
    here = fit(table, name, cv=3, runtime=Runtime(workers=2))
    there = fit(table, name, cv=3, runtime=Runtime(workers=2, memory=1000, notice=notices.append))
    one, other = here.evaluation, there.evaluation
    for field in (
        "classes",
        "n_images",
        "n_groups",
        "groups",
        "baseline",
        "baseline_class",
        "calibrated_on",
        "cv_reason",
    ):
        assert getattr(one, field) == getattr(other, field)
    assert (one.cv.splitter, one.cv.n_folds) == (other.cv.splitter, other.cv.n_folds)
    assert other.cv.accuracy.mean == pytest.approx(one.cv.accuracy.mean, abs=0.001 if name == "logreg" else 0.08)
    assert other.ungrouped_accuracy == other.cv.accuracy
    assert other.test.as_given == pytest.approx(one.test.as_given, abs=0.05)
    # On the smallest part, a tenth of the images cannot have every class, as early stopping needs.
    assert [point.n for point in other.learning.points] == [point.n for point in one.learning.points][name == "mlp" :]
    assert other.reliability.brier == pytest.approx(one.reliability.brier, abs=0.003 if name == "logreg" else 0.1)
    np.testing.assert_allclose(there.rejector.novelties, here.rejector.novelties, rtol=1e-3)
    note = (
        f"fitting {name} on the features of 240 images in memory needs about 0.00019 GB, and 1e-06 GB are available "
        "for it, so the features are read from the cache in blocks"
    )
    assert note in other.to_dict()["notes"]
    assert note in notices
    assert not any("read from the cache" in text for text in one.notes)
    assert there.dense_head is not None
    there.save(tmp_path / "model.featx")
    np.testing.assert_array_equal(
        Classifier.load(tmp_path / "model.featx").predict_features(table).probabilities,
        there.predict_features(table).probabilities,
    )
    assert there.predict_features(table).labels == tuple(table.y) or name != "logreg"


def test_a_fit_without_cross_validation_is_calibrated_on_the_validation_part_in_blocks(tmp_path):
    table = stored_table(tmp_path)
    samples = [
        replace(one, split="val") if one.split == "test" else replace(one, group=one.label) for one in table.samples
    ]
    table = replace(table, samples=samples)
    here, there = (fit(table, params={"C": 0.1}, runtime=Runtime(memory=memory)) for memory in (None, 1))
    assert here.evaluation.calibrated_on == there.evaluation.calibrated_on == "val"
    assert there.evaluation.val == here.evaluation.val
    assert there.temperature == pytest.approx(here.temperature, rel=0.01)
    np.testing.assert_allclose(there.rejector.novelties, here.rejector.novelties, rtol=1e-3)


def test_heads_that_do_not_fit_into_memory(tmp_path):
    table = stored_table(tmp_path)
    runtime = Runtime(workers=1, memory=100_000)
    refused = [
        ("knn", {}),
        (KNeighborsClassifier(), {}),
        (LogisticRegression(), {}),
        ("svm", {"params": {"kernel": "rbf"}}),
        ("svm", {"params": {"tol": 1e-5}}),
        ("logreg", {"params": {"solver": "saga"}}),
        ("mlp", {"params": {"solver": "lbfgs"}}),
    ]
    for head, options in refused:
        with pytest.raises(
            EvaluationError,
            match="on the features of 240 images in memory needs about 0.00019 GB, and 0.0001 GB are available for it. "
            "Choose one of logreg, svm and mlp, which read the features from the cache in blocks",
        ):
            fit(table, head, runtime=runtime, **options)
    assert fit(table, "knn", cv=3, runtime=replace(runtime, memory=200_000)).evaluation.cv.n_folds == 3


def test_the_memory_of_a_fit_grows_with_folds_views_and_numbers(tmp_path):
    table, head = stored_table(tmp_path), make_head("logreg")
    size = 240 * 40 * 4
    for workers, cv, views, name, arrays in (
        (1, 5, 0, "logreg", 5),
        (4, 5, 0, "logreg", 8),
        (64, 5, 0, "logreg", 17),
        (64, 2, 0, "logreg", 8),
        (1, 5, 2, "logreg", 15),
        (1, 5, 0, "ridge", 8),
    ):
        head = make_head(name)
        assert not plan_memory(head, table, cv, views, Runtime(workers=workers, memory=arrays * size)).in_blocks
        less = Runtime(workers=workers, memory=arrays * size - 1)
        if name == "logreg":
            assert plan_memory(head, table, cv, views, less).in_blocks
        else:
            with pytest.raises(EvaluationError, match="fitting ridge on"):
                plan_memory(head, table, cv, views, less)
    assert not plan_memory(head, table, 5, 0, Runtime()).in_blocks  # this machine has more memory


def test_heads_are_compared_in_blocks(fake, images):
    rows = compare(images, ["quadrants"], ["logreg", "svm"], cv=3, runtime=replace(fake.runtime, memory=1000))
    assert [row.accuracy.mean for row in rows.rows] == [1.0, 1.0]
    assert sum("so the features are read from the cache in blocks" in note for note in rows.notes) == 2


def test_the_features_of_many_images_are_predicted_in_blocks(tmp_path, monkeypatch):
    table = stored_table(tmp_path)
    model = fit(table, cv=3, runtime=Runtime(workers=1))
    here = model.predict_features(table, reject_rate=0.1)
    monkeypatch.setattr(classifier_module, "CHUNK", 100)
    monkeypatch.setattr(FeatureTable, "X", property(lambda self: pytest.fail("all features were read")))
    there = model.predict_features(table, reject_rate=0.1)
    np.testing.assert_allclose(there.probabilities, here.probabilities, atol=1e-12)
    assert there.labels == here.labels
    assert "" in there.labels


@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize("name", HEADS)
def test_a_store_that_loses_rows_during_training_is_an_error(name, n_workers, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 1024)
    table, n_read = stored_table(tmp_path), []

    def opened(view: int):
        read = table.opened(view)

        def losing(at: np.ndarray) -> np.ndarray:
            n_read.append(len(at))
            if len(n_read) > 150:
                raise DamagedStoreError("3 rows are missing from set.h5; extract the data set again")
            return read(at)

        return losing

    with pytest.raises(DamagedStoreError, match="^3 rows are missing from set.h5; extract the data set again$"):
        fit(replace(table, opened=opened), name, runtime=Runtime(workers=n_workers, memory=1))
    assert not [one for one in threading.enumerate() if one.name.startswith(("featx-blocks", "featx-updates"))]


@pytest.mark.skipif(os.name == "nt", reason="no signals to the own process")
@pytest.mark.parametrize("name", HEADS)
def test_an_interrupt_ends_the_threads(name, tmp_path, interruptible):
    table, n_read = stored_table(tmp_path), []

    def opened(view: int):
        read = table.opened(view)

        def interrupting(at: np.ndarray) -> np.ndarray:
            n_read.append(len(at))
            if len(n_read) == 20:
                os.kill(os.getpid(), signal.SIGINT)
            return read(at)

        return interrupting

    with pytest.raises(KeyboardInterrupt):
        fit(replace(table, opened=opened), name, runtime=Runtime(workers=3, memory=1))
    assert not [one for one in threading.enumerate() if one.name.startswith(("featx-blocks", "featx-updates"))]
