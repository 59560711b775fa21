"""Rejection: of images unlike the training images, and of about the requested share of images of the known classes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from conftest import make_classes, save_image
from typer.testing import CliRunner

from featx.classifier import Rejector, learn_subspace
from featx.cli.app import app
from featx.errors import ClassifierError, OptionError
from featx.extraction import extract
from featx.fitting import fit
from featx.model import Classifier
from featx.prediction import predict


def cloud(n: int, seed: int, d: int = 100) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = rng.normal(size=(n, d)) * np.linspace(3, 0.1, d) + 10 + 20 * y[:, None] * (np.arange(d) % 2)
    return X.astype(np.float32), y


def test_novelty_is_two_for_typical_images_and_grows_with_distance():
    X, y = cloud(2000, 0)
    subspace = learn_subspace(X, y, 2)
    assert subspace.novelty(X).mean() == pytest.approx(2, abs=0.2)
    new, _ = cloud(500, 1)
    assert subspace.novelty(new).mean() == pytest.approx(2, abs=0.3)
    away = new.copy()
    away[:, 50] += 30  # 20 standard deviations in one direction
    assert np.median(subspace.novelty(away)) > 1.5 * np.median(subspace.novelty(new))


def rejector(n: int, seed: int) -> Rejector:
    X, y = cloud(n, seed)
    novelties = np.empty(n)
    for fold in range(10):
        left_out = np.arange(n) // 2 % 10 == fold
        novelties[left_out] = learn_subspace(X[~left_out], y[~left_out], 2).novelty(X[left_out])
    return Rejector(learn_subspace(X, y, 2), novelties, np.random.default_rng(seed).uniform(0.5, 1, n))


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_about_the_requested_share_of_images_of_known_classes_is_rejected(rate):
    known = rejector(2000, 0)
    X, _ = cloud(4000, 7)
    probabilities = np.random.default_rng(9).uniform(0.5, 1, (4000, 1))
    assert 0.4 * rate < known.rejected(X, probabilities, rate).mean() < 1.4 * rate


def test_low_confidence_or_large_distance_alone_rejects():
    known = rejector(400, 0)
    X, _ = cloud(2, 3)
    X[1, 50] += 200
    sure, doubtful = np.array([[0.99], [0.99]]), np.array([[0.1], [0.99]])
    assert known.rejected(X, sure, 0.05).tolist() == [False, True]
    assert known.rejected(X, doubtful, 0.05).tolist() == [True, True]


def test_invalid_rates_are_refused():
    known = rejector(40, 0)
    for rate in (0, 1, -0.1, 5):
        with pytest.raises(OptionError, match="expected a number above 0 and below 1"):
            known.limit(rate)
    message = "`reject_rate=0.01`: this fraction of 40 training images is less than one image; expected at least 0.025"
    with pytest.raises(ClassifierError, match=message):
        known.limit(0.01)


@pytest.fixture
def model(fake, images, tmp_path):
    made = fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    made.save(tmp_path / "m.featx")
    return tmp_path / "m.featx"


def test_foreign_images_are_rejected_in_every_form(fake, model, tmp_path, monkeypatch):
    new = make_classes(tmp_path / "new", {"red": (200, 50, 40)}, 2)
    for i in range(3):
        save_image(new / f"green{i}.png", (40, 190, 60), seed=i)
        save_image(new / "red" / f"red-{i:02}.png", (200, 50, 40), seed=1000 + i)  # images of a known class
    made = predict(model, new, tmp_path / "out.csv", reject_rate=0.05, runtime=fake.runtime)
    rows = {
        row["path"].rpartition("/")[2]: row
        for row in csv.DictReader((tmp_path / "out.csv").read_text("utf-8").splitlines())
    }
    assert (made.n_rejected, made.n_predicted, made.n_images) == (3, 3, 6)
    assert {rows[f"green{i}.png"]["status"] for i in range(3)} == {"rejected"}
    assert {rows[f"green{i}.png"]["label"] for i in range(3)} == {""}
    assert rows["green0.png"]["reason"].startswith("not similar to the training images; the most probable class is ")
    assert rows["red-00.png"]["status"] == "ok"
    assert predict(model, new, runtime=fake.runtime).n_rejected == 0
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    words = ["predict", str(model), str(new), "--reject-rate", "0.05"]
    shown = CliRunner().invoke(app, words)
    assert "3 predicted, 3 rejected, 0 skipped" in shown.output
    result = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert result["n_rejected"] == 3
    with pytest.raises(OptionError, match="expected a number above 0 and below 1"):
        predict(model, new, reject_rate=2, runtime=fake.runtime)


def test_a_loaded_rejector_gives_the_same_novelties(model):
    loaded = Classifier.load(model)
    X = np.random.default_rng(0).uniform(size=(50, 12)).astype(np.float32)
    again = Classifier.load(model)
    assert np.array_equal(loaded.rejector.subspace.novelty(X), again.rejector.subspace.novelty(X))
    assert len(loaded.rejector.novelties) == 24
    assert loaded.out_of_fold_probabilities().shape == (24, 2)


def test_without_cross_validation_images_cannot_be_rejected(fake, images):
    save_image(images / "green" / "only.png", (40, 180, 60))
    for path in sorted((images / "red").iterdir())[2:] + sorted((images / "blue").iterdir())[2:]:
        path.unlink()  # makes the class of one image not rare
    made = fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    with pytest.raises(
        ClassifierError, match="cannot reject images, because no cross-validation set a limit: class .green."
    ):
        made.check_reject_rate(0.05)
    assert made.out_of_fold_probabilities() is None
