"""Compare: combinations on the same folds, with paired differences."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
from conftest import make_classes, save_image
from typer.testing import CliRunner

from featx import compare
from featx.cli.app import app
from featx.comparison.selection import selection_bias
from featx.errors import EvaluationError, HeadError
from featx.evaluation.procedures.intervals import corrected_resampled, difference_over_folds
from featx.extraction import extract
from featx.fitting import fit
from featx.heads import large
from featx.lookup import latest


@pytest.fixture
def overlapping(tmp_path):
    """Return a folder of two overlapping classes."""
    rng = np.random.default_rng(0)
    for i in range(80):
        grey = int(np.clip(rng.normal(100 + 35 * (i % 2), 25), 0, 255))
        save_image(tmp_path / "set" / "ab"[i % 2] / f"p{i}.png", (grey, grey, 255 - grey), seed=i)
    return tmp_path / "set"


def test_combinations_share_folds_and_the_best_comes_first(fake, overlapping):
    found = compare(overlapping, ["quadrants"], ["knn", "logreg", "centroid"], poolings=["avg"], runtime=fake.runtime)
    means = [row.accuracy.mean for row in found.rows]
    assert means == sorted(means, reverse=True)
    assert {row.head for row in found.rows} == {"knn", "logreg", "centroid"}
    best = found.rows[0]
    assert best.difference_to_best.to_dict() == {"mean": 0.0, "low": 0.0, "high": 0.0}
    for row in found.rows[1:]:
        differences = np.subtract(row.per_fold, best.per_fold)
        assert row.difference_to_best.mean == pytest.approx(differences.mean())
        assert row.difference_to_best.low <= row.difference_to_best.mean <= row.difference_to_best.high
    assert fake.n_computed == 80


def test_a_row_equals_the_evaluation_of_fit(fake, overlapping):
    row = compare(overlapping, ["quadrants"], ["logreg"], runtime=fake.runtime).rows[0]
    evaluation = fit(extract(overlapping, "quadrants", runtime=fake.runtime), "logreg", runtime=fake.runtime).evaluation
    assert (row.accuracy, row.per_fold) == (evaluation.cv.accuracy, evaluation.cv.per_fold)


def test_plans_and_a_single_split_are_as_in_fit(fake, overlapping, monkeypatch):
    monkeypatch.setattr(large, "MOST_EXACT", 50)
    monkeypatch.setattr(large, "LANDMARKS", 10)
    for room in ("folds", "cross_validation"):
        monkeypatch.setattr(sys.modules[f"featx.evaluation.procedures.{room}"], "MOST_CROSS_VALIDATED", 60)
    found = compare(overlapping, ["quadrants"], ["svm-rbf", "knn"], runtime=fake.runtime)
    assert [note for note in found.notes if "10 landmarks (Nystroem)" in note] == [
        "svm-rbf: on more than 50 images, the kernel is approximated by 10 landmarks (Nystroem), and the head is "
        "fitted by stochastic gradient descent with alpha = 1 / (80 C)"
    ]
    assert (found.n_folds, found.splitter) == (1, "one split by StratifiedKFold")
    other = found.rows[1]
    assert other.difference_to_best.low <= other.difference_to_best.mean <= other.difference_to_best.high
    assert other.difference_to_best.low < other.difference_to_best.high


def test_sizes_and_resizes_are_combined(fake, overlapping):
    found = compare(
        overlapping, ["quadrants"], ["centroid"], resizes=["crop", "pad"], sizes=[16, 32], runtime=fake.runtime
    )
    assert {(row.resize, row.size) for row in found.rows} == {("crop", 16), ("crop", 32), ("pad", 16), ("pad", 32)}


def test_paired_differences_are_not_clipped_at_zero():
    scores, others = [0.8, 0.9, 0.7], [0.9, 0.95, 0.85]
    found = difference_over_folds(scores, others, 0.5)
    assert found.mean == pytest.approx(-0.1)
    turned = corrected_resampled(np.subtract(others, scores).tolist(), 0.5)
    assert found.low == pytest.approx(-turned.high)


def test_the_luck_of_the_choice_is_reported(fake, overlapping):
    found = compare(overlapping, ["quadrants"], ["knn", "logreg", "centroid"], runtime=fake.runtime)
    assert 0 <= found.selection_bias < 0.1
    assert compare(overlapping, ["quadrants"], ["knn"], runtime=fake.runtime).selection_bias == 0


def test_differences_of_several_combinations_hold_together(fake, overlapping):
    two = compare(overlapping, ["quadrants"], ["centroid", "logreg"], runtime=fake.runtime).rows
    four = compare(overlapping, ["quadrants"], ["centroid", "logreg", "centroid", "logreg"], runtime=fake.runtime).rows
    assert four[0].head == four[1].head == two[0].head
    alone, among = two[1].difference_to_best, four[-1].difference_to_best
    assert among.mean == alone.mean
    assert among.low < alone.low < alone.high < among.high


@pytest.mark.parametrize("size", [1, 5])
def test_selection_bias_is_the_luck_of_the_best_of_equal_combinations(size):
    """Five combinations are correct on 70 % of the groups, independently: the best of them is only lucky."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), size)
    luck, estimated = [], []
    for seed in range(100):
        hits = [(rng.random(100) < 0.7)[groups] for _ in range(5)]
        luck.append(max(hit.mean() for hit in hits) - 0.7)
        estimated.append(selection_bias(hits, groups, seed))
    assert min(estimated) >= 0
    assert np.mean(estimated) == pytest.approx(np.mean(luck), abs=0.01)
    assert selection_bias(hits, groups, 7) == selection_bias(hits, groups, 7)


