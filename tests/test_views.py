"""Training with augmented views: on the side of their image in every split, never scored, with a measured effect."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_classes, save_image
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from test_classifier import rewrite
from typer.testing import CliRunner

from featx.cli.app import app
from featx.errors import DatasetError, EvaluationError, OptionError, SpecError
from featx.evaluation import Evaluation, ViewsGain
from featx.evaluation.procedures import (
    TrainingSet,
    calibrate,
    cross_validate,
    learning_curve,
    tune_and_fit,
)
from featx.evaluation.procedures.folds import make_folds
from featx.evaluation.procedures.intervals import difference_over_folds
from featx.extraction import extract
from featx.fitting import fit
from featx.heads import HEAD_NAMES, make_head
from featx.lookup import latest
from featx.prediction import load
from featx.rendering import evaluation_lines
from featx.reports import report
from featx.targets import SingleLabel


class Recorder(ClassifierMixin, BaseEstimator):
    """Predict class 0, and record the first feature of the training and test rows."""

    calls: list[tuple[list[float], list[float]]] = []  # noqa: RUF012

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self._train = X[:, 0].tolist()
        return self

    def predict(self, X):
        Recorder.calls.append((self._train, X[:, 0].tolist()))
        return np.zeros(len(X), int)


def marked(n: int = 60, n_views: int = 3) -> TrainingSet:
    """Return samples whose first feature is their number, with slightly larger features of views; two per group."""
    number = np.arange(n, dtype=np.float32)[:, np.newaxis]
    views = np.stack([number + view / 8 for view in range(1, n_views + 1)])
    return TrainingSet(number, np.arange(n) // 2 % 2, np.arange(n) // 2, SingleLabel(("a", "b")), views)


def random_labels(n: int = 120, n_views: int = 3) -> TrainingSet:
    """Return samples that are independent of their labels, and views that identify their sample."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 10)).astype(np.float32)
    views = X + rng.normal(0, 0.01, (n_views, n, 10)).astype(np.float32)
    return TrainingSet(X, rng.integers(0, 2, n), np.arange(n), SingleLabel(("a", "b")), views)


def with_views_as_samples(data: TrainingSet) -> TrainingSet:
    """Return views as separate samples, which would be a leak."""
    assert data.views is not None
    n = len(data.y) * (1 + len(data.views))
    X, y = data.rows()
    return TrainingSet(X, y, np.arange(n), data.targets)


