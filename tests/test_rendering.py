"""Text lines of reports and evaluations agree with their summaries."""

from __future__ import annotations

import html
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_classes, save_image
from PIL import Image
from test_inspection import scene, versions_of_scenes
from typer.testing import CliRunner

import featx
from featx.cli.app import app
from featx.errors import ClassifierError, DatasetError, EvaluationError, WeightsError
from featx.evaluation import ClassScore, Contradiction, HeldOut, Interval, TrustedAccuracy
from featx.evaluation.procedures import judge_part
from featx.extraction import extract
from featx.fitting import fit
from featx.model import Classifier
from featx.prediction import load
from featx.rendering import evaluation_lines, extraction_lines, prediction_lines, report_lines
from featx.rendering.facts import Fact, report_facts, skipped_facts
from featx.rendering.terminal import fact_lines
from featx.reports import report

COLOURS = {"blue": (30, 60, 200), "red": (200, 50, 40)}


@pytest.fixture
def model(fake, images):
    return fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime)


def test_summary_and_lines_agree(model, tmp_path):
    shown = report(model)
    summary = shown.to_dict()
    assert summary["cv"] == model.evaluation.to_dict()["cv"]
    assert summary["features"]["n_features"] == 12
    cv = summary["cv"]["accuracy"]
    text = str(shown)
    assert f"{cv['mean']:.3f} (95 % CI {cv['low']:.3f} to {cv['high']:.3f})" in text
    assert 'majority class "blue": 0.500' in text
    assert "quadrants (ImageNet weights), last layer, average pooling: 12 per image" in text
    model.save(tmp_path / "m.featx")
    again = report(tmp_path / "m.featx").to_dict()
    assert again == summary | {"model": str(tmp_path / "m.featx"), "file": again["file"]}
    with pytest.raises(ClassifierError, match="no such model file"):
        report(tmp_path / "none.featx")


def test_lines_of_an_evaluation(model):
    lines = evaluation_lines(model.evaluation.to_dict())
    assert [text.split("  ")[0] for text in lines] == ["accuracy", "valid for", "weakest", "head"]
    assert "for the accuracy, tuned and fitted in each of 5 folds (StratifiedKFold)" in lines[-1]


