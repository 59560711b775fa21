"""Fit: from features to an evaluated classifier."""

from __future__ import annotations

import shutil
import sys
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from conftest import make_classes, save_image
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from test_inspection import scene, versions_of_scenes

from featx.comparison import compare
from featx.errors import DatasetError, EvaluationError, FeatxError, HeadError, OptionError
from featx.evaluation.procedures.intervals import wilson
from featx.extraction import extract
from featx.finetuning import finetune
from featx.fitting import default_model_name, fit
from featx.heads import HEAD_NAMES, large
from featx.model import Classifier
from featx.prediction import predict
from featx.runtime import Runtime

RED, BLUE, GREEN = (200, 50, 40), (30, 60, 200), (40, 180, 60)


@pytest.fixture
def table(fake, images):
    return extract(images, "quadrants", runtime=fake.runtime)


@pytest.mark.parametrize("head", HEAD_NAMES)
def test_every_head_gives_a_classifier_that_predicts(fake, table, head):
    model = fit(table, head, runtime=fake.runtime)
    assert model.classes_ == ("blue", "red")
    assert model.evaluation.cv.accuracy.mean == 1.0
    assert model.predict(table).labels == tuple(table.y)
    assert (model.dense_head is not None) == (head in ("logreg", "svm", "mlp", "ridge"))


def test_the_evaluation_states_how_the_head_was_evaluated(fake, table):
    found = fit(table, runtime=fake.runtime).evaluation
    assert (found.head, found.n_images, found.n_groups) == ("logreg", 24, 24)
    assert (found.cv.n_folds, found.cv.repeats, found.cv.splitter) == (5, 1, "StratifiedKFold")
    assert (found.baseline, found.baseline_class) == (0.5, "blue")
    assert set(found.params) == {"C"}
    assert found.ungrouped_accuracy == found.cv.accuracy
    assert (found.val, found.test) == (None, None)


def test_hidden_layers_of_an_mlp(fake, table):
    model = fit(table, "mlp", hidden=[24, 12], params={"alpha": 0.01}, runtime=fake.runtime)
    assert [weight.shape for weight in model.dense_head.weights] == [(12, 24), (24, 12), (12, 1)]
    assert model.evaluation.params["hidden_layer_sizes"] == "(24, 12)"
    with pytest.raises(HeadError, match="logreg has no parameter 'hidden_layer_sizes'"):
        fit(table, "logreg", hidden=[24], runtime=fake.runtime)


def test_a_bundled_model_contains_its_backbone(images, tmp_path):
    here, elsewhere = Runtime(tmp_path / "here"), Runtime(tmp_path / "elsewhere")
    table = extract(images, "mobilenetv2", weights="random", size=32, runtime=here)
    model = fit(table, bundle=True, runtime=here)
    plain = fit(table, runtime=here)
    assert (plain.graph, plain.spec.graph, model.spec.unbundled) == (None, None, plain.spec)
    np.testing.assert_array_equal(model.predict(table).probabilities, plain.predict(table).probabilities)
    model.save(tmp_path / "model.featx")
    plain.save(tmp_path / "plain.featx")
    assert (tmp_path / "model.featx").stat().st_size > 1_000_000 + (tmp_path / "plain.featx").stat().st_size
    rows = predict(tmp_path / "model.featx", images, runtime=elsewhere).rows
    assert [row[1] for row in rows] == list(model.predict(table).labels)