@pytest.mark.parametrize("tuned", [True, False])
def test_no_view_is_a_training_row_where_its_image_is_scored(tuned):
    """In outer folds, inner folds, calibration and learning curve."""
    data = marked()
    head = make_head(Recorder(), {"C": [1.0, 2.0]} if tuned else None)
    Recorder.calls.clear()
    crossed = cross_validate(head, data, 5, 2, seed=0)
    inner = 2 * 3 if tuned else 0  # candidates on three inner folds
    assert len(Recorder.calls) == 10 * (inner + 1)
    calibrate(head, {"C": 3.0}, data, crossed)
    learning_curve(head, data, crossed, 0)
    tune_and_fit(head, data, 0)
    assert len(Recorder.calls) == 10 * (inner + 1) + 5 + 15 + inner
    for train, test in Recorder.calls:
        images = {int(value) for value in train}
        assert all(value == int(value) for value in test)  # only images are scored
        assert sorted(train) == sorted(n + view / 8 for n in images for view in range(4))  # all views of each image
        assert not {n // 2 for n in images} & {int(value) // 2 for value in test}  # no group is on both sides


def test_random_labels_score_at_chance_with_views_that_identify_their_image():
    data = random_labels()
    head = make_head("knn", {"n_neighbors": 1})
    leaking = cross_validate(head, with_views_as_samples(data), 5, 1, seed=0)
    assert leaking.summary.accuracy.mean > 0.99  # a leak
    accuracy = cross_validate(head, data, 5, 1, seed=0).summary.accuracy
    assert accuracy.low < 0.5 < accuracy.high
    assert abs(accuracy.mean - 0.5) < 0.12


def test_views_do_not_change_the_folds():
    data = marked()
    with_views = cross_validate(make_head(Recorder()), data, 5, 1, seed=3).folds
    without = make_folds(data.y, data.groups, data.classes, 5, 3)
    for one, other in zip(with_views.pairs, without.pairs, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


# A data set


@pytest.fixture
def table(fake, images):
    return extract(images, "quadrants", augment="medium", views=3, runtime=fake.runtime)


def patches(folder: Path, n: int = 80) -> Path:
    """Write images of random patches with random labels."""
    rng = np.random.default_rng(0)
    for i in range(n):
        label = "ab"[int(rng.integers(2))]
        colours = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        path = folder / label / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colours).resize((64, 64), Image.Resampling.NEAREST).save(path)
    return folder


def test_random_images_score_at_chance(fake, tmp_path):
    table = extract(patches(tmp_path / "set"), "quadrants", augment="shift=0.02", views=3, runtime=fake.runtime)
    model = fit(table, "knn", params={"n_neighbors": 1}, views=3, runtime=fake.runtime)
    accuracy = model.evaluation.cv.accuracy
    assert abs(accuracy.mean - 0.5) < 0.15
    # Each view identifies its image: the image nearest to a view is its own.
    views = table.opened(2)(np.arange(len(table)))
    distances = np.square(views[:, np.newaxis] - table.X).sum(axis=2)
    assert (distances.argmin(axis=1) == np.arange(len(table))).mean() > 0.9


def test_the_head_is_trained_on_images_and_views(fake, table):
    model = fit(table, "knn", params={"n_neighbors": 1}, views=2, runtime=fake.runtime)
    training_rows = model.estimator()[-1]._fit_X
    assert training_rows.shape == (24 * 3, 12)
    scaler = model.estimator()[0]
    everything = np.concatenate([table.opened(view)(np.arange(24)) for view in range(3)])
    np.testing.assert_array_equal(training_rows, scaler.transform(everything))
    np.testing.assert_allclose(scaler.mean_, everything.mean(axis=0, dtype=np.float64))
    assert model.evaluation.n_images == 24
    assert len(model.content_hashes) == 24


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_every_head_can_be_trained_with_views(fake, table, head):
    model = fit(table, head, views=3, cv=3, runtime=fake.runtime)
    assert model.evaluation.cv.accuracy.mean == 1.0
    assert model.evaluation.views.n == 3
    assert model.predict(table).labels == tuple(table.y)
    assert model.out_of_fold.scores.shape == (24, 2)


@pytest.mark.parametrize("head", ["logreg", "mlp", "centroid"])
def test_with_balanced_classes(fake, table, head):
    assert fit(table, head, views=1, cv=3, class_weight="balanced", runtime=fake.runtime).evaluation.views.n == 1


def test_the_effect_of_views_is_measured_on_the_same_folds(fake, tmp_path):
    data = overlapping(tmp_path / "set")
    table = extract(data, "quadrants", augment="brightness=0.3", views=2, seed=8, runtime=fake.runtime)
    without = fit(table, "knn", runtime=fake.runtime).evaluation
    found = fit(table, "knn", views=2, runtime=fake.runtime).evaluation
    effect = found.views
    assert (effect.n, effect.policy, effect.seed) == (2, "brightness=0.3", 8)
    assert effect.without == without.cv.accuracy
    assert found.cv.per_fold != without.cv.per_fold
    over_folds = difference_over_folds(found.cv.per_fold, without.cv.per_fold, 1 / 4)
    assert effect.difference.mean == pytest.approx(over_folds.mean)
    assert effect.difference.low < over_folds.mean < effect.difference.high
    assert effect.difference.mean == pytest.approx(found.cv.accuracy.mean - without.cv.accuracy.mean)
    assert without.views is None
    assert fit(table, "knn", views=2, runtime=replace(fake.runtime, workers=1)).evaluation.cv == found.cv


def overlapping(folder: Path, n: int = 80) -> Path:
    """Write a folder of two overlapping classes."""
    rng = np.random.default_rng(0)
    for i in range(n):
        grey = int(np.clip(rng.normal(100 + 35 * (i % 2), 22), 0, 255))
        save_image(folder / "ab"[i % 2] / f"{i:03}.png", (grey, grey, 255 - grey), seed=i)
    return folder


def test_without_cross_validation_the_effect_of_views_is_unknown(fake, tmp_path):
    data = make_classes(tmp_path / "set", {"blue": (30, 60, 200), "red": (200, 50, 40)}, 4)
    for path in (data / "red").iterdir():
        path.unlink()
    save_image(data / "red" / "only.png", (200, 50, 40))
    table = extract(data, "quadrants", augment="light", views=2, runtime=fake.runtime)
    found = fit(table, views=2, runtime=fake.runtime).evaluation
    assert found.cv is None
    assert found.views == ViewsGain(2, table.extraction.views.policy, 0, None, None)
    assert Evaluation.from_dict(found.to_dict()).views == found.views
    shown = [text for text in evaluation_lines(found.to_dict()) if text.startswith("views")]
    assert shown == [
        f"views      2 views for each training image ({found.views.policy}); the effect on the accuracy is unknown"
    ]


def test_held_out_parts_are_scored_without_views(fake, tmp_path):
    root = tmp_path / "set"
    for part, n in (("train", 10), ("test", 6)):
        make_classes(root / part, {"blue": (30, 60, 200), "red": (200, 50, 40)}, n)
        for path in (root / part).rglob("*.png"):
            save_image(path, (200, 50, 40) if "red" in path.name else (30, 60, 200), seed=len(part) * 100 + n)
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        save_image(path, (200, 50, 40) if "red" in path.name else (30, 60, 200), seed=number)
    table = extract(root, "quadrants", augment="light", views=2, runtime=fake.runtime)
    found = fit(table, views=2, runtime=fake.runtime).evaluation
    assert (found.n_images, found.test.n_as_given, found.test.as_given) == (20, 12, 1.0)


def test_more_views_than_there_are(fake, table):
    message = "`views=4`: set has 3 augmented views of each image; extract more with `augment` and `views`"
    with pytest.raises(EvaluationError, match=message):
        fit(table, views=4, runtime=fake.runtime)
    with pytest.raises(OptionError, match="`views=-1`: expected a number from 0 to 65,535"):
        fit(table, views=-1, runtime=fake.runtime)


def test_views_of_a_table_without_any(fake, images):
    table = extract(images, "quadrants", runtime=fake.runtime)
    with pytest.raises(EvaluationError, match="`views=2`: set has no augmented views; extract more"):
        fit(table, views=2, runtime=fake.runtime)


# Model, report, command line


def test_a_model_keeps_the_effect_of_views(fake, table, tmp_path):
    path = tmp_path / "model.featx"
    fit(table, views=2, runtime=fake.runtime).save(path)
    model = load(path)
    effect = model.evaluation.views
    assert (effect.n, effect.difference.mean, effect.without.mean) == (2, 0.0, 1.0)
    assert model.spec.augment is None
    shown = report(path)
    assert shown.to_dict()["views"] == effect.to_dict()
    assert effect.difference.low < 0 < effect.difference.high
    views = f"views      2 views for each training image ({effect.policy}): accuracy difference +0.000 ("
    assert views in str(shown)
    assert f"which may be due to chance   {line_of(effect)}" in str(shown)
    report(path, html=tmp_path / "page.html", runtime=fake.runtime)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<dt>views</dt>" in page
    assert effect.policy in page


def line_of(effect: ViewsGain) -> str:
    low, high = effect.without.low, effect.without.high
    return f"accuracy 1.000 (95 % CI {low:.3f} to {high:.3f}) without them"


def test_a_model_without_an_entry_for_views(fake, table, tmp_path):
    path = tmp_path / "model.featx"
    model = fit(table, runtime=fake.runtime)
    model.save(path)
    header = json.loads(archive_member(path, "model.json"))
    assert header["evaluation"].pop("views") is None
    rewrite(path, "model.json", json.dumps(header).encode())
    expected = model.evaluation
    assert replace(load(path).evaluation, seconds=0.0) == replace(expected, seconds=0.0)
    assert expected.views is None


def archive_member(path: Path, name: str) -> bytes:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ((0.05, 0.01, 0.09), "+0.050 (95 % CI +0.010 to +0.090), which is better"),
        ((-0.05, -0.09, -0.01), "-0.050 (95 % CI -0.090 to -0.010), which is worse"),
        ((0.05, -0.01, 0.11), "+0.050 (95 % CI -0.010 to +0.110), which may be due to chance"),
    ],
)
def test_whether_views_help_is_reported(fake, table, difference, expected):
    evaluation = fit(table, "centroid", views=1, runtime=fake.runtime).evaluation.to_dict()
    names = ("mean", "low", "high")
    evaluation["views"]["difference"] = dict(zip(names, difference, strict=True))
    evaluation["views"]["without"]["accuracy"] = dict(zip(names, (0.8, 0.7, 0.9), strict=True))
    shown = "\n".join(evaluation_lines(evaluation))
    assert f": accuracy difference {expected}   accuracy 0.800 (95 % CI 0.700 to 0.900) without them" in shown
    assert "views      1 view for each training image (" in shown


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def workplace(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_commands(workplace, images, fake):
    sheet = workplace / "sheet.png"
    words = ("extract", images, "--backbone", "quadrants", "--augment", "tutorial", "--views", 2)
    output = run(*words, "--preview", sheet)
    assert "views      2 for each training image (flip=horizontal,shear=0.2,zoom=0.2): 0 cached, 48 computed" in output
    assert f"preview    {sheet}" in output
    assert output.rstrip().endswith("next       featx fit --head logreg --views 2")
    assert Image.open(sheet).size == (3 * 38 + 6, 8 * 54 + 6)
    assert ": 48 cached, 0 computed" in run(*words)
    output = run("fit", "--views", 2)
    assert re.search(
        r"views      2 views .*: accuracy difference \+0\.000 \(95 % CI -0\.\d+ to \+0\.\d+\), "
        r"which may be due to chance",
        output,
    )
    assert "views" not in run("fit", "--overwrite")
    fitted = json.loads(CliRunner().invoke(app, ["fit", "--views", "1", "--json", "--overwrite"]).stdout)
    assert set(fitted["views"]) == {"k", "policy", "seed", "without", "difference"}
    assert (fitted["views"]["k"], set(fitted["views"]["difference"])) == (1, {"mean", "low", "high"})
    before = fake.n_computed
    output = run(
        "fit", images, "--backbone", "quadrants", "--augment", "light", "--views", 3, "--seed", 5, "--overwrite"
    )
    assert fake.n_computed - before == 72
    assert latest(fake.runtime).extraction.views.seed == 5
    assert output.count(" for each training image (flip=horizontal,shift=0.05,zoom=0.05)") == 2


def test_commands_with_views_that_were_not_extracted(workplace, images):
    run("extract", images, "--backbone", "quadrants")
    stopped = run("fit", "--views", 2, code=2)
    message = "error: --views 2 requires --augment; expected light, medium, tutorial"
    assert stopped.splitlines()[-1].startswith(message)
    assert run("fit", "--augment", "light", "--views", 2, code=1).splitlines()[-1] == (
        "error: some images do not have all of their 2 augmented views; extract the views first: "
        f"featx extract {images} --backbone quadrants --augment light --views 2"
    )
    assert "error: --augment light requires a number of views" in run("fit", "--augment", "light", code=2)


def test_views_of_the_data_set_extracted_last(fake, images):
    extract(images, "quadrants", augment="light", views=3, runtime=fake.runtime)
    extract(images, "quadrants", augment="medium", views=2, runtime=fake.runtime)
    assert latest(fake.runtime).views == 2
    assert latest(fake.runtime, views=1).views == 1
    assert latest(fake.runtime, views=0).views == 0
    assert (
        latest(fake.runtime, augment="light", views=3).extraction.views.policy == "flip=horizontal,shift=0.05,zoom=0.05"
    )
    with pytest.raises(DatasetError, match="all of their 3 augmented views; extract the views first: `featx.extract"):
        latest(fake.runtime, views=3)
    with pytest.raises(SpecError, match="did you mean light"):
        latest(fake.runtime, augment="ligt", views=3)


def test_fitting_with_views_imports_no_tensorflow(fake, images, tmp_path):
    extract(images, "quadrants", augment="light", views=2, runtime=fake.runtime)
    script = (
        "import sys, featx\n"
        f"runtime = featx.Runtime({str(fake.runtime.cache)!r})\n"
        "model = featx.fit(featx.latest(runtime), views=2, runtime=runtime)\n"
        "assert not {'keras', 'tensorflow', 'openvino'} & set(sys.modules)\n"
        "print(model.evaluation.views.n)"
    )
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=dict(os.environ))
    assert ran.stdout.split() == [b"2"]
