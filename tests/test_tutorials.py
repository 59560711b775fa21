"""Run the five tutorials of docs/tutorials.md as printed, on small synthetic images."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from featx.cli.app import app

TUTORIALS = (Path(__file__).parent.parent / "docs" / "tutorials.md").read_text(encoding="utf-8")
QUICK = {
    "fit": "--size 64 --hidden 24,12",
    "finetune": "--size 64 --epochs 1 --views 1",
    "compare": "--sizes 64 --views 1",
    "predict": "",
    "capture": "--count 12 --full-frame --min-difference 1",
}
"""Options appended to each command so that it takes seconds; the last of equal options is used."""


def tutorial(name: str) -> list[list[str]]:
    """Return the commands of a tutorial, without ``featx``."""
    block = re.search(rf"<!-- tutorial: {name} -->\n```sh\n(.*?)```", TUTORIALS, re.S)
    assert block, name
    lines = [shlex.split(line) for line in block[1].splitlines()]
    assert all(words[0] == "featx" for words in lines)
    return [words[1:] for words in lines]


def quick(words: list[str]) -> list[str]:
    """Return a faster version of a command: fewer pixels, epochs, views and units."""
    more = shlex.split(QUICK[words[0]])
    pairs = dict(zip(more[::2], more[1::2], strict=True)) if "--full-frame" not in more else {}
    if not pairs:
        return [*words, *more]
    return [
        *words,
        *(
            word
            for name, value in pairs.items()
            if name in words or "size" in name or name == "--epochs"
            for word in (name, value)
        ),
    ]


def run(words: list[str]) -> dict[str, Any]:
    """Run the faster version of a printed command; return its JSON output."""
    if "--hidden" in words:  # each printed width is replaced by a small one
        words = [w if words[i - 1] != "--hidden" else "16" for i, w in enumerate(words)]
    done = CliRunner().invoke(app, [*quick(words), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


def draw(path: Path, shape: str, seed: int) -> None:
    """Draw a shape of random size and position on random grey patches."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(60, 190, (6, 6, 1)).repeat(12, axis=0).repeat(12, axis=1)
    image = Image.fromarray(np.clip(patches + rng.integers(-20, 21, (72, 72, 3)), 0, 255).astype(np.uint8))
    left, top, side = rng.integers(2, 30), rng.integers(2, 30), rng.integers(24, 40)
    box = (int(left), int(top), int(left + side), int(top + side))
    pen = ImageDraw.Draw(image)
    if shape == "disc":
        pen.ellipse(box, fill=(230, 50, 30))
    elif shape == "square":
        pen.rectangle(box, fill=(30, 60, 230))
    elif shape == "ring":
        pen.ellipse(box, outline=(250, 250, 250), width=6)
    else:
        pen.line(box, fill=(0, 0, 0), width=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def classes(
    folder: Path, names: dict[str, str], n: int, name: Callable[[int], str] = "{:02}.png".format, seed: int = 0
) -> None:
    """Write ``n`` drawings of each class; ``names`` maps the folder of a class to its shape."""
    for number, (label, shape) in enumerate(names.items()):
        for i in range(n):
            draw(folder / label / name(i), shape, 10_000 * seed + 1000 * number + i)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keras_start: Callable[[], None]) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    monkeypatch.setattr("featx.comparison.held_out.SCRATCH_SIZE", 32)
    monkeypatch.setattr("featx.training.config._FROM_SCRATCH", {"epochs": 1})
    return tmp_path


def test_two_public_figures(here: Path) -> None:
    classes(here / "people", {"ada": "disc", "bob": "square"}, 15)
    classes(here / "unseen", {"": "disc"}, 3, seed=2)
    frozen, tuned, predicted = (run(words) for words in tutorial("people"))
    assert frozen["cv"]["accuracy"]["mean"] > 0.9
    assert tuned["finetuned"]["accuracy"]["mean"] > 0.8
    assert tuned["unfrozen"].startswith("4 blocks")
    assert predicted["n_predicted"] == 3
    assert "ada" in (here / "unseen.csv").read_text()
    assert "ada" in (here / "unseen.html").read_text(encoding="utf-8")


def test_four_sketch_classes(here: Path) -> None:
    shapes = {"disc": "disc", "line": "line", "ring": "ring", "square": "square"}
    classes(here / "sketches", shapes, 12, lambda i: f"person{i % 6}__{i:02}.png")
    ungrouped, by_drawer, tuned = (run(words) for words in tutorial("sketches"))
    assert ungrouped["params"]["hidden_layer_sizes"] == "(24, 12)"
    assert (ungrouped["n_groups"], by_drawer["n_groups"]) == (48, 6)
    assert by_drawer["groups"]["group_by"] == "([^/]+)__"
    assert tuned["n_held_out"] >= 8
    assert tuned["step_zero"]["val_accuracy"] == pytest.approx(tuned["step_zero"]["frozen_val_accuracy"], abs=0.13)