def test_the_evaluation_lists_how_the_model_was_made(fake, images):
    (images / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    table = extract(images, "quadrants", runtime=fake.runtime)
    before = datetime.now(UTC).replace(microsecond=0)
    model = fit(table, "centroid", cv=3, seed=7, runtime=fake.runtime)
    made = dict(model.evaluation.made)
    assert before <= datetime.fromisoformat(made.pop("date")) <= datetime.now(UTC)
    assert made == {
        "data": str(images.resolve()), "n_skipped": 1, "seed": 7, "cv": 3, "repeats": 1, "class_weight": None
    }  # fmt: skip
    assert {"openvino", "simplejpeg", "scipy"} <= set(model.versions)


def test_repeats(fake, table):
    found = fit(table, "centroid", cv=3, repeats=4, runtime=fake.runtime).evaluation
    assert len(found.cv.per_fold) == 12


def test_any_scikit_learn_estimator(fake, table):
    model = fit(table, SVC(C=3.0), runtime=fake.runtime)
    assert model.evaluation.head == "svc"
    assert model.evaluation.params == {}
    assert model.predict(table).labels == tuple(table.y)
    forest = fit(table, RandomForestClassifier(5, random_state=0), cv=2, runtime=fake.runtime)
    assert forest.evaluation.cv.accuracy.mean == 1.0


def test_duplicates_stay_on_one_side_and_both_accuracies_are_reported(fake, tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "set"
    for i in range(40):  # indistinguishable classes, each image four times
        label = "ab"[i % 2]
        first = save_image(folder / label / f"{i}.png", tuple(rng.integers(60, 190, 3)), seed=i)
        for number in range(3):
            shutil.copy(first, folder / label / f"{i}-copy{number}.png")
    table = extract(folder, "quadrants", runtime=fake.runtime)
    found = fit(table, KNeighborsClassifier(1), runtime=fake.runtime).evaluation
    assert (found.n_images, found.n_groups, found.cv.splitter) == (160, 40, "StratifiedGroupKFold")
    assert found.ungrouped_accuracy.mean == 1.0
    assert found.cv.accuracy.mean < 0.8
    (contradiction,) = found.contradictions
    assert (contradiction.kind, contradiction.trust) == ("ungrouped", "cv")
    assert (contradiction.accuracy, contradiction.other) == (found.cv.accuracy, found.ungrouped_accuracy)
    assert contradiction.at_chance.mean > 0.9
    assert found.trust.accuracy == found.cv.accuracy
    assert found.valid_for == ""


def test_val_and_test_are_only_predicted_and_duplicates_of_training_images_count_separately(fake, tmp_path):
    root = tmp_path / "set"
    for split, n in (("train", 8), ("val", 2), ("test", 4)):
        make_classes(root / split, {"red": RED, "blue": BLUE}, n)
        for path in (root / split).rglob("*.png"):  # different content in each split
            save_image(
                path, RED if path.parent.name == "red" else BLUE, seed=zlib.crc32(f"{split}/{path.name}".encode())
            )
    shutil.copy(root / "train" / "red" / "red-00.png", root / "test" / "red" / "leak.png")
    shutil.copy(root / "train" / "red" / "red-01.png", root / "test" / "blue" / "wrong.png")
    table = extract(root, "quadrants", runtime=fake.runtime)
    model = fit(table, "logreg", runtime=fake.runtime)
    found = model.evaluation
    assert found.n_images == 16
    assert (found.val.accuracy.mean, found.val.n) == (1.0, 4)
    assert (found.contradictions, found.valid_for) == ((), "new images from the same sources")
    assert (found.test.accuracy.mean, found.test.n) == (1.0, 8)
    assert (found.test.as_given, found.test.n_as_given) == (0.9, 10)
    assert len(model.content_hashes) == 16
    assert model.out_of_fold.sample_ids == tuple(s.sample_id for s in table.samples if s.split == "train")


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_part_that_differs_from_the_training_images_is_a_contradiction(fake, tmp_path, split):
    root = tmp_path / "set"
    make_classes(root / "train", {"red": RED, "blue": BLUE}, 40)
    for i in range(30):  # the classes of the part are exchanged in a third of the images
        for label, colour in (("red", RED if i % 3 else BLUE), ("blue", BLUE if i % 3 else RED)):
            save_image(root / split / label / f"{i:02}.png", colour, seed=zlib.crc32(f"{label}{i}".encode()))
    table = extract(root, "quadrants", runtime=fake.runtime)
    evaluation = fit(table, "logreg", runtime=fake.runtime).evaluation
    part = getattr(evaluation, split)
    assert evaluation.cv.accuracy.mean == 1.0
    assert part.accuracy.mean == pytest.approx(2 / 3)
    (contradiction,) = evaluation.contradictions
    assert (contradiction.kind, contradiction.trust) == (split, split)
    assert (contradiction.accuracy, contradiction.other) == (evaluation.cv.accuracy, part.accuracy)
    assert (evaluation.trust.figure, evaluation.trust.accuracy) == (split, part.accuracy)
    assert evaluation.valid_for == ""


def test_a_test_part_of_duplicates_has_no_grouped_accuracy(fake, tmp_path):
    root = tmp_path / "set"
    make_classes(root / "train", {"red": RED, "blue": BLUE}, 6)
    shutil.copytree(root / "train", root / "test")
    found = fit(extract(root, "quadrants", runtime=fake.runtime), runtime=fake.runtime).evaluation
    assert (found.test.accuracy, found.test.n, found.test.as_given) == (None, 0, 1.0)


def test_manifest_groups_stay_together(fake, tmp_path):
    make_classes(tmp_path, {"red": RED, "blue": BLUE}, 9)
    lines = [
        f"{path.relative_to(tmp_path).as_posix()},{path.parent.name},{path.parent.name}{i // 3}"
        for name in ("red", "blue")
        for i, path in enumerate(sorted((tmp_path / name).glob("*.png")))
    ]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,group", *lines]))
    table = extract(tmp_path / "list.csv", "quadrants", runtime=fake.runtime)
    found = fit(table, runtime=fake.runtime).evaluation
    assert (found.n_images, found.n_groups, found.cv.n_folds) == (18, 6, 3)
    assert "3 folds instead of 5, because a class has too few groups" in found.notes
    assert not [text for text in fake.notices if "folds instead of" in text]  # notes are not also notices


def test_group_by(fake, tmp_path):
    rng = np.random.default_rng(0)
    for person in range(8):  # the colour depends on the person, not on the class
        colour = tuple(rng.integers(40, 210, 3))
        for i in range(10):
            label = "ab"[(person + (i == 0)) % 2]
            save_image(tmp_path / "set" / label / f"u{person}-{i}.png", colour, seed=10 * person + i)
    table = extract(tmp_path / "set", "quadrants", runtime=fake.runtime)
    found = fit(table, "knn", runtime=fake.runtime).evaluation
    assert found.cv.accuracy.mean > 0.7
    (source,) = found.group_hints
    assert (source.name, source.group_by, source.n_values, source.examples) == ("name", r"(u\d+)", 8, ("u0", "u7"))
    assert source.accuracy.mean < 0.6
    (contradiction,) = found.contradictions
    assert (contradiction.kind, contradiction.group_by, contradiction.other) == (
        "group hint",
        r"(u\d+)",
        source.accuracy,
    )
    assert (found.trust.accuracy, found.valid_for) == (source.accuracy, "")
    grouped = fit(table, "knn", group_by=source.group_by, runtime=fake.runtime).evaluation
    assert (grouped.n_groups, grouped.group_hints, grouped.groups["n_named"]) == (8, (), 8)
    assert grouped.cv.accuracy.mean < 0.6
    assert grouped.ungrouped_accuracy.mean > 0.7
    assert [one.kind for one in grouped.contradictions] == ["ungrouped"]
    assert grouped.trust.accuracy == grouped.cv.accuracy
    assert grouped.valid_for == r"new values of (u\d+) (8 so far: u0 to u7)"
    with pytest.raises(DatasetError, match="`group_by=plate`: no image has such a group"):
        fit(table, group_by="plate", runtime=fake.runtime)


@pytest.fixture
def plates(fake, tmp_path):
    """Return a table of 240 images of 12 plates that differ more in tint than the classes, without near-duplicates."""
    rng = np.random.default_rng(3)
    for plate in range(1, 13):
        tint = rng.normal(0, 14, 3)
        for i in range(20):
            label = ("treated", "control")[i % 2]
            corners = rng.normal(0, 40, (4, 4, 3)) + 120 + tint + 20 * (i % 2)
            pixels = np.clip(np.kron(corners, np.ones((10, 10, 1))), 0, 255).astype(np.uint8)
            path = tmp_path / "set" / label / f"P{plate:02}_{label}_{i:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return extract(tmp_path / "set", "quadrants", runtime=fake.runtime)


@pytest.mark.parametrize(("head", "options"), [("logreg", {}), ("svm", {"repeats": 3}), ("knn", {"cv": 4})])
def test_all_figures_use_the_same_out_of_fold_predictions(fake, plates, head, options):
    model = fit(plates, head, group_by=r"(P\d+)", runtime=fake.runtime, **options)
    found, known = model.evaluation, model.out_of_fold
    confusion = np.array(found.cv.confusion)
    assert 0.5 < found.cv.accuracy.mean < 0.95
    assert found.cv.accuracy.mean == np.trace(confusion) / confusion.sum() == (known.predicted == known.y).mean()
    assert [one.recall for one in found.cv.per_class] == (np.diag(confusion) / confusion.sum(axis=1)).tolist()
    assert found.cv.balanced_accuracy.mean == pytest.approx(np.mean([one.recall for one in found.cv.per_class]))
    assert found.baseline == confusion.sum(axis=1).max() / confusion.sum()
    assert found.learning.points[-1].accuracy == found.cv.accuracy
    assert found.learning.outlook.now == found.cv.accuracy.mean
    probabilities = model.out_of_fold_probabilities()
    assert (probabilities.argmax(axis=1) == known.predicted).all()
    hit, confidence = known.predicted == known.y, probabilities.max(axis=1)
    assert sum(accuracy * n for _, accuracy, n in found.reliability.bins) == pytest.approx(hit.sum())
    assert sum(mean * n for mean, _, n in found.reliability.bins) == pytest.approx(confidence.sum())
    # Rejection compares new images with the confidences of heads that have the final parameters.
    assert model.rejector.confidences.shape == confidence.shape


def test_values_at_an_end_of_a_grid_are_reported(fake, plates):
    found = fit(plates, "knn", params={"n_neighbors": [1, 3]}, runtime=fake.runtime).evaluation
    assert found.params["n_neighbors"] == 3
    assert found.notes[-1].startswith("knn: n_neighbors=3 is the largest of the given values, and has the highest")
    found = fit(plates, "knn", params={"n_neighbors": 3}, runtime=fake.runtime).evaluation
    assert not any("n_neighbors" in note for note in found.notes)


def test_a_trend_needs_parts_of_several_sizes(fake, plates):
    """With two groups, each training part has a single group and cannot be divided."""
    found = fit(plates, group_by=r"P(0|1)", cv=2, runtime=fake.runtime).evaluation
    assert found.learning.outlook is None


def test_ungrouped_and_group_hint_accuracies_equal_those_of_other_runs(fake, plates):
    alone = fit(plates, runtime=fake.runtime).evaluation
    grouped = fit(plates, group_by=r"(P\d+)", runtime=fake.runtime).evaluation
    assert grouped.ungrouped_accuracy == alone.cv.accuracy == alone.ungrouped_accuracy
    (source,) = alone.group_hints
    assert source.group_by == r"(P\d+)"
    assert source.accuracy == grouped.cv.accuracy
    assert grouped.cv.accuracy.mean < alone.cv.accuracy.mean
    assert grouped.groups["examples"] == ["P01", "P12"]


def test_cameras_and_days_are_group_hints(fake, tmp_path):
    rng = np.random.default_rng(0)
    for i in range(48):  # the colour depends on the camera
        colour = ((90, 90, 60), (60, 90, 140), (150, 80, 90), (110, 150, 100))[i // 2 % 4]
        pixels = np.clip(np.array(colour) + rng.integers(-12, 13, (40, 40, 3)), 0, 255).astype(np.uint8)
        exif = Image.Exif()
        exif[0x0110] = f"Phone {i // 2 % 4}"
        exif.get_ifd(0x8769)[0x9003] = f"2024:01:{1 + i % 3:02} 10:00:00"
        path = tmp_path / "set" / "ab"[i % 2] / f"{chr(97 + i // 26)}{chr(97 + i % 26)}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, exif=exif)
    table = extract(tmp_path / "set", "quadrants", runtime=fake.runtime)
    found = fit(table, "knn", runtime=fake.runtime).evaluation
    assert [(s.name, s.group_by, s.n_values, s.examples) for s in found.group_hints] == [
        ("camera", "camera", 4, ("Phone 0", "Phone 3")),
        ("day", "day", 3, ("2024-01-01", "2024-01-03")),
    ]
    again = extract(tmp_path / "set", "quadrants", runtime=fake.runtime)  # this time from the snapshot
    assert fit(again, "knn", group_by="camera", runtime=fake.runtime).evaluation.n_groups == 4
    assert again.samples == table.samples


def test_versions_by_name_stay_together_and_the_names_are_reported(fake, tmp_path):
    folder = tmp_path / "set"
    versions_of_scenes(folder, lambda i, v: f"aug_{chr(97 + i)}_{'xyz'[v]}.png")
    for number in range(20):
        scene(folder / "b" / f"{chr(97 + number)}.png", number)
    table = extract(folder, "quadrants", runtime=fake.runtime)
    model = fit(table, "centroid", runtime=fake.runtime)
    groups = model.evaluation.groups
    assert (model.evaluation.n_images, model.evaluation.n_groups) == (80, 40)
    assert (groups["n_versions"], groups["n_originals"], groups["group_versions"]) == (60, 20, True)
    assert ["a/aug_a_x.png", "a/aug_a_y.png"] in groups["version_examples"]
    model.save(tmp_path / "m.featx")
    assert Classifier.load(tmp_path / "m.featx").evaluation.groups == groups
    alone = fit(table, "centroid", group_versions=False, runtime=fake.runtime).evaluation
    assert (alone.groups["n_versions"], alone.groups["group_versions"]) == (0, False)
    assert alone.n_groups > 40  # not all versions are near-duplicates
    how = {"backbones": ["quadrants"], "heads": ["centroid"], "runtime": fake.runtime}
    assert compare(folder, **how).n_groups == 40
    assert compare(folder, group_versions=False, **how).n_groups == alone.n_groups


def test_images_that_group_by_does_not_match_are_reported(fake, images):
    save_image(images / "red" / "loose.png", RED, seed=77)
    table = extract(images, "quadrants", runtime=fake.runtime)
    message = (
        "names no group for 1 of 25 images, for example 'red/loose.png'; "
        "these images are grouped only with their duplicates, near-duplicates and recordings"
    )
    found = fit(table, "knn", group_by=r"-(\d\d)", runtime=fake.runtime).evaluation
    assert f"`group_by=-(\\d\\d)` {message}" in found.notes
    lines = [f"{s.sample_id},{s.label},{'' if 'loose' in s.sample_id else s.sample_id[-6:-4]}" for s in table.samples]
    (images / "list.csv").write_text("\n".join(["path,label,group", *lines]))
    listed = extract(images / "list.csv", "quadrants", runtime=fake.runtime)
    assert f"the column group {message}" in fit(listed, "knn", runtime=fake.runtime).evaluation.notes
    assert not any("names no group" in note for note in fit(table, "knn", runtime=fake.runtime).evaluation.notes)


def test_a_column_of_the_manifest_groups(fake, tmp_path):
    make_classes(tmp_path, {"red": RED, "blue": BLUE}, 9)
    rows = [f"{label}/{label}-{i:02}.png,{label},{i // 3}" for label in ("red", "blue") for i in range(9)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,day", *rows]))
    table = extract(tmp_path / "list.csv", "quadrants", runtime=fake.runtime)
    assert fit(table, group_by="day", runtime=fake.runtime).evaluation.n_groups == 3


def test_classes_of_one_recording_have_only_the_accuracy_of_their_test_part(fake, tmp_path):
    for number, (split, n) in enumerate((("train", 12), ("test", 9))):
        for label, seed in (("a", 1), ("b", 5)):
            still = np.asarray(scene(tmp_path / "still.png", seed + number)).astype(int)
            for i in range(n):
                still = np.clip(still + np.random.default_rng(i + seed).normal(0, 5, still.shape), 0, 255)
                path = tmp_path / "set" / split / label / f"frame{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(still.astype(np.uint8)).save(path)
    found = fit(extract(tmp_path / "set", "quadrants", runtime=fake.runtime), runtime=fake.runtime).evaluation
    assert found.cv is None
    assert found.cv_reason == (
        'class "a" has all 12 images in one group, so no fold can have this class in both its training and its test '
        "images"
    )
    assert (found.groups["n_recordings"], found.groups["n_frames"], found.ungrouped_accuracy.mean) == (4, 42, 1.0)
    assert found.test.n == 18


def test_a_class_of_one_image_is_trained_on_and_not_tested(fake, images):
    save_image(images / "green" / "only.png", GREEN)
    model = fit(extract(images, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    found = model.evaluation
    assert (found.n_images, found.cv.n_folds, found.cv.untested) == (25, 5, ("green",))
    assert (found.cv.accuracy.mean, found.cv.balanced_accuracy.mean) == (1.0, 1.0)
    assert found.cv.confusion == ((12, 0, 0), (0, 0, 0), (0, 0, 12))
    assert found.notes == ("used for fitting but not tested, because all images of the class form one group: green",)
    assert len(model.out_of_fold.sample_ids) == 24
    assert "green/only.png" not in model.out_of_fold.sample_ids
    assert found.calibrated_on == "out of fold"
    assert len(model.rejector.novelties) == 24
    assert set(model.predict(images / "green", runtime=fake.runtime).classes) == {"blue", "green", "red"}
    assert type(found).from_dict(found.to_dict()).to_dict() == found.to_dict()


def test_a_class_of_one_image_that_is_not_rare_prevents_cross_validation(fake, tmp_path):
    folder = make_classes(tmp_path / "few", {"red": RED, "blue": BLUE}, 3)
    save_image(folder / "green" / "only.png", GREEN)
    model = fit(extract(folder, "quadrants", runtime=fake.runtime), runtime=fake.runtime)
    found = model.evaluation
    assert (found.cv, found.ungrouped_accuracy, model.out_of_fold, model.rejector) == (None, None, None, None)
    assert found.cv_reason == (
        'class "green" has one image, so no fold can have this class in both its training and its test images'
    )
    assert found.notes == (
        "there are too few groups to tune logreg, so the middle value of each grid is used: C=1",
        "there is no cross-validation, and fewer than 10 independent validation images, so probabilities are not "
        "calibrated, and the model cannot reject images",
    )


def test_without_cross_validation_the_val_part_calibrates(fake, tmp_path):
    root = tmp_path / "set"
    rng = np.random.default_rng(0)
    for split, n in (("train", 8), ("val", 40)):
        for i in range(2 * n):
            grey = int(np.clip(rng.normal(110 + 40 * (i % 2), 25), 0, 255))
            save_image(root / split / "ab"[i % 2] / f"{split}{i}.png", (grey, grey, grey), seed=i + n)
    lines = [f"{p.relative_to(root).as_posix()},{p.parent.name},{p.parent.parent.name}" for p in root.rglob("*.png")]
    by_group = [f"{line},{line.split(',')[1] if line.endswith('train') else line.split(',')[0]}" for line in lines]
    (root / "list.csv").write_text("\n".join(["path,label,split,group", *by_group]))
    model = fit(extract(root / "list.csv", "quadrants", runtime=fake.runtime), "svm", runtime=fake.runtime)
    found = model.evaluation
    assert found.cv is None  # each class is one group
    assert found.calibrated_on == "val"
    assert "no cross-validation: probabilities are calibrated on the validation part" in found.notes
    assert model.temperature != 1.0
    assert len(model.rejector.novelties) == 80


@pytest.mark.parametrize(
    "head",
    [
        OneVsRestClassifier(LogisticRegression(max_iter=1)),
        GridSearchCV(LogisticRegression(max_iter=1), {"C": [1.0]}, cv=2),
    ],
)
def test_fits_inside_other_estimators_that_do_not_converge_are_counted(fake, table, head):
    found = fit(table, head, cv=2, runtime=fake.runtime).evaluation
    assert found.fits["cross-validation"] == {"n": 2, "n_not_converged": 2}
    assert found.fits["the final head"] == {"n": 1, "n_not_converged": 1}
    assert any("2 of 2 in cross-validation" in note for note in found.notes)


def test_fits_that_do_not_converge_are_reported(fake, table):
    found = fit(table, params={"max_iter": 1, "C": [1.0, 10.0]}, cv=3, runtime=fake.runtime).evaluation
    # tuning: two values on three inner folds, in each of three folds and for the final head
    assert found.notes == (
        "37 of 37 fits did not converge (3 of 3 in cross-validation, 9 of 9 in learning curve, "
        "1 of 1 in the final head, 24 of 24 in tuning); to allow more iterations, fit with `params={'max_iter': N}`",
    )
    assert fit(table, params={"C": 1.0}, cv=3, runtime=fake.runtime).evaluation.notes == ()


def test_images_without_label_are_left_out(fake, images):
    save_image(images / "loose.png", GREEN)
    table = extract(images, "quadrants", runtime=fake.runtime)
    assert len(table) == 25
    assert fit(table, runtime=fake.runtime).evaluation.n_images == 24


def test_errors_state_why_data_cannot_be_fitted(fake, images, tmp_path):
    flat = extract(images / "red", "quadrants", runtime=fake.runtime)
    with pytest.raises(EvaluationError, match="red has no labels; put the images of each class into their own folder"):
        fit(flat)
    single = make_classes(tmp_path / "one", {"red": RED}, 3)
    with pytest.raises(EvaluationError, match="has one class, 'red'; at least two classes are required"):
        fit(extract(single, "quadrants", runtime=fake.runtime))
    split = tmp_path / "split"
    make_classes(split / "train", {"red": RED, "blue": BLUE}, 2)
    make_classes(split / "test", {"green": GREEN}, 1)
    with pytest.raises(EvaluationError, match="the test part contains green, but the training part does not"):
        fit(extract(split, "quadrants", runtime=fake.runtime))
    both = extract(images, "quadrants", runtime=fake.runtime)
    with pytest.raises(OptionError, match="`cv=1`: expected 2 or more"):
        fit(both, cv=1)
    with pytest.raises(OptionError, match="`repeats=0`: expected 1 or more"):
        fit(both, repeats=0)
    with pytest.raises(HeadError, match="`head=forest`: expected logreg"):
        fit(both, "forest")


def test_probabilities_are_calibrated(fake, tmp_path):
    """With overlapping classes, the mean confidence on new images is close to the accuracy."""
    rng = np.random.default_rng(0)
    for part, n in (("learn", 150), ("new", 150)):
        for i in range(2 * n):
            grey = int(np.clip(rng.normal(110 + 30 * (i % 2), 25), 0, 255))
            save_image(tmp_path / part / "ab"[i % 2] / f"{i}.png", (grey, grey, grey), seed=i + 7 * len(part))
    model = fit(extract(tmp_path / "learn", "quadrants", runtime=fake.runtime), "svm", runtime=fake.runtime)
    new = extract(tmp_path / "new", "quadrants", runtime=fake.runtime)
    predicted = model.predict(new)
    accuracy = (np.array(predicted.labels) == new.y).mean()
    assert 0.6 < accuracy < 0.85
    assert abs(predicted.confidence.mean() - accuracy) < 0.06


def test_name_of_the_model_file(fake, table):
    assert default_model_name(table, "svm") == "set-quadrants-svm.featx"


@pytest.fixture
def one_split_above_30_images(monkeypatch):
    for room in ("evaluation.procedures.folds", "evaluation.procedures.cross_validation", "fitting.fitting"):
        monkeypatch.setattr(sys.modules[f"featx.{room}"], "MOST_CROSS_VALIDATED", 30)


def test_too_many_images_for_folds_are_split_once(fake, tmp_path, one_split_above_30_images):
    for number in range(60):
        scene(tmp_path / "set" / "ab"[number % 2] / f"{chr(97 + number // 2 % 26)}{number}.png", number)
    for number in range(10):
        shutil.copy(
            tmp_path / "set" / "a" / f"{chr(97 + number)}{2 * number}.png", tmp_path / "set" / "a" / f"_{number}.png"
        )
    table = extract(tmp_path / "set", "quadrants", runtime=fake.runtime)
    notices = []
    model = fit(table, cv=5, repeats=3, runtime=replace(fake.runtime, notice=notices.append))
    found = model.evaluation
    assert (found.n_images, found.cv.n_folds, found.cv.repeats) == (70, 1, 1)
    assert found.cv.splitter == "one split by StratifiedGroupKFold"
    n_tested = sum(one.n for one in found.cv.per_class)
    assert 10 <= n_tested <= 18
    assert len(found.cv.per_fold) == 1
    accuracy = found.cv.accuracy
    assert accuracy.mean == found.cv.per_fold[0]
    groups = len(set(model.out_of_fold.sample_ids)) - sum("_" in name for name in model.out_of_fold.sample_ids)
    assert groups < n_tested
    assert accuracy.low <= wilson(accuracy.mean, groups).low + 1e-9
    assert accuracy.high >= wilson(accuracy.mean, groups).high - 1e-9
    assert len(model.out_of_fold.sample_ids) == n_tested
    assert found.reliability is not None
    assert any("evaluated on one split instead of 5 folds, with undivided groups" in note for note in found.notes)
    assert notices[0] == "70 images: logreg takes about 1 min, estimated from 70 of them"
    model.save(tmp_path / "m.featx")
    assert Classifier.load(tmp_path / "m.featx").evaluation.cv == found.cv
    by_one, by_three = (fit(table, runtime=replace(fake.runtime, workers=n)).evaluation for n in (1, 3))
    assert by_one.cv == by_three.cv == found.cv


def test_one_split_keeps_groups_together(fake, tmp_path, one_split_above_30_images):
    for number in range(20):
        scene(tmp_path / "set" / "ab"[number % 2] / f"{chr(97 + number)}.png", number)
        shutil.copy(
            tmp_path / "set" / "ab"[number % 2] / f"{chr(97 + number)}.png",
            tmp_path / "set" / "ab"[number % 2] / f"_{chr(97 + number)}.png",
        )
    table = extract(tmp_path / "set", "quadrants", runtime=fake.runtime)
    tested = set(fit(table, "ridge", runtime=fake.runtime).out_of_fold.sample_ids)
    assert 0 < len(tested) < 40
    for name in tested:
        folder, _, file = name.partition("/")
        assert f"{folder}/{file.removeprefix('_') if file.startswith('_') else '_' + file}" in tested


def test_the_plan_for_many_images_is_reported_and_the_model_predicts(fake, table, tmp_path, monkeypatch):
    exact = fit(table, "svm-rbf", runtime=fake.runtime).evaluation
    assert "svm-rbf: the kernel is exact; above 10,000 images, it is approximated by 1,000 landmarks" in exact.notes
    monkeypatch.setattr(large, "MOST_EXACT", 20)
    monkeypatch.setattr(large, "LANDMARKS", 8)
    model = fit(table, "svm-rbf", runtime=fake.runtime)
    assert any("8 landmarks (Nystroem)" in note for note in model.evaluation.notes)
    assert any("8 landmarks (Nystroem)" in note for note in model.evaluation.to_dict()["notes"])
    assert set(model.evaluation.params) == {"alpha"}
    assert model.evaluation.cv.accuracy.mean == 1.0
    model.save(tmp_path / "m.featx")
    loaded = Classifier.load(tmp_path / "m.featx")
    assert loaded.predict(table).labels == tuple(table.y)
    np.testing.assert_array_equal(loaded.predict(table).probabilities, model.predict(table).probabilities)


# Features, folders and manifests as input of fit


def test_a_folder_a_manifest_and_the_last_extraction_can_be_fitted(fake, images, monkeypatch):
    table = extract(images, "quadrants", runtime=fake.runtime)
    expected = fit(table, "centroid", runtime=fake.runtime).evaluation.cv
    lines = [f"{sample.sample_id},{sample.label}" for sample in table.samples]
    (images / "list.csv").write_text("\n".join(["path,label", *lines]))
    for given in (images, str(images), images / "list.csv"):
        model = fit(given, "centroid", backbone="quadrants", runtime=fake.runtime)
        assert model.evaluation.cv == expected
        assert model.predict(images, runtime=fake.runtime).labels == tuple(table.y)
    assert fit(head="centroid", runtime=fake.runtime).evaluation.cv == expected
    assert fake.n_computed == 24


def test_a_folder_is_extracted_with_views(fake, images):
    model = fit(images, "centroid", backbone="quadrants", augment="light", views=2, seed=3, runtime=fake.runtime)
    assert (model.evaluation.views.n, model.evaluation.views.seed) == (2, 3)
    again = fit(None, "centroid", views=2, seed=3, runtime=fake.runtime)
    assert again.evaluation.views.difference == model.evaluation.views.difference


def test_incompatible_arguments_are_a_type_error(fake, table, images):
    with pytest.raises(
        TypeError, match="fit has no argument 'heed'; did you mean seed\\? it takes features, head, params"
    ):
        fit(images, heed="svm")
    with pytest.raises(TypeError, match="fit: backbone applies only to a folder or manifest; give a folder"):
        fit(table, backbone="quadrants")
    with pytest.raises(TypeError, match="fit: resize applies only to a folder or manifest; give a folder"):
        fit(resize="pad")
    with pytest.raises(TypeError, match="features is of type ndarray; expected FeatureTable, str, Path or None"):
        fit(table.X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_by": "plate"}, "`group_by=plate`: no image has such a group"),
        ({"group_by": "(P"}, "not a regular expression"),
        ({"group_by": "word:9"}, "`group_by=word:9`: no image has such a group"),
        ({"params": {"C": "abc"}}, "The 'C' parameter of LogisticRegression"),
        ({"head": "forest"}, "`head=forest`: expected logreg"),
        ({"cv": 1}, "expected 2 or more"),
    ],
)
def test_invalid_options_are_reported_before_any_image_is_computed(fake, images, options, message):
    with pytest.raises(FeatxError, match=message):
        fit(images, **{"backbone": "quadrants", "runtime": fake.runtime} | options)
    assert fake.starts == 0


def test_invalid_labels_are_reported_before_any_image_is_computed(fake, images, tmp_path):
    how = {"backbone": "quadrants", "runtime": fake.runtime}
    for data, message in (
        (images / "red", "red has no labels"),
        (make_classes(tmp_path / "one", {"red": RED}, 3), "has one class, 'red'"),
    ):
        with pytest.raises(EvaluationError, match=message):
            fit(data, **how)
    make_classes(tmp_path / "split" / "train", {"red": RED, "blue": BLUE}, 2)
    make_classes(tmp_path / "split" / "test", {"green": GREEN}, 1)
    for use in (fit, compare, finetune):
        with pytest.raises(EvaluationError, match="the test part contains green, but the training part does not"):
            use(tmp_path / "split", runtime=fake.runtime, **{} if use is compare else {"backbone": "quadrants"})
    for use in (compare, finetune):
        with pytest.raises(DatasetError, match="`group_by=plate`: no image has such a group"):
            use(images, group_by="plate", runtime=fake.runtime)
    assert fake.starts == 0
