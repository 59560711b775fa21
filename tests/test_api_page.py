"""The Python blocks of docs/api.md run in order on the sample data set, with the default backbone."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import featx

PAGE = (Path(__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def scope(tmp_path_factory) -> dict[str, Any]:
    """Return the variables after all blocks have run in an empty folder, and the folder as ``folder``."""
    folder = tmp_path_factory.mktemp("api")
    names: dict[str, Any] = {"folder": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("FEATX_CACHE", raising=False)
        for block in BLOCKS:
            exec(block, names)
    return names


def test_the_four_lines_follow_the_sample():
    lines = [line for line in BLOCKS[1].splitlines() if line]
    assert len(lines) == 4
    assert [line.split("(")[0].split()[-1] for line in lines] == [
        "featx.extract",
        "featx.fit",
        "print",
        "model.predict",
    ]


def test_features_labels_and_groups(scope):
    X, y = scope["X"], scope["y"]
    assert X.shape == (300, 1280)
    assert X.dtype == np.float32
    assert np.isfinite(X).all()
    assert sorted(set(y)) == list("0123456789")
    assert scope["features"].groups.tolist() == [None] * 300
    groups = scope["groups"]
    assert groups.shape == (300,)
    assert 250 < len(set(groups.tolist())) < 300  # the sample has some near-duplicates
    named = scope["named"]
    assert len(set(named.tolist())) < len(set(groups.tolist()))
    assert all(len(set(named[groups == group].tolist())) == 1 for group in set(groups.tolist()))


def test_accuracies_of_heads(scope):
    for accuracy in (scope["model"].evaluation.accuracy, scope["neighbours"].evaluation.accuracy):
        assert accuracy.low < accuracy.mean < accuracy.high
    assert scope["model"].evaluation.accuracy.mean > 0.8
    assert scope["neighbours"].evaluation.accuracy.mean > 0.65
    assert scope["scores"].shape == (5,)
    assert scope["scores"].mean() > 0.8


def test_nearest_images(scope):
    nearest = scope["nearest"]
    assert 0 not in nearest
    assert (scope["y"][nearest] == scope["y"][0]).mean() >= 0.6


def test_predictions(scope):
    predictions = scope["predictions"]
    assert len(predictions) == 60
    assert predictions.seen.all()
    expected = [Path(path).parent.name for path in predictions.paths]
    assert np.mean([label == name for label, name in zip(predictions.labels, expected, strict=True)]) > 0.9
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)
    at = {str(path): i for i, path in enumerate(scope["features"].sample_ids)}
    rows = [at["/".join(Path(path).parts[-2:])] for path in predictions.paths]
    np.testing.assert_allclose(scope["probabilities"][rows], predictions.probabilities, rtol=1e-4, atol=1e-6)


def test_table_of_predictions(scope):
    summary = scope["summary"]
    assert (summary.n_predicted, summary.n_seen) == (300, 300)
    with (scope["folder"] / "scores.csv").open(encoding="utf-8") as stream:
        assert len(list(csv.DictReader(stream))) == 300


def test_runtime(scope):
    assert scope["features"].extraction.n_cached == 300
    assert scope["features"].extraction.n_computed == 0
    assert scope["stages"]
    assert (scope["folder"] / "cache" / "CACHEDIR.TAG").exists()


def test_all_functions_of_the_page_exist():
    for name in re.findall(r"featx\.([a-zA-Z_]+)", PAGE.split("## All functions")[1]):
        assert name in featx.__all__, name