def test_two_people_by_webcam(here: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    commands, n_frames = tutorial("webcam"), 0
    for number in range(3):
        for person, words in zip(("anna", "ben"), commands[:2], strict=True):
            video = here / f"{person}-{number}.avi"
            record(cv2, video, person, number)
            captured = run([video.name if word == "0" else word for word in words])
            n_frames += captured["n_kept"]
            assert captured["n_kept"] >= 8
    fitted, tuned = (run(words) for words in commands[2:4])
    assert (fitted["n_images"], fitted["n_groups"], fitted["groups"]["n_recordings"]) == (n_frames, 6, 6)
    assert fitted["cv"]["n_folds"] == 3
    assert tuned["n_train"] + tuned["n_val"] + tuned["n_held_out"] == n_frames
    classes(here / "new", {"": "disc"}, 2)
    assert run(commands[4])["n_images"] == 2


def record(cv2: Any, path: Path, person: str, seed: int) -> None:
    """Write a video of a shape that moves over a textured wall."""
    rng = np.random.default_rng(seed)
    wall = rng.integers(60, 200, (20, 24, 3)).astype(np.uint8).repeat(6, axis=0).repeat(6, axis=1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 15.0, (144, 120))
    for i in range(40):
        image = Image.fromarray(wall)
        pen = ImageDraw.Draw(image)
        box = (10 + 2 * i, 20 + i, 60 + 2 * i, 70 + i)
        if person == "anna":
            pen.ellipse(box, fill=(230, 60, 40))
        else:
            pen.rectangle(box, fill=(30, 60, 230))
        writer.write(np.asarray(image)[..., ::-1].copy())
    writer.release()


def test_cats_and_dogs(here: Path) -> None:
    classes(here / "cats-dogs", {"cat": "disc", "dog": "ring"}, 15)
    (found,) = (run(words) for words in tutorial("cats-dogs"))
    assert {row["backbone"] for row in found["rows"]} == {
        "efficientnet-lite0", "efficientnet-lite0, 5 blocks trained", "scratch-cnn",
    }  # fmt: skip
    assert set(found["histories"]) == {"efficientnet-lite0, 5 blocks trained", "scratch-cnn"}
    with Image.open(here / "curves.png") as image:
        assert image.size[0] > 1000


def test_binary_with_folders(here: Path) -> None:
    classes(here / "binary" / "train", {"no": "ring", "yes": "square"}, 15)
    classes(here / "binary" / "validation", {"no": "ring", "yes": "square"}, 5, seed=1)
    classes(here / "new", {"": "square"}, 2, seed=2)
    tuned, predicted = (run(words) for words in tutorial("binary"))
    assert (tuned["n_train"], tuned["n_val"], tuned["n_held_out"], tuned["is_own_test"]) == (24, 10, 6, False)
    assert predicted["n_predicted"] == 2


@pytest.mark.parametrize("backbone", ["vgg16", "vgg19", "resnet50", "mobilenet", "inceptionv3"])
def test_common_networks_are_cut_and_trained(backbone: str, keras_start: Callable[[], None]) -> None:
    """With random weights, one step on the top block changes this block and no layer below it."""
    from featx.backbones import build_core, find_backbone_source
    from featx.spec import FeatureSpec
    from featx.training import TrainingConfig, choose_cut
    from featx.training.loop import Trainer
    from featx.training.networks import Trainable

    source = find_backbone_source(backbone, "random", 96)
    spec = FeatureSpec(backbone, source.weights, source.preprocess, 96, "1", "tensorflow", "float32")
    core = build_core(spec, None)
    cut = choose_cut(core, 1)
    n_features = core.output_shape[-1]
    rng = np.random.default_rng(0)
    network = Trainable(core, cut.below, spec.preprocess, "avg", [rng.normal(0, 0.01, (n_features, 2))], [np.zeros(2)])
    before = [np.array(variable) for variable in network.blocks.trainable_variables]
    pixels = rng.integers(0, 256, (4, 96, 96, 3)).astype(np.uint8)
    loss, _ = Trainer(network, TrainingConfig(learning_rate=1e-2), [2, 2]).step(
        np.asarray(network.frozen(pixels)), np.array([0, 1, 0, 1])
    )
    assert np.isfinite(loss)
    after = network.blocks.trainable_variables
    assert any(not np.array_equal(one, np.array(two)) for one, two in zip(before, after, strict=True))
    assert network.frozen.trainable_variables == []
