"""Learning from augmented views: always on the side of their image, never scored, and worth what is measured."""

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
    """Answers 0 and remembers the first feature of what it learns from and what it is asked."""

    done: list[tuple[list[float], list[float]]] = []  # noqa: RUF012

    def __init__(self, C: float = 1.0) -> None:
        self.C = C

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self._learnt = X[:, 0].tolist()
        return self

    def predict(self, X):
        Recorder.done.append((self._learnt, X[:, 0].tolist()))
        return np.zeros(len(X), int)


def marked(n: int = 60, n_views: int = 3) -> TrainingSet:
    """Return samples whose first feature is their number, that of their views a little more; two in a group."""
    number = np.arange(n, dtype=np.float32)[:, np.newaxis]
    views = np.stack([number + view / 8 for view in range(1, n_views + 1)])
    return TrainingSet(number, np.arange(n) // 2 % 2, np.arange(n) // 2, SingleLabel(("a", "b")), views)


def random_labels(n: int = 120, n_views: int = 3) -> TrainingSet:
    """Return samples that say nothing of their labels, and views that tell the very sample."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 10)).astype(np.float32)
    views = X + rng.normal(0, 0.01, (n_views, n, 10)).astype(np.float32)
    return TrainingSet(X, rng.integers(0, 2, n), np.arange(n), SingleLabel(("a", "b")), views)


def with_views_as_samples(data: TrainingSet) -> TrainingSet:
    """Return what views must never be: samples of their own."""
    assert data.views is not None
    n = len(data.y) * (1 + len(data.views))
    X, y = data.rows()
    return TrainingSet(X, y, np.arange(n), data.targets)


@pytest.mark.parametrize("tuned", [True, False])
def test_no_view_is_learnt_from_where_its_image_is_scored(tuned):
    """Outer folds, inner folds, calibration and learning curve, all of them."""
    data = marked()
    head = make_head(Recorder(), {"C": [1.0, 2.0]} if tuned else None)
    Recorder.done.clear()
    crossed = cross_validate(head, data, 5, 2, seed=0)
    inner = 2 * 3 if tuned else 0  # candidates on three inner folds
    assert len(Recorder.done) == 10 * (inner + 1)
    calibrate(head, {"C": 3.0}, data, crossed)
    learning_curve(head, data, crossed, 0)
    tune_and_fit(head, data, 0)
    assert len(Recorder.done) == 10 * (inner + 1) + 5 + 20 + inner
    for learnt, asked in Recorder.done:
        images = {int(value) for value in learnt}
        assert all(value == int(value) for value in asked)  # only images are scored
        assert sorted(learnt) == sorted(n + view / 8 for n in images for view in range(4))  # all views of each
        assert not {n // 2 for n in images} & {int(value) // 2 for value in asked}  # nor those of its group


def test_random_labels_score_at_chance_with_views_that_give_the_image_away():
    data = random_labels()
    head = make_head("knn", {"n_neighbors": 1})
    leaking = cross_validate(head, with_views_as_samples(data), 5, 1, seed=0)
    assert leaking.summary.accuracy.mean > 0.99  # this is what a leak looks like
    honest = cross_validate(head, data, 5, 1, seed=0).summary.accuracy
    assert honest.low < 0.5 < honest.high
    assert abs(honest.mean - 0.5) < 0.12


def test_the_folds_are_those_without_views():
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
    """Write images of random patches whose labels are random: nothing to learn."""
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
    # Each view by itself tells its image: the nearest image of a view is its own.
    views = table.opened(2)(np.arange(len(table)))
    distances = np.square(views[:, np.newaxis] - table.X).sum(axis=2)
    assert (distances.argmin(axis=1) == np.arange(len(table))).mean() > 0.9


def test_the_fitted_head_has_learnt_from_images_and_views(fake, table):
    model = fit(table, "knn", params={"n_neighbors": 1}, views=2, runtime=fake.runtime)
    learnt = model.estimator()[-1]._fit_X
    assert learnt.shape == (24 * 3, 12)
    scaler = model.estimator()[0]
    everything = np.concatenate([table.opened(view)(np.arange(24)) for view in range(3)])
    np.testing.assert_array_equal(learnt, scaler.transform(everything))
    np.testing.assert_allclose(scaler.mean_, everything.mean(axis=0, dtype=np.float64))
    assert model.evaluation.n_images == 24
    assert len(model.content_hashes) == 24


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_every_head_learns_from_views(fake, table, head):
    model = fit(table, head, views=3, cv=3, runtime=fake.runtime)
    assert model.evaluation.cv.accuracy.mean == 1.0
    assert model.evaluation.views.n == 3
    assert model.predict(table).labels == tuple(table.y)
    assert model.out_of_fold.scores.shape == (24, 2)


@pytest.mark.parametrize("head", ["logreg", "mlp", "centroid"])
def test_with_balanced_classes(fake, table, head):
    assert fit(table, head, views=1, cv=3, class_weight="balanced", runtime=fake.runtime).evaluation.views.n == 1


def test_what_views_are_worth_is_measured_on_the_same_folds(fake, tmp_path):
    data = overlapping(tmp_path / "set")
    table = extract(data, "quadrants", augment="brightness=0.3", views=2, seed=8, runtime=fake.runtime)
    without = fit(table, "knn", runtime=fake.runtime).evaluation
    found = fit(table, "knn", views=2, runtime=fake.runtime).evaluation
    worth = found.views
    assert (worth.n, worth.policy, worth.seed) == (2, "brightness=0.3", 8)
    assert worth.without == without.cv.accuracy
    assert found.cv.per_fold != without.cv.per_fold
    over_folds = difference_over_folds(found.cv.per_fold, without.cv.per_fold, 1 / 4)
    assert worth.difference.mean == pytest.approx(over_folds.mean)
    assert worth.difference.low < over_folds.mean < worth.difference.high
    assert worth.difference.mean == pytest.approx(found.cv.accuracy.mean - without.cv.accuracy.mean)
    assert without.views is None
    assert fit(table, "knn", views=2, runtime=replace(fake.runtime, workers=1)).evaluation.cv == found.cv


def overlapping(folder: Path, n: int = 80) -> Path:
    """Write a folder of two classes that cannot be told apart in full."""
    rng = np.random.default_rng(0)
    for i in range(n):
        grey = int(np.clip(rng.normal(100 + 35 * (i % 2), 22), 0, 255))
        save_image(folder / "ab"[i % 2] / f"{i:03}.png", (grey, grey, 255 - grey), seed=i)
    return folder


def test_a_set_without_honest_folds_does_not_know(fake, tmp_path):
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
    assert shown == [f"views      2 of each image to learn from ({found.views.policy}); whether they help is not known"]


def test_parts_that_were_set_aside_are_scored_without_views(fake, tmp_path):
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
    has = "3 augmented views of each image, 4 are asked for"
    with pytest.raises(EvaluationError, match=f"set has {has}.*extract takes `augment` and `views`"):
        fit(table, views=4, runtime=fake.runtime)
    with pytest.raises(OptionError, match="`views=-1`: it must be from 0 to 65,535"):
        fit(table, views=-1, runtime=fake.runtime)


def test_views_of_a_table_without_any(fake, images):
    table = extract(images, "quadrants", runtime=fake.runtime)
    with pytest.raises(EvaluationError, match="set has no augmented views, 2 are asked for"):
        fit(table, views=2, runtime=fake.runtime)


# Model, report, command line


def test_a_model_remembers_what_views_were_worth(fake, table, tmp_path):
    path = tmp_path / "model.featx"
    fit(table, views=2, runtime=fake.runtime).save(path)
    model = load(path)
    worth = model.evaluation.views
    assert (worth.n, worth.difference.mean, worth.without.mean) == (2, 0.0, 1.0)
    assert model.spec.augment is None
    shown = report(path)
    assert shown.to_dict()["views"] == worth.to_dict()
    assert worth.difference.low < 0 < worth.difference.high
    assert re.search(rf"views      \+0\.000 \(.*\): may be chance   {re.escape(line_of(worth))}", str(shown))
    report(path, html=tmp_path / "page.html", runtime=fake.runtime)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<dt>views</dt>" in page
    assert worth.policy in page


def line_of(worth: ViewsGain) -> str:
    low, high = worth.without.low, worth.without.high
    return f"1.000 ({low:.3f} to {high:.3f}) without   2 of each image to learn from ({worth.policy})"


def test_a_model_of_before_there_were_views(fake, table, tmp_path):
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
    ("difference", "told"),
    [
        ((0.05, 0.01, 0.09), "+0.050 (+0.010 to +0.090): they help   0.800"),
        ((-0.05, -0.09, -0.01), "-0.050 (-0.090 to -0.010): they harm   0.800"),
        ((0.05, -0.01, 0.11), "+0.050 (-0.010 to +0.110): may be chance   0.800"),
    ],
)
def test_whether_views_help_is_said(fake, table, difference, told):
    evaluation = fit(table, "centroid", views=1, runtime=fake.runtime).evaluation.to_dict()
    names = ("mean", "low", "high")
    evaluation["views"]["difference"] = dict(zip(names, difference, strict=True))
    evaluation["views"]["without"]["accuracy"] = dict(zip(names, (0.8, 0.7, 0.9), strict=True))
    assert f"views      {told}" in "\n".join(evaluation_lines(evaluation))


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
    assert "views      2 of each image to learn from (flip=horizontal,shear=0.2,zoom=0.2): 0 cached, 48 new" in output
    assert f"preview    {sheet}" in output
    assert output.rstrip().endswith("next       featx fit --head logreg --views 2")
    assert Image.open(sheet).size == (3 * 38 + 6, 8 * 54 + 6)
    assert ": 48 cached, 0 new" in run(*words)
    output = run("fit", "--views", 2)
    assert re.search(r"views      \+0\.000 \(-0\.\d+ to \+0\.\d+\): may be chance", output)
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
    assert output.count("3 of each image to learn from (flip=horizontal,shift=0.05,zoom=0.05)") == 2


def test_commands_that_ask_for_views_that_are_not_there(workplace, images):
    run("extract", images, "--backbone", "quadrants")
    assert (
        run("fit", "--views", 2, code=2)
        .splitlines()[-1]
        .startswith(
            "error: 2 views are asked for, but not how they are made; add --augment with light, medium, tutorial"
        )
    )
    assert run("fit", "--augment", "light", "--views", 2, code=1).splitlines()[-1] == (
        "error: not all images have their 2 augmented views; extract them first: "
        f"featx extract {images} --backbone quadrants --augment light --views 2"
    )
    assert "error: --augment light without views" in run("fit", "--augment", "light", code=2)


def test_views_of_the_set_extracted_last(fake, images):
    extract(images, "quadrants", augment="light", views=3, runtime=fake.runtime)
    extract(images, "quadrants", augment="medium", views=2, runtime=fake.runtime)
    assert latest(fake.runtime).views == 2
    assert latest(fake.runtime, views=1).views == 1
    assert latest(fake.runtime, views=0).views == 0
    assert (
        latest(fake.runtime, augment="light", views=3).extraction.views.policy == "flip=horizontal,shift=0.05,zoom=0.05"
    )
    with pytest.raises(
        DatasetError, match="not all images have their 3 augmented views; extract them first: `featx.extract"
    ):
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
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=dict(os.environ))
    assert told.stdout.split() == [b"2"]