def test_a_combination_that_is_far_better_is_not_chosen_by_luck():
    rng = np.random.default_rng(0)
    hits = [rng.random(200) < accuracy for accuracy in (0.95, 0.6, 0.5)]
    assert selection_bias(hits, np.arange(200), 0) < 0.003
    assert selection_bias(hits[:1], np.arange(200), 0) == 0
    assert selection_bias(hits, np.zeros(200, int), 0) == 0  # one group cannot be drawn and left out


def test_compare_does_not_change_the_last_extraction(fake, overlapping, images):
    compare(overlapping, ["quadrants"], ["centroid"], runtime=fake.runtime)
    assert not (fake.runtime.cache / "latest.json").exists()
    extract(images, "quadrants", runtime=fake.runtime)
    compare(overlapping, ["quadrants"], ["centroid"], runtime=fake.runtime)
    assert latest(fake.runtime).name == images.name


def test_errors_state_why_nothing_can_be_compared(fake, tmp_path, overlapping):
    with pytest.raises(EvaluationError, match="nothing to compare; give at least one value"):
        compare(overlapping, [], runtime=fake.runtime)
    with pytest.raises(HeadError, match="`heads=forest`: expected logreg"):
        compare(overlapping, ["quadrants"], ["forest"], runtime=fake.runtime)
    few = make_classes(tmp_path / "few", {"red": (200, 50, 40)}, 4)
    save_image(few / "blue" / "only.png", (20, 20, 200))
    with pytest.raises(EvaluationError, match="cross-validation is not possible: class .blue. has one image"):
        compare(few, ["quadrants"], ["knn"], runtime=fake.runtime)


def test_command(fake, overlapping, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    words = ["compare", str(overlapping), "--backbones", "quadrants", "--heads", "knn,centroid", "--sizes", "16,32"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    head = next(i for i, text in enumerate(lines) if text.startswith("backbone") and "head" in text)
    figures = ("accuracy (95 % CI)", "difference from the best (95 % CI)")
    columns = ("backbone", "size", "head", *figures, "seconds", "extraction")
    assert re.split("  +", lines[head]) == list(columns)
    assert len(lines) == head + 1 + 4 + 5
    assert lines[head + 5] == "baseline   majority class: accuracy 0.500"
    selected = (
        r"selection  the best of 4 combinations was .* too high by (about|less than) 0\.\d{3}; "
        r"for an independent test: featx .*"
    )
    assert re.fullmatch(selected, lines[-2])
    assert lines[-1].startswith(f"next       featx fit {overlapping} --backbone quadrants --head ")
    best = re.split("  +", lines[head + 1])
    assert lines[-1].endswith(f"--head {best[2]} --size {best[1]}")
    result = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert {"backbone", "head", "accuracy", "difference_to_best", "seconds"} <= set(result["rows"][0])
    assert len(result["rows"]) == 4
    assert {row["extraction_seconds"] for row in result["rows"]} == {None}  # the features come from the cache
    assert lines[head + 1].endswith("(80 computed)")
    again = CliRunner().invoke(app, [*words[:-2], "--resizes", "pad", "--group-by", "p\\d0", "--cv", "3"])
    assert again.output.splitlines()[-1].endswith("--resize pad --group-by 'p\\d0' --cv 3")
    assert "--group-by 'p\\d0' names no group for 73 of 80 images, for example 'a/p0.png'" in again.output
    wrong = CliRunner().invoke(app, ["compare", str(overlapping), "--sizes", "big"])
    assert wrong.exit_code == 2
    assert "--sizes big: expected integers separated by commas" in wrong.output
