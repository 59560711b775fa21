"""``featx finetune`` from end to end with a small network of random weights, and the inputs that it refuses."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import featx
from featx.caching import list_cache
from featx.errors import (
    BackboneError,
    DatasetError,
    EngineError,
    EvaluationError,
    HeadError,
    OptionError,
    OutputError,
    SpecError,
    TrainingError,
)
from featx.evaluation.procedures import split_train_val_test
from featx.finetuning import extract_and_split, fit_head, with_features_of
from featx.heads import make_head
from featx.options import FeatureOptions, RunOptions, SplitOptions
from featx.runtime import Runtime
from featx.training import TrainingConfig

N = 40
OPTIONS: dict[str, Any] = {"preprocess": "tf", "resize": "squash", "precision": "float32"}


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return three classes that differ in the direction and width of stripes, 40 images each."""
    folder = tmp_path_factory.mktemp("stripes")
    rng = np.random.default_rng(0)
    for name, (step, axis) in {"across": (4, 0), "down": (4, 1), "wide": (8, 0)}.items():
        (folder / name).mkdir()
        for i in range(N):
            at = np.arange(32) + rng.integers(0, step)
            band = 70.0 * (at // (step // 2) % 2)
            pixels = (band[:, None] if axis == 0 else band[None, :])[..., None] + rng.normal(80, 60, (32, 32, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def finetune(stripes: Path, network: Path, cache: Path, **changes: Any) -> featx.Finetuning:
    options = {"unfreeze": 2, "epochs": 8, "batch_size": 8, "learning_rate": 1e-2, **OPTIONS, **changes}
    callbacks = options.pop("callbacks", {})
    return featx.finetune(stripes, str(network), runtime=Runtime(cache, workers=2, **callbacks), **options)


def test_blocks_are_trained_and_the_result_is_used_like_any_other(
    stripes: Path, network: Path, cache: Path, tmp_path: Path
) -> None:
    output = tmp_path / "stripes.featx"
    done = finetune(stripes, network, cache, output=output)
    assert done.step_zero == done.frozen_val
    assert (done.n_train, done.n_val, done.comparison.n) == (76, 20, 24)
    assert done.history.epochs[done.history.best].val_loss < done.history.epochs[0].val_loss
    assert done.comparison.kept == "finetuned"
    frozen, tuned, difference = done.comparison.frozen, done.comparison.finetuned, done.comparison.difference
    assert frozen is not None
    assert difference is not None
    assert difference.mean == pytest.approx(tuned.mean - frozen.mean)
    assert tuned.mean > frozen.mean
    assert set(done.to_dict()) >= {
        "backbone", "kept", "frozen", "finetuned", "difference", "epochs", "seconds_per_epoch", "seconds",
    }  # fmt: skip

    # the network can be used as a backbone
    assert done.backbone == tmp_path / "stripes.keras"
    table = featx.extract(stripes, str(done.backbone), resize="squash", runtime=Runtime(cache))
    assert table.extraction.n_features == 8
    assert table.spec.preprocess == "tf"

    # the model predicts in another cache, without the file of the network
    done.backbone.unlink()
    scores = tmp_path / "scores.csv"
    predicted = featx.predict(output, stripes, scores, runtime=Runtime(tmp_path / "other"))
    assert predicted.n_predicted == 3 * N
    rows = [line.split(",") for line in scores.read_text().splitlines()[1:]]
    right = sum(Path(row[0]).parent.name == row[1] for row in rows)
    assert right / len(rows) > 0.8
    assert sum(row[4] == "true" for row in rows) == done.n_train + done.n_val  # held-out images are not training images
    assert "fine-tuned" in str(featx.report(output))
    with Image.open(tmp_path / "stripes.png") as curves:
        assert curves.size == (1200, 380)
    assert (tmp_path / "stripes.csv").read_text().startswith("epoch,learning_rate,loss")


def test_the_same_command_again_trains_nothing(stripes: Path, network: Path, cache: Path) -> None:
    first = finetune(stripes, network, cache)
    steps: list[str] = []
    again = finetune(stripes, network, cache, callbacks={"progress": lambda stage, done, total: steps.append(stage)})
    assert "training, step" not in steps
    assert again.comparison == first.comparison
    assert again.classifier.spec == first.classifier.spec


def test_a_stopped_run_is_resumed(stripes: Path, network: Path, cache: Path) -> None:
    whole = finetune(stripes, network, cache, seed=5, learning_rate=2e-3)

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "training, step" and done == 23:  # ten steps an epoch
            raise KeyboardInterrupt

    other = cache / "stopped"
    with pytest.raises(KeyboardInterrupt):
        finetune(stripes, network, other, seed=5, learning_rate=2e-3, callbacks={"progress": stop})
    notices: list[str] = []
    done = finetune(stripes, network, other, seed=5, learning_rate=2e-3, callbacks={"notice": notices.append})
    assert "resuming a stopped run after epoch 2" in notices
    losses = [[epoch.val_loss for epoch in one.history.epochs] for one in (whole, done)]
    np.testing.assert_allclose(*losses, atol=1e-4)
    assert done.comparison.finetuned == whole.comparison.finetuned


def test_without_the_cached_trunk_the_result_is_the_same(stripes: Path, network: Path, cache: Path) -> None:
    how = {"augment": "flip=horizontal,rotation=10", "views": 2, "epochs": 3}
    cached = finetune(stripes, network, cache, **how)
    stores = list_cache(runtime=Runtime(cache)).stores
    viewed = [store.n_rows + store.n_unfinished for store in stores if store.spec.get("augment")]
    assert viewed == [2 * cached.n_train]  # of the training images only
    anew = finetune(stripes, network, cache / "anew", trunk_cache=False, **how)
    losses = [[epoch.val_loss for epoch in one.history.epochs] for one in (cached, anew)]
    np.testing.assert_allclose(*losses, atol=1e-3)
    assert anew.comparison.finetuned.mean == pytest.approx(cached.comparison.finetuned.mean, abs=0.1)


def test_images_that_are_added_while_it_trains_are_an_error(
    stripes: Path, network: Path, cache: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(stripes, tmp_path / "set"))

    def add(stage: str, done: int, total: int) -> None:
        if stage == "training, step" and done == total:
            Image.new("RGB", (32, 32), (200, 0, 0)).save(data / "across" / "new.png")

    with pytest.raises(TrainingError, match="has changed during training; run the command again"):
        finetune(data, network, cache, epochs=1, callbacks={"progress": add})


def test_what_is_read_is_never_replaced(stripes: Path, network: Path, cache: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copy(network, tmp_path / "mine.keras"))
    with pytest.raises(OutputError, match=r"would replace .*mine.keras, which is an input; choose another name"):
        finetune(stripes, mine, cache, output=tmp_path / "mine.featx", overwrite=True)


def test_a_network_of_any_size_that_was_finetuned_before(
    stripes: Path, cache: Path, tmp_path: Path, keras_start: Callable[[], None]
) -> None:
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    inputs = x = keras.Input((None, None, 3))
    for number in (1, 2):
        x = layers.MaxPooling2D()(layers.Conv2D(8, 3, padding="same", activation="relu", name=f"block{number}_c")(x))
    keras.Model(inputs, x).save(tmp_path / "any.keras")
    how = {"size": 32, "unfreeze": 1, "epochs": 1, "hidden": [12]}
    once = finetune(stripes, tmp_path / "any.keras", cache, **how)
    twice = featx.finetune(
        stripes, str(once.backbone), unfreeze=1, epochs=1, hidden=[6], resize="squash", precision="float32",
        runtime=Runtime(cache, workers=2),
    )  # fmt: skip
    assert twice.step_zero == twice.frozen_val


def test_a_top_of_dense_layers_begins_as_an_mlp(stripes: Path, network: Path, cache: Path, tmp_path: Path) -> None:
    done = finetune(stripes, network, cache, top="flatten", hidden=[24, 12], dropout=0.2, epochs=2)
    assert done.step_zero == done.frozen_val
    assert done.classifier.spec.graph is not None or done.comparison.kept == "frozen"
    if done.comparison.kept == "finetuned":
        assert done.classifier.probes.shape[1] == 12


def test_without_a_gain_the_frozen_network_is_kept(stripes: Path, network: Path, cache: Path) -> None:
    done = finetune(stripes, network, cache, learning_rate=1e-9, epochs=1)
    assert done.comparison.kept == "frozen"
    assert done.comparison.difference is not None
    assert done.comparison.difference.mean == 0
    assert done.classifier.evaluation.comparison == done.comparison
    assert done.classifier.evaluation.head == "logreg"


def test_from_scratch(images: Path, cache: Path) -> None:
    done = featx.finetune(
        images, "scratch-cnn", size=32, epochs=6, batch_size=4, learning_rate=1e-3, runtime=Runtime(cache, workers=2)
    )
    assert (done.comparison.frozen, done.comparison.difference, done.frozen_val) == (None, None, None)
    assert done.comparison.kept == "finetuned"
    assert done.comparison.finetuned.mean == 1.0  # blue and red
    assert done.classifier.probes.shape[1] == 512
    assert done.history.epochs[1].loss < 0.7


def test_from_scratch_takes_nothing_of_another_network(images: Path, cache: Path) -> None:
    with pytest.raises(
        TrainingError, match="scratch-cnn is trained as a whole, from random weights; leave out `unfreeze`, `h"
    ):
        featx.finetune(images, "scratch-cnn", unfreeze=2, head="mlp", runtime=Runtime(cache))


def test_from_scratch_frozen_and_finetuned_in_one_table(
    stripes: Path, network: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featx.comparison.held_out.SCRATCH_SIZE", 32)
    monkeypatch.setattr("featx.training.config._FROM_SCRATCH", {"epochs": 2})
    curves = tmp_path / "curves.png"
    (cache / "latest.json").unlink(missing_ok=True)
    found = featx.compare(
        stripes, [str(network)], ["logreg", "knn"], scratch=True, unfreeze=2, curves=curves, resizes=["squash"],
        preprocess="tf", precision="float32", runtime=Runtime(cache, workers=2),
    )  # fmt: skip
    tuned = f"{network}, 2 blocks trained"
    assert {(row.backbone, row.head) for row in found.rows} == {
        (str(network), "logreg"), (str(network), "knn"), (tuned, "trained"), ("scratch-cnn", "trained"),
    }  # fmt: skip
    assert (found.n_folds, found.n_images, found.splitter) == (1, 76, "24 held-out images (groups are not divided)")
    means = [row.accuracy.mean for row in found.rows]
    assert means == sorted(means, reverse=True)
    best = found.rows[0]
    for row in found.rows[1:]:
        assert row.difference_to_best.mean == pytest.approx(row.accuracy.mean - best.accuracy.mean)
    assert set(found.histories) == {tuned, "scratch-cnn"}
    alone = finetune(stripes, network, cache, unfreeze=2, epochs=10, batch_size=32, learning_rate=3e-4)
    assert not (cache / "latest.json").exists()  # neither compare nor finetune updates it
    assert alone.comparison.frozen is not None
    assert next(row for row in found.rows if row.head == "logreg").accuracy == alone.comparison.frozen
    with Image.open(curves) as image:
        assert image.size == (1200, 380)
    with pytest.raises(EvaluationError, match="without folds; leave out `cv` and `repeats`"):
        featx.compare(stripes, [str(network)], ["logreg"], unfreeze=1, cv=3, runtime=Runtime(cache))
    with pytest.raises(EvaluationError, match="add `scratch=True` or `unfreeze=N`"):
        featx.compare(stripes, [str(network)], ["logreg"], curves=curves, runtime=Runtime(cache))


def test_the_command(
    stripes: Path, network: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featx.cli.app import app

    monkeypatch.chdir(tmp_path)
    words = ["finetune", str(stripes), "--backbone", str(network), "--preprocess", "tf", "--resize", "squash"]
    words += [
        "--precision",
        "float32",
        "--unfreeze",
        "2",
        "--epochs",
        "8",
        "--batch-size",
        "8",
        "--learning-rate",
        "0.01",
        "--cache",
        str(cache),
    ]
    ran = CliRunner().invoke(app, [*words, "--json"])
    assert ran.exit_code == 0, ran.output
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result["kept"] == "finetuned"
    assert result["model"] == f"{stripes.name}-tiny-finetuned.featx"
    assert Path(result["model"]).exists()
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 1
    assert "exists; add --overwrite to replace it" in again.output


def test_the_next_command_names_the_network_where_the_model_lacks_it(
    stripes: Path, network: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featx.cli.app import app

    monkeypatch.chdir(tmp_path)
    words = f"finetune {stripes} --backbone {network} --preprocess tf --resize squash --engine tensorflow --unfreeze 2"
    words += f" --epochs 8 --batch-size 8 --learning-rate 0.01 --cache {cache} -o s.featx"
    ran = CliRunner().invoke(app, words.split())
    assert ran.exit_code == 0, ran.output
    assert "fine-tuned " in ran.stdout
    assert re.search(r'^baseline   majority class "\w+": 0\.\d{3}$', ran.stdout, re.MULTILINE)
    last = ran.stdout.splitlines()[-1]
    assert last.startswith("next       featx predict s.featx FOLDER --weights s.keras -o scores.csv")
    following = last.removeprefix("next       featx ").replace("FOLDER", str(stripes)).split()
    assert CliRunner().invoke(app, following).exit_code == 0


def test_the_best_of_a_comparison_can_be_trained_by_the_next_command(
    stripes: Path, network: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from featx.cli.app import app
    from featx.comparison import held_out

    monkeypatch.chdir(tmp_path)
    shutil.copy(network, "own.keras")
    Path("own.json").write_text('{"preprocess": "tf", "size": 32}')
    monkeypatch.setattr(
        held_out, "make_config", lambda *how: TrainingConfig(epochs=8, batch_size=8, learning_rate=1e-2)
    )
    words = f"compare {stripes} --backbones own.keras --heads logreg --resizes squash --unfreeze 2"
    ran = CliRunner().invoke(app, [*words.split(), "--cache", str(cache)])
    assert ran.exit_code == 0, ran.output
    last = ran.stdout.splitlines()[-1]
    options = f"--resize squash --unfreeze 2 --cache {cache}"
    assert last == f"next       featx finetune {stripes} --backbone own.keras {options}"
    following = [*last.removeprefix("next       featx ").split(), "--epochs", "1"]
    assert CliRunner().invoke(app, following).exit_code == 0


def test_an_image_is_not_written_into_the_folder_that_is_read(
    stripes: Path, network: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    among = "the next run would read this file as one of the images of .*; choose another folder"
    with pytest.raises(OutputError, match=among):
        finetune(stripes, network, cache, output=stripes / "model.featx")
    with pytest.raises(OutputError, match=among):
        featx.compare(stripes, ["scratch-cnn"], scratch=True, curves=stripes / "c.png", runtime=Runtime(cache))
    with pytest.raises(OutputError, match=among):
        featx.extract(stripes, preview=stripes / "across" / "p.png", runtime=Runtime(cache))
    monkeypatch.chdir(stripes)
    with pytest.raises(OutputError, match=among):
        finetune(Path(), network, cache, output="model.featx")
    assert len(list(stripes.rglob("*"))) == 3 + 3 * N


def test_images_without_a_group_are_reported(stripes: Path, network: Path, cache: Path) -> None:
    done = finetune(stripes, network, cache, epochs=1, group_by=r"across/(0\d)")
    note = (
        r"`group_by=across/(0\d)` names no group for 110 of 120 images, for example 'across/10.png'; "
        "these images are grouped only with their duplicates, near-duplicates and recordings"
    )
    assert note in done.notes
    groups = done.classifier.evaluation.groups
    assert (groups["group_by"], groups["n_named"]) == (r"across/(0\d)", 10)


def test_free_disk_space_is_required_for_missing_rows_only(
    stripes: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=200_000_000)
    with monkeypatch.context() as patch:
        patch.setattr("featx.training.activations.shutil.disk_usage", lambda path: full)
        with pytest.raises(TrainingError, match=r"need 0\.0 GB while they are written, but only 0\.2 GB are free"):
            finetune(stripes, network, tmp_path, epochs=1)
    finetune(stripes, network, tmp_path, epochs=1)
    monkeypatch.setattr("featx.training.activations.shutil.disk_usage", lambda path: full)
    finetune(stripes, network, tmp_path, epochs=1, seed=1)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"top": "mean"}, TrainingError, "`top=mean`: expected gap, gmp or flatten"),
        ({"hidden": [0]}, OptionError, "`hidden=0`: expected 1 or more"),
        ({"precision": "int8"}, EngineError, "a quantized network cannot be fine-tuned"),
        ({"views": 2}, SpecError, "`views=2` requires `augment`; expected light"),
        ({"augment": "heavy", "views": 2}, SpecError, "heavy"),
        ({"unfreeze": 9}, TrainingError, "`unfreeze=9`"),
        ({"head": "knn"}, HeadError, "the head knn cannot be converted to the initial dense layers for 3 classes"),
        ({"head": "svm"}, HeadError, "use logreg, ridge or mlp"),
        ({"optimizer": "lion"}, TrainingError, "`optimizer=lion`"),
        (
            {"head": "ridge", "hidden": [8]},
            HeadError,
            "`head=ridge`: hidden dense layers are initialised with a head mlp",
        ),
    ],
)
def test_invalid_options_are_errors(
    stripes: Path, network: Path, cache: Path, wrong: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        finetune(stripes, network, cache, **wrong)


def test_an_onnx_network_is_refused(stripes: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"net.onnx is an ONNX file, which cannot be fine-tuned"):
        featx.finetune(stripes, str(tmp_path / "net.onnx"), runtime=Runtime(cache))


def test_no_group_is_in_two_parts(fake: Any, images: Path) -> None:
    table = featx.extract(images, "quadrants", runtime=fake.runtime)
    groups = np.arange(len(table)) // 3
    parts = split_train_val_test(table, groups, 0)
    members = [set(groups[at].tolist()) for at in (parts.train, parts.val, parts.test)]
    assert len(set.union(*members)) == sum(map(len, members))
    assert sum(map(len, (parts.train, parts.val, parts.test))) == len(table)
    assert all(set(parts.y[at]) == {0, 1} for at in (parts.train, parts.val, parts.test))
    with pytest.raises(EvaluationError, match='no validation or test part can be held out: class "blue" has'):
        split_train_val_test(table, np.arange(len(table)) // 12, 0)


def test_own_parts_lose_images_that_share_a_group_with_training_images(fake: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, n in {"test": 3, "train": 12, "val": 4}.items():
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{i}.png")
    table = featx.extract(tmp_path, "quadrants", runtime=fake.runtime)
    at = {sample.sample_id: i for i, sample in enumerate(table.samples)}
    groups = np.arange(len(table))

    def joined(*pairs: tuple[str, str]) -> np.ndarray:
        joint = groups.copy()
        for one, other in pairs:
            joint[at[one]] = joint[at[other]]
        return joint

    def names(positions: np.ndarray) -> set[str]:
        return {table.samples[i].sample_id for i in positions}

    whole = split_train_val_test(table, groups, 0)
    assert whole.is_own_test
    assert [len(part) for part in (whole.train, whole.val, whole.test)] == [24, 8, 6]
    parts = split_train_val_test(
        table,
        joined(
            ("val/a/0.png", "train/a/0.png"),
            ("val/b/1.png", "test/b/1.png"),
            ("test/a/2.png", "train/b/0.png"),
        ),
        0,
    )
    assert names(whole.val) - names(parts.val) == {"val/a/0.png", "val/b/1.png"}
    assert names(whole.test) - names(parts.test) == {"test/a/2.png"}
    assert names(parts.train) == names(whole.train)

    def all_like(part: str, other: str) -> np.ndarray:
        joint = groups.copy()
        for sample_id, position in at.items():
            if sample_id.startswith(part):
                joint[position] = at[other]
        return joint

    with pytest.raises(EvaluationError, match="every image of the test part shares a group with a training image"):
        split_train_val_test(table, all_like("test/", "train/a/0.png"), 0)
    with pytest.raises(
        EvaluationError, match="every image of the validation part shares a group with a training image"
    ):
        split_train_val_test(table, all_like("val/", "train/a/0.png"), 0)
    with pytest.raises(EvaluationError, match="every image of the validation part shares a group with a test image"):
        split_train_val_test(table, all_like("val/", "test/a/0.png"), 0)


PLAIN_KERAS = """
import json, sys
from pathlib import Path
import keras
import numpy as np
from PIL import Image

model = keras.saving.load_model("stripes-classifier.keras")
classes = json.loads(Path("stripes-classifier.json").read_text())["classes"]
paths = sorted(Path(sys.argv[1]).rglob("*.png"))
pixels = np.stack([np.asarray(Image.open(path)) for path in paths])  # uint8, of the input's size
for probabilities in (model.predict(pixels, verbose=0), np.asarray(model(pixels.astype("float32")))):
    rows = {str(path): dict(zip(classes, map(float, row))) for path, row in zip(paths, probabilities)}
    print(json.dumps(rows))
assert "featx" not in sys.modules
"""


def test_the_classifier_runs_with_keras_alone(stripes: Path, network: Path, cache: Path, tmp_path: Path) -> None:
    output = tmp_path / "stripes.featx"
    done = finetune(stripes, network, cache, output=output)
    assert done.comparison.kept == "finetuned"
    assert done.keras_classifier == tmp_path / "stripes-classifier.keras"
    featx.predict(output, stripes, tmp_path / "scores.csv", runtime=Runtime(cache))
    with (tmp_path / "scores.csv").open(newline="") as stream:
        expected = {row["path"]: row for row in csv.DictReader(stream)}
    command = [sys.executable, "-I", "-c", PLAIN_KERAS, str(stripes)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for line in ran.stdout.splitlines():
        found = json.loads(line)
        assert found.keys() == expected.keys()
        for path, row in found.items():
            for name, probability in row.items():
                assert probability == pytest.approx(float(expected[path][f"p_{name}"]), abs=1e-3)
    about = json.loads((tmp_path / "stripes-classifier.json").read_text())
    assert about["size"] == 32
    assert about["resize"] == "squash"

    # the classifier can be used as a backbone: its features are the inputs of the last layer
    table = featx.extract(
        stripes, str(done.keras_classifier), resize="squash", precision="float32", runtime=Runtime(cache)
    )
    twin = featx.extract(stripes, str(done.backbone), resize="squash", precision="float32", runtime=Runtime(cache))
    np.testing.assert_allclose(table.X, twin.X, atol=1e-3)


@pytest.mark.parametrize("preprocess", ["caffe", "tf", "torch", "lite", "none", "mean=0.5,0.4,0.3;std=0.2,0.3,0.4"])
def test_the_classifier_for_keras_scales_pixels_as_its_network_does(
    tmp_path: Path, keras_start: Callable[[], None], preprocess: str
) -> None:
    import keras
    from keras import layers

    from featx.backbones.preprocess import preprocess_pixels
    from featx.training.networks import Trainable

    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    core = keras.Model(inputs, layers.Conv2D(4, 3, activation="relu", name="top_scaling")(inputs))
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(0, 0.05, (4, 3)), rng.normal(size=3)
    network = Trainable(core, core.layers[0].name, preprocess, "avg", [kernel], [bias])
    network.save_classifier(tmp_path / "net.keras", preprocess, 2.0)
    pixels = rng.integers(0, 256, (5, 8, 8, 3)).astype(np.float32)
    maps = np.asarray(core(preprocess_pixels(keras.ops.convert_to_tensor(pixels), preprocess)))
    logits = (maps.mean(axis=(1, 2)) @ kernel + bias) / 2.0
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(np.asarray(loaded(pixels)), expected, atol=1e-4)


def test_a_model_stores_the_predictions_of_held_out_images(
    stripes: Path, network: Path, cache: Path, tmp_path: Path
) -> None:
    output = tmp_path / "stripes.featx"
    done = finetune(stripes, network, cache, output=output)
    for model in (done.classifier, featx.load(output)):
        evaluation, known = model.evaluation, model.out_of_fold
        test = evaluation.judged
        assert known is not None
        confusion = np.array(test.confusion)
        assert confusion.sum() == test.n == len(known.sample_ids) == done.comparison.n
        assert np.trace(confusion) / confusion.sum() == pytest.approx(done.comparison.finetuned.mean)
        assert [one.name for one in test.per_class] == ["across", "down", "wide"]
        predicted = [model.classes_[number] for number in known.predicted]
        hits = [Path(name).parent.name == label for name, label in zip(known.sample_ids, predicted, strict=True)]
        assert np.mean(hits) == pytest.approx(done.comparison.finetuned.mean)
        training = {row.tobytes() for row in model.content_hashes}
        assert known.content_hashes is not None
        assert not training & {row.tobytes() for row in known.content_hashes}


def test_the_error_names_the_network_as_the_user_did(stripes: Path, network: Path, cache: Path) -> None:
    message = rf"`unfreeze=99`: {re.escape(str(network))} has 3 blocks \(block1 to block3\); expected 1 to 3"
    with pytest.raises(TrainingError, match=message):
        finetune(stripes, network, cache, unfreeze=99)


def test_another_backbone_has_the_same_split(fake: Any, images: Path) -> None:
    first = extract_and_split(images, "quadrants", FeatureOptions(), RunOptions(), SplitOptions(), fake.runtime)
    other = with_features_of(first, "quadrants", FeatureOptions(resize="squash"))
    assert (other.table.spec.resize, first.table.spec.resize) == ("squash", "crop")
    assert other.split is first.split
    candidate = fit_head(other, make_head("centroid", None, None, 0))
    assert len(candidate.hits) == len(first.split.test)
    assert candidate.accuracy.mean == candidate.hits.mean() == 1.0  # blue and red
    assert candidate.val_accuracy == 1.0
    assert candidate.difference(candidate).mean == 0
    assert candidate.with_graph() is candidate
    Image.new("RGB", (32, 32), (200, 0, 0)).save(images / "red" / "new.png")
    with pytest.raises(DatasetError, match="has changed during the comparison; run the command again"):
        with_features_of(first, "quadrants", FeatureOptions())