def test_both_accuracies_are_shown_if_images_are_grouped(fake, tmp_path):
    folder = make_classes(tmp_path / "set", COLOURS, 8)
    for path in list(folder.rglob("*.png")):
        shutil.copy(path, path.with_name(f"copy-of-{path.name}"))
    model = fit(extract(folder, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    lines = evaluation_lines(model.evaluation.to_dict())
    ungrouped = next(text for text in lines if text.startswith("ungrouped"))
    assert ungrouped.endswith("32 duplicates would be split between training and test (32 images in 16 groups)")


@pytest.mark.parametrize("group_versions", [True, False])
def test_new_images_are_grouped_as_the_training_images_were(fake, tmp_path, group_versions):
    for number in range(24):
        scene(tmp_path / "set" / "ab"[number % 2] / f"{chr(97 + number // 2)}.png", number)
    table = extract(tmp_path / "set", "quadrants", runtime=fake.runtime)
    fit(table, group_versions=group_versions, runtime=fake.runtime).save(tmp_path / "m.featx")
    versions_of_scenes(tmp_path / "new", lambda i, v: f"{chr(97 + i)}_{'xyz'[v]}.png")
    found = report(load(tmp_path / "m.featx"), on=tmp_path / "new", runtime=fake.runtime).to_dict()["on"]
    assert found["n"] == 60
    assert (found["n_groups"] == 20) == group_versions


def test_names_by_which_versions_were_recognised(model):
    values = model.evaluation.to_dict()
    names = [["a/aug_1_77.jpg", "a/aug_1_802.jpg"], ["b/x.jpg", "b/x_flip.jpg"]]
    found = {"n_versions": 1200, "n_originals": 200, "group_versions": True, "version_examples": names}

    def line_of(groups):
        lines = evaluation_lines(values | {"groups": values["groups"] | groups})
        return [text for text in lines if text.startswith("versions")]

    assert line_of(found) == [
        "versions   1,200 versions of 200 images, recognised by names such as a/aug_1_77.jpg and a/aug_1_802.jpg; "
        "b/x.jpg and b/x_flip.jpg   If these are different images, use: --no-group-versions"
    ]
    assert line_of({"n_versions": 0}) == []
    assert line_of({"group_versions": False}) == ["versions   not recognised by file names, as requested"]


def test_lines_of_groups_and_group_hints(model):
    groups = {"n_duplicates": 1, "n_near_duplicates": 412, "n_frames": 90, "n_recordings": 1, "n_named": 2}
    groups |= {"n_versions": 6, "n_originals": 2}
    hint = {
        "name": "plate", "group_by": r"(P\d+)", "n_values": 12, "examples": ["P01", "P12"],
        "accuracy": {"mean": 0.712, "low": 0.6, "high": 0.8},
    }  # fmt: skip
    changed = {"n_groups": 9, "groups": groups, "group_hints": [hint, hint | {"name": "name"}]}
    values = model.evaluation.to_dict() | changed
    assert "ungrouped  1.000  without groups: 1 duplicate, " in "\n".join(evaluation_lines(values))  # not higher
    lower = {"accuracy": {"mean": 0.9, "low": 0.8, "high": 0.95}}
    lines = evaluation_lines(values | {"cv": values["cv"] | lower})
    assert lines[1] == (
        "ungrouped  1.000  optimistic: 1 duplicate, 412 near-duplicates, 90 frames of 1 recording, 6 versions of 2 "
        "images and 2 named groups would be split between training and test (24 images in 9 groups)"
    )
    command = r"featx fit --head logreg --group-by '(P\d+)' --overwrite"
    assert lines[3] == (
        "by plate   accuracy 0.712 if images are grouped by plate (12 values, P01 to P12). "
        f"If these values name persons, days or other sources, use: {command}"
    )
    assert lines[4] == (
        "by name    accuracy 0.712 if images are grouped by a word of the file name (12 words, such as P01 and P12). "
        f"If these words name persons, days or other sources, use: {command}"
    )
    lines = evaluation_lines(model.evaluation.to_dict() | changed, lambda group_by: f"again with {group_by}")
    assert lines[3].endswith(r"other sources, use: again with (P\d+)")


def test_the_same_image_in_two_classes_is_listed_first(fake, tmp_path):
    folder = make_classes(tmp_path / "set", COLOURS, 12)
    for i in range(3):
        shutil.copy(folder / "red" / f"red-{i:02}.png", folder / "blue" / f"again-{i}.png")
    evaluation = fit(extract(folder, "quadrants", runtime=fake.runtime), runtime=fake.runtime).evaluation
    assert (evaluation.groups["n_duplicate_conflicts"], evaluation.groups["n_near_duplicate_conflicts"]) == (3, 0)
    assert evaluation_lines(evaluation.to_dict())[0] == (
        "conflict   3 pairs of duplicates (the same bytes) with different labels, "
        "for example blue/again-0.png and red/red-00.png; featx inspect FOLDER --json lists all pairs"
    )


def test_duplicates_and_near_duplicates_with_different_labels_are_two_lists(fake, tmp_path):
    """Near-duplicates may show different objects; one label of a pair of duplicates is certainly wrong."""
    for number in range(24):
        scene(tmp_path / "set" / "ab"[number % 2] / f"{chr(97 + number)}.png", number)
    shutil.copy(tmp_path / "set" / "a" / "c.png", tmp_path / "set" / "b" / "same.png")
    with Image.open(tmp_path / "set" / "a" / "a.png") as image:
        image.resize((70, 70)).save(tmp_path / "set" / "b" / "similar.jpg", quality=80)
    model = fit(extract(tmp_path / "set", "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    groups = model.evaluation.groups
    same, similar = ["a/c.png", "b/same.png"], ["a/a.png", "b/similar.jpg"]
    assert (groups["n_duplicate_conflicts"], groups["duplicate_conflicts"]) == (1, [same])
    assert (groups["n_near_duplicate_conflicts"], groups["near_duplicate_conflicts"]) == (1, [similar])
    lines = [text for text in report_lines(report(model).to_dict()) if text.startswith("conflict ")]
    every = "featx inspect FOLDER --json lists all pairs"
    assert lines == [
        f"conflict   1 pair of duplicates (the same bytes) with different labels, for example {' and '.join(same)}; "
        + every,
        "conflict   1 pair of near-duplicates (similar images) with different labels, for example "
        f"{' and '.join(similar)}; {every}",
        f"conflict   duplicates (the same bytes) with different labels: {', '.join(same)}",
        f"conflict   near-duplicates (similar images) with different labels: {', '.join(similar)}",
    ]


@pytest.mark.parametrize(
    ("groups", "population"),
    [
        ({}, "new images from the same sources"),
        ({"n_near_duplicates": 9, "n_versions": 4}, "new images from the same sources"),
        ({"n_frames": 24}, "new recordings from the same sources"),
        ({"n_frames": 9}, "new recordings and new images from the same sources"),
        ({"n_named": 12, "group_by": "plate", "examples": ["P01", "P12"]}, "new plates (12 so far: P01 to P12)"),
        ({"n_named": 12, "group_by": "Patient_ID", "examples": ["1", "12"]}, "new patients (12 so far: 1 to 12)"),
        ({"n_named": 3, "group_by": "day", "examples": []}, "new days (3 so far)"),
        (
            {"n_named": 2, "group_by": r"(plate\d)", "examples": ["plate1", "plate2"]},
            "new plates (2 so far: plate1 to plate2)",
        ),
        ({"n_named": 2, "group_by": "Platte", "examples": ["P1", "P2"]}, "new values of Platte (2 so far: P1 to P2)"),
        (
            {"n_named": 2, "group_by": "folder:2", "examples": ["a", "b"]},
            "new folders (folder 2 of the path) (2 so far: a to b)",
        ),
        (
            {"n_named": 2, "group_by": "word:1", "examples": ["a", "b"]},
            "new words (word 1 of the file name) (2 so far: a to b)",
        ),
        ({"n_named": 2, "group_by": "parent", "examples": ["a", "b"]}, "new folders (2 so far: a to b)"),
        ({"n_named": 2, "group_by": None, "examples": ["a", "b"]}, "new groups of the column group (2 so far: a to b)"),
    ],
)
def test_the_groups_in_force_are_named(model, groups, population):
    """If images are grouped by plate, the line states that the accuracy is valid for new plates."""
    evaluation = replace(model.evaluation, groups=model.evaluation.groups | groups)
    assert evaluation.valid_for == evaluation.to_dict()["valid_for"] == population
    assert f"valid for  {population}" in evaluation_lines(evaluation.to_dict())


PART = HeldOut(Interval(0.6, 0.5, 0.7), 20, 0.6, 20)


@pytest.fixture
def refuted(model):
    """A model whose accuracy on the test part is far below its cross-validated accuracy."""
    low = judge_part("test", model.evaluation.accuracy, PART.accuracy)
    return replace(model, evaluation=replace(model.evaluation, test=PART, contradictions=(low,)))


def test_the_first_lines_state_which_accuracy_to_trust(refuted):
    values = refuted.evaluation.to_dict()
    assert values["trust"]["figure"] == "test"
    assert values["trust"]["accuracy"] == {"mean": 0.6, "low": 0.5, "high": 0.7}
    (contradiction,) = values["contradictions"]
    assert (contradiction["kind"], contradiction["trust"], contradiction["other"]["mean"]) == ("test", "test", 0.6)
    lines = evaluation_lines(values)
    assert lines[:3] == [
        "verdict    trust 0.600 (95 % CI 0.500 to 0.700), the accuracy on the test part",
        f"           {contradiction['why']}",
        'accuracy   1.000 (95 % CI 0.862 to 1.000)   majority class "blue": 0.500   '
        "cross-validated; too high: see verdict",
    ]
    assert contradiction["why"] == (
        "the accuracy on the test part, 0.600 (95 % CI 0.500 to 0.700), is 0.400 lower than the cross-validated "
        "accuracy 1.000 (95 % CI 0.862 to 1.000), more than chance explains: training images are more similar to each "
        "other than to these images (for example several versions of one image, or the same sources)"
    )
    assert values["valid_for"] == ""
    assert "valid for" not in "\n".join(lines)
    assert str(refuted.evaluation).startswith(f"{values['verdict']}; accuracy 1.000")
    text = str(report(refuted))
    assert text.splitlines()[:2] == lines[:2]
    assert "valid for" not in text
    marked = ("balanced ", "calibrated ", "learning ", "more data? ")
    lines = [line for line in text.splitlines() if line.startswith(marked)]
    assert len(lines) >= 3
    assert all(line.endswith("only for images like the training images: see verdict") for line in lines)
    assert "only for images" not in str(
        report(replace(refuted, evaluation=replace(refuted.evaluation, contradictions=())))
    )


def test_the_page_begins_with_the_accuracy_to_trust(refuted, tmp_path):
    report(refuted, html=tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text("utf-8")
    assert '<p class="headline">0.600\n<small>the accuracy on the test part, 95 % confidence interval 0.500 to' in text
    assert "valid for" not in text
    assert "; the cross-validated accuracy, 1.000, is too high: see the verdict</small>" in " ".join(text.split("\n"))
    assert text.count("These figures hold only for images like the training images: see verdict.") == 2


def test_the_page_begins_with_the_grouped_accuracy_if_the_ungrouped_contradicts_it(model, tmp_path):
    cv = replace(model.evaluation.cv, accuracy=INTERVAL)
    evaluation = replace(model.evaluation, cv=cv, contradictions=(found("ungrouped", 0.981),))
    report(replace(model, evaluation=evaluation), html=tmp_path / "r.html")
    text = " ".join((tmp_path / "r.html").read_text("utf-8").split("\n"))
    assert '<p class="headline">0.874 <small>the cross-validated accuracy, 95 % confidence interval 0.842 to' in text
    assert "a higher accuracy contradicts it: see the verdict</small>" in text
    assert "These figures hold" not in text


def test_a_contradiction_is_saved_in_the_model(refuted, tmp_path):
    refuted.save(tmp_path / "m.featx")
    read = Classifier.load(tmp_path / "m.featx").evaluation
    assert read.contradictions == refuted.evaluation.contradictions != ()
    assert read.to_dict() == refuted.evaluation.to_dict()


INTERVAL = Interval(0.874, 0.842, 0.906)
CHANCE = Interval(0.978, 0.96, 0.99)


def found(kind, mean, chance=CHANCE, **names):
    difference = Interval(mean - 0.874, mean - 0.894, mean - 0.854)
    return Contradiction(kind, INTERVAL, Interval(mean, mean - 0.01, mean + 0.009), difference, chance, **names)


@pytest.mark.parametrize(
    ("contradiction", "trust", "sentence"),
    [
        (
            found("ungrouped", 0.981),
            ("cv", 0.874, "the cross-validated accuracy"),
            "the ungrouped accuracy, 0.981 (95 % CI 0.971 to 0.990), is 0.107 higher than the cross-validated accuracy "
            "0.874 (95 % CI 0.842 to 0.906), more than groups drawn by chance explain (accuracy 0.978): images of one "
            "group are similar",
        ),
        (
            found("group hint", 0.7, name="plate", group_by=r"(P\d+)"),
            ("group hint", 0.7, "the accuracy if images are grouped by plate"),
            "the accuracy if images are grouped by plate, 0.700 (95 % CI 0.690 to 0.709), is 0.174 lower than the "
            "cross-validated accuracy 0.874 (95 % CI 0.842 to 0.906), more than groups drawn by chance explain "
            "(accuracy 0.978): images with the same plate are similar",
        ),
        (
            found("group hint", 0.7, name="name", group_by="word:2"),
            ("group hint", 0.7, "the accuracy if images are grouped by a word of the file name"),
            "images with the same word of the file name are similar",
        ),
        (
            found("test", 0.95, None),
            ("cv", 0.874, "the cross-validated accuracy"),
            "the accuracy on the test part, 0.950 (95 % CI 0.940 to 0.959), is 0.076 higher than the cross-validated",
        ),
        (
            found("val", 0.7, None),
            ("val", 0.7, "the accuracy on the validation part"),
            "the accuracy on the validation part, 0.700 (95 % CI 0.690 to 0.709), is 0.174 lower than",
        ),
        (
            found("on", 0.7, None, name="new/"),
            ("on", 0.7, "the accuracy on new/"),
            "the accuracy on new/, 0.700 (95 % CI 0.690 to 0.709), is 0.174 lower than the cross-validated",
        ),
    ],
)
def test_each_contradiction_states_the_lower_accuracy_and_why(model, contradiction, trust, sentence):
    cv = replace(model.evaluation.cv, accuracy=INTERVAL)
    evaluation = replace(model.evaluation, cv=cv, contradictions=(contradiction,))
    trusted = evaluation.trust
    assert (trusted.figure, trusted.accuracy.mean, trusted.description) == trust
    assert sentence in contradiction.why
    assert evaluation.sentences[1] == contradiction.why
    assert evaluation.sentences[0].endswith(f", {trusted.description}")
    assert evaluation.valid_for == ""


def test_the_lowest_of_several_accuracies_is_trusted(model):
    cv = replace(model.evaluation.cv, accuracy=INTERVAL)
    several = (found("test", 0.7, None), found("ungrouped", 0.981), found("group hint", 0.65, name="day"))
    evaluation = replace(model.evaluation, cv=cv, contradictions=several)
    assert (evaluation.trust.figure, evaluation.trust.accuracy.mean) == ("group hint", 0.65)
    assert evaluation.sentences == (
        "trust 0.650 (95 % CI 0.640 to 0.659), the accuracy if images are grouped by day",
        *(one.why for one in several),
    )


def test_named_groups_explain_a_higher_ungrouped_accuracy(model):
    cv, groups = replace(model.evaluation.cv, accuracy=INTERVAL), {"n_named": 2, "group_by": "plate"}
    higher = found("ungrouped", 0.981)
    evaluation = replace(model.evaluation, cv=cv, groups=model.evaluation.groups | groups, contradictions=(higher,))
    assert evaluation.valid_for == "new plates (2 so far)"
    assert evaluation.sentences[0].startswith("trust 0.874 (95 % CI 0.842 to 0.906), the cross-validated accuracy")


def test_the_trusted_accuracy_is_compared_with_the_majority_class_of_its_part(model):
    scores = tuple(ClassScore(name, 0.6, 0.6, 0.6, n) for name, n in (("blue", 12), ("red", 8)))
    part = replace(PART, per_class=scores, confusion=((12, 0), (8, 0)))
    low = judge_part("test", model.evaluation.accuracy, PART.accuracy)
    evaluation = replace(model.evaluation, test=part, contradictions=(low,))
    assert evaluation.sentences[-1] == '0.600 is not better than always predicting "blue" (0.600)'


def test_without_folds_the_accuracy_of_a_held_out_part_is_trusted(model):
    evaluation = replace(model.evaluation, cv=None, cv_reason="one group", val=PART)
    assert evaluation.trust == TrustedAccuracy("val", PART.accuracy)
    assert replace(evaluation, test=PART).trust == TrustedAccuracy("test", PART.accuracy)
    assert replace(evaluation, val=None).trust is None
    assert (evaluation.verdict, evaluation.valid_for) == ("", "")


@pytest.mark.parametrize(
    ("mean", "low", "sentence"),
    [
        (0.869, 0.85, '0.869 is not better than always predicting "blue" (0.870)'),
        (0.870, 0.85, '0.870 is not better than always predicting "blue" (0.870)'),
        (
            0.9,
            0.87,
            '0.900 may be no better than always predicting "blue" (0.870): its 95 % interval includes 0.870',
        ),
        (0.9, 0.871, ""),
    ],
)
def test_a_verdict_where_the_interval_does_not_lie_above_the_baseline(model, tmp_path, mean, low, sentence):
    cv = replace(model.evaluation.cv, accuracy=Interval(mean, low, 0.95))
    judged = replace(model, evaluation=replace(model.evaluation, cv=cv, baseline=0.87))
    assert judged.evaluation.verdict == judged.evaluation.to_dict()["verdict"] == sentence
    assert (f"verdict    {sentence}" in evaluation_lines(judged.evaluation.to_dict())) == bool(sentence)
    assert sentence in str(judged.evaluation)
    assert str(judged.evaluation).count("always") == bool(sentence)
    report(judged, html=tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text("utf-8")
    assert ("better than always" in text) == bool(sentence)


def test_a_missing_accuracy_estimate_is_reported(model):
    values = model.evaluation.to_dict() | {"cv": None, "cv_reason": "class 'x' has one image"}
    assert evaluation_lines(values)[0].startswith("accuracy   not estimated: class 'x' has one image")
    assert not any("valid for" in text for text in report_lines(report(model).to_dict() | values))


def test_held_out_parts(model):
    test = {"accuracy": 0.9, "low": 0.8, "high": 0.95, "n": 90, "as_given": 0.91, "n_as_given": 100}
    lines = evaluation_lines(model.evaluation.to_dict() | {"test": test})
    shown = (
        "test       0.900 (95 % CI 0.800 to 0.950) on the 90 images of the test part "
        "that share no group with a training image   accuracy on all 100 images of the test part: 0.910"
    )
    assert shown in lines[1]
    lines = evaluation_lines(model.evaluation.to_dict() | {"test": test | {"accuracy": None, "n": 0}})
    assert "not estimated: every image shares a group with a training image (accuracy on all 100" in lines[1]


def test_many_classes_show_the_most_frequent_confusions_instead_of_a_matrix(model):
    summary = report(model).to_dict()
    names = [f"c{i}" for i in range(20)]
    confusion = [[0] * 20 for _ in range(20)]
    confusion[3][7] = 5
    text = report_lines(summary | {"classes": names, "cv": summary["cv"] | {"confusion": confusion}})
    assert text[-2:] == ["most frequent confusions", "     5  c3 predicted as c7"]


def test_extraction_lines(fake, images):
    (images / "red" / "empty.png").write_bytes(b"")
    lines = extraction_lines(extract(images, "quadrants", runtime=fake.runtime).extraction.to_dict())
    assert lines[0].startswith("images     0 cached, 24 computed in ")
    assert (
        lines[1]
        == "crop       on average 23 % of each image is cut off; --resize pad and --resize squash keep the whole image"
    )
    assert lines[2] == "skipped    red/empty.png: empty file (0 bytes)"


def test_duplicates_do_not_count_as_cached(fake, images):
    shutil.copy(images / "red" / "red-03.png", images / "blue" / "copy.png")
    first, again = (extract(images, "quadrants", runtime=fake.runtime).extraction.to_dict() for _ in range(2))
    line = extraction_lines(first)[0]
    assert line.startswith("images     0 cached, 24 computed in ")
    assert line.endswith("; 1 more image is a duplicate of these")
    assert extraction_lines(again)[0].startswith("images     24 cached, 0 computed in ")
    assert (first["n_cached"], again["n_cached"], again["n_duplicates"]) == (1, 25, 1)
    assert extraction_lines(again | {"n_duplicates": 2})[0].endswith("; 2 more images are duplicates of these")


def test_many_skipped_images_are_counted_by_reason():
    skipped = [{"path": f"{i}.png", "reason": "empty" if i < 40 else "torn"} for i in range(60)]
    lines = fact_lines(skipped_facts(skipped))
    assert len(lines) == 12
    assert lines[-2:] == ["skipped    30 more: empty", "skipped    20 more: torn"]


def test_terminal_and_page_show_the_same_facts_and_neither_parses_the_text_of_the_other(model, tmp_path):
    notes = ("three   spaces in a note; and a semicolon",)
    noted = replace(model, evaluation=replace(model.evaluation, notes=notes))
    shown = report(noted, html=tmp_path / "r.html")
    facts = report_facts(shown.summary)
    assert Fact("note", notes) in facts
    lines = str(shown).splitlines()
    assert [line for line in lines if line in fact_lines(facts)] == fact_lines(facts)
    page = (tmp_path / "r.html").read_text("utf-8")
    for label, parts in facts:
        text = html.escape("; ".join(parts)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
        assert f"<dt>{label}</dt><dd>{text}" in page or not label


def test_prediction_lines_warn_about_training_images():
    values = {
        "n_images": 600, "n_predicted": 600, "n_rejected": 0, "n_skipped": 0, "n_seen": 412, "n_ignored": 0,
        "n_new": 600, "n_kept": 0, "own_folders": [],
        "output": "x.csv", "seconds": 1.0, "images_per_second": 600.0,
    }  # fmt: skip
    rejecting = prediction_lines(values | {"reject_rate": 0.05})
    assert rejecting[0] == "images     600 predicted, 0 rejected, 0 skipped in 1.0 s (600 per second)"
    lines = prediction_lines(values)
    assert lines == [
        "images     600 predicted, 0 skipped in 1.0 s (600 per second)",
        "warning    412 of 600 images were used to fit this model; "
        "their probabilities are usually higher than those of new images",
    ]


def test_on_other_labelled_images(fake, images, tmp_path):
    fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime).save(tmp_path / "m.featx")
    other = tmp_path / "other"
    for i in range(6):
        save_image(other / "red" / f"{i}.png", (200, 50, 40), seed=500 + i)
        save_image(other / "blue" / f"{i}.png", (30, 60, 200) if i else (200, 50, 40), seed=600 + i)
    shutil.copy(images / "red" / "red-00.png", other / "red" / "known.png")
    (other / "red" / "torn.png").write_bytes(b"")
    found = report(load(tmp_path / "m.featx"), on=other, runtime=fake.runtime)
    for model in (tmp_path / "m.featx", str(tmp_path / "m.featx"), Classifier.load(tmp_path / "m.featx")):
        again = featx.report(model=model, on=str(other), runtime=fake.runtime)
        assert again.to_dict()["on"] == found.to_dict()["on"]
    on = found.to_dict()["on"]
    assert (on["n"], on["n_as_given"], on["accuracy"]["mean"]) == (12, 13, 11 / 12)
    assert on["as_given"] == pytest.approx(12 / 13)
    assert on["confusion"] == [[5, 1], [0, 6]]
    assert [one["path"].rpartition("/")[2] for one in on["skipped"]] == ["torn.png"]
    lines = str(found).splitlines()
    at = next(i for i, text in enumerate(lines) if text.startswith("on "))
    assert on["baseline"] == {"accuracy": 0.5, "class": "blue"}
    assert (on["n_seen"], on["n_near"], on["notes"]) == (1, 0, [])
    assert lines[at].endswith('majority class "blue": 0.500   12 images   without 1 training image (with these: 0.923)')
    recalls = [one["recall"] for one in on["per_class"]]
    balanced = on["balanced_accuracy"]
    assert recalls == [5 / 6, 1.0]
    assert balanced["mean"] == pytest.approx(np.mean(recalls))
    assert 0 < balanced["low"] < balanced["mean"] < balanced["high"] <= 1
    shown = f"{balanced['mean']:.3f} (95 % CI {balanced['low']:.3f} to {balanced['high']:.3f})"
    assert lines[at + 1].strip() == f"balanced accuracy {shown}"
    (mistake,) = on["mistakes"]
    wrong = (other / "blue" / "0.png").as_posix()
    assert (mistake["path"], mistake["label"], mistake["predicted"]) == (wrong, "blue", "red")
    assert lines[at + 2] == f"mistake    {wrong}: label blue, predicted red (probability {mistake['confidence']:.2f})"
    assert (
        lines[-9:]
        == [
            f"on {other}:",
            "",
            "class  precision  recall     f1  images",
            "blue       1.000   0.833  0.909         6",
            "red        0.857   1.000  0.923         6",
            "",
            "true class (rows), predicted class (columns)",
            "        blue    red",
            "blue       5      1",
            "red        0      6",
        ][-9:]
    )
    assert lines[0] == f"model      {tmp_path / 'm.featx'}"


def test_new_images_contradict_the_cross_validated_accuracy(fake, tmp_path):
    data = make_classes(tmp_path / "set", COLOURS, 40)
    model = fit(extract(data, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    for i in range(30):  # a third of the images has the colour of the other class
        for label, other in (("red", "blue"), ("blue", "red")):
            colour = COLOURS[label if i % 3 else other]
            save_image(tmp_path / "new" / label / f"{i:02}.png", colour, seed=1000 + 2 * i + (label == "red"))
    model.save(tmp_path / "m.featx")
    page, new = tmp_path / "r.html", (tmp_path / "new").as_posix()
    shown = report(load(tmp_path / "m.featx"), on=tmp_path / "new", html=page, runtime=fake.runtime)
    summary = shown.to_dict()
    (contradiction,) = summary["contradictions"]
    assert (contradiction["kind"], contradiction["name"], contradiction["trust"]) == ("on", new, "on")
    accuracy = summary["on"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(2 / 3, abs=0.02)
    assert summary["trust"]["accuracy"] == contradiction["other"] == accuracy
    text = f"trust {accuracy['mean']:.3f} (95 % CI {accuracy['low']:.3f} to {accuracy['high']:.3f})"
    assert str(shown).splitlines()[1] == f"verdict    {text}, the accuracy on {new}"
    assert "valid for" not in str(shown)
    assert report(tmp_path / "m.featx").to_dict()["contradictions"] == []  # only of these images
    written = page.read_text("utf-8")
    assert ">New images</h2>" in written
    assert 'aria-label="Table of classes of the new images"' in written
    balanced = summary["on"]["balanced_accuracy"]
    assert f"balanced accuracy {balanced['mean']:.3f} ({balanced['low']:.3f} to {balanced['high']:.3f})" in written
    matrix = written.split('aria-label="Confusion matrix of the new images"')[1].split("</table>")[0]
    cells = [int(cell) for cell in re.findall(r"<td[^>]*>(\d+)</td>", matrix)]
    assert cells == [n for row in summary["on"]["confusion"] for n in row]


def test_near_duplicates_of_training_images_are_not_new(fake, tmp_path):
    for number in range(24):
        scene(tmp_path / "set" / "ab"[number % 2] / f"{chr(97 + number)}.png", number)
    fit(extract(tmp_path / "set", "quadrants", runtime=fake.runtime), runtime=fake.runtime).save(tmp_path / "m.featx")
    for number in range(24, 30):
        scene(tmp_path / "new" / "ab"[number % 2] / f"{chr(97 + number - 24)}.png", number)
    for name in ("a", "c", "e"):
        with Image.open(tmp_path / "set" / "a" / f"{name}.png") as image:
            image.resize((70, 70)).save(tmp_path / "new" / "a" / f"near-{name}.jpg", quality=80)
    shutil.copy(tmp_path / "set" / "b" / "b.png", tmp_path / "new" / "b" / "same.png")
    model = load(tmp_path / "m.featx")
    on = report(model, on=tmp_path / "new", runtime=fake.runtime).to_dict()["on"]
    assert (on["n"], on["n_seen"], on["n_near"], on["n_as_given"], on["notes"]) == (6, 1, 3, 10, [])
    elsewhere = replace(fake.runtime, cache=tmp_path / "other-cache")
    on = report(model, on=tmp_path / "new", runtime=elsewhere).to_dict()["on"]
    assert (on["n"], on["n_near"]) == (9, 0)
    note = "23 training images are not in the cache: their near-duplicates were not searched for"
    assert on["notes"] == [note]  # one training image is also among the new images


def test_labelled_images_of_a_manifest_with_columns_of_its_own(fake, model, tmp_path):
    make_classes(tmp_path / "new", {"blue": (30, 60, 200), "red": (200, 50, 40), "blue2": (30, 60, 200)}, 4)
    rows = [f"{path.relative_to(tmp_path)},{path.parent.name[:3]},{i % 2},{i % 3}"
            for i, path in enumerate(sorted((tmp_path / "new").rglob("*.png")))]  # fmt: skip
    text = "\n".join(["file,kind,group,day", *rows]).replace(",blu,", ",blue,")
    (tmp_path / "list.csv").write_text(text)
    how = {"path_column": "file", "label_column": "kind", "runtime": fake.runtime}
    on = report(model, on=tmp_path / "list.csv", **how).to_dict()["on"]
    assert (on["n_as_given"], on["as_given"], on["n_groups"]) == (12, 1.0, 2)
    on = report(model, on=tmp_path / "list.csv", group_by="day", **how).to_dict()["on"]
    assert (on["n_as_given"], on["n_groups"]) == (12, 3)
    shown = str(report(model, on=tmp_path / "list.csv", group_by="day", **how))
    assert 'majority class "blue": 1.000   4 images in 3 groups' in shown
    with pytest.raises(DatasetError, match="`group_by=plate`: no image has such a group"):
        report(model, on=tmp_path / "list.csv", group_by="plate", **how)


def test_on_images_without_use_for_an_evaluation(fake, images, tmp_path):
    fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime).save(tmp_path / "m.featx")
    model = load(tmp_path / "m.featx")
    with pytest.raises(EvaluationError, match="the model has no class green; its classes are blue, red"):
        report(model, on=make_classes(tmp_path / "new", {"green": (20, 200, 20), "red": (200, 50, 40)}, 2))
    with pytest.raises(EvaluationError, match="the images have no labels"):
        report(model, on=images / "red", runtime=fake.runtime)
    assert "not evaluated, because all 24 images are training images of this model" in str(
        report(model, on=images, runtime=fake.runtime)
    )


def test_on_from_the_command_line(fake, images, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATX_CACHE", str(fake.runtime.cache))
    fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime).save(tmp_path / "m.featx")
    shown = CliRunner().invoke(app, ["report", str(tmp_path / "m.featx"), "--on", str(images)])
    assert shown.exit_code == 0, shown.output
    assert (
        f"on         {images}: not evaluated, because all 24 images are training images of this model" in shown.output
    )


def test_class_names_of_a_matrix_are_distinct(model):
    summary = report(model).to_dict()
    cv = summary["cv"]
    text = report_lines(summary | {"classes": ["Gänseblümchen", "Überexpression"]})
    assert "Gänseblümchen               12               0" in text
    names = [f"a name that is far too long for a matrix {i}" for i in range(12)]
    n = [[int(i == j) for j in range(12)] for i in range(12)]
    per_class = [cv["per_class"][0] | {"class": name} for name in names]
    text = report_lines(summary | {"classes": names, "cv": cv | {"confusion": n, "per_class": per_class}})
    at = text.index("true class (rows), predicted class (columns)")
    heads = [f"a name…ix {i:>2}" if i > 9 else f"a name…rix {i}" for i in range(12)]
    assert text[at + 1] == " " * 12 + "".join(f"  {name:>12}" for name in heads)


def test_predicted_labels_are_aligned_in_one_column():
    rows = [
        {"path": "a.png", "label": "Gänseblümchen", "confidence": 0.5, "status": "ok", "seen": False, "reason": ""},
        {"path": "b.png", "label": "Rose", "confidence": 0.25, "status": "ok", "seen": True, "reason": ""},
    ]
    counts = {"n_images": 2, "n_predicted": 2, "n_rejected": 0, "n_skipped": 0, "n_seen": 0, "n_ignored": 0}
    more = {"n_new": 2, "n_kept": 0, "own_folders": [], "seconds": 1.0, "images_per_second": 2.0, "rows": rows}
    assert prediction_lines(counts | more)[:2] == [
        "class Gänseblümchen 0.500  a.png",
        "class Rose          0.250  b.png  (training image)",
    ]


def test_other_weights_than_those_of_the_model_are_an_error(fake, images, tmp_path):
    model = fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    (tmp_path / "other.h5").write_bytes(b"other weights")
    with pytest.raises(
        WeightsError, match="differ from those of quadrants .*give the right file to predict or report `on`"
    ):
        featx.report(model, on=images, weights=tmp_path / "other.h5", runtime=fake.runtime)
    with pytest.raises(ClassifierError, match="`weights` requires `on`; add `on=FOLDER`, or leave out `weights`"):
        featx.report(model, weights=tmp_path / "other.h5", runtime=fake.runtime)
    with pytest.raises(ClassifierError, match="`label_by`, `group_by` require `on`"):
        report(model, group_by="parent", label_by="top")
