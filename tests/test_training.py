"""Training of a network that is cut in two: blocks, cached activations, resumption, learning rates."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featx.errors import BackboneError, OptionError, TrainingError
from featx.runtime import Runtime
from featx.training import Epoch, History, TrainingConfig, choose_cut, draw_curves
from featx.training.checkpoints import read_checkpoint, write_checkpoint
from featx.training.feeds import InOrder, Shuffled
from featx.training.schedule import warmup_cosine

N_CLASSES = 3


@pytest.fixture(autouse=True)
def _keras(keras_start: Callable[[], None]) -> None:
    pass


def tiny_core(seed: int = 0) -> Any:
    """Return a network of three blocks with a residual connection in the second; its weights are always the same."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for number in (1, 2, 3):
        y = layers.Conv2D(8, 3, padding="same", name=f"block{number}_conv")(x)
        y = layers.BatchNormalization(name=f"block{number}_bn")(y)
        y = layers.ReLU(name=f"block{number}_relu")(y)
        x = layers.Add(name=f"block{number}_add")([x, y]) if number == 2 else y
        x = layers.MaxPooling2D(name=f"block{number}_pool")(x) if number < 3 else x
    return keras.Model(inputs, x, name="tiny")


@dataclass
class Result:
    network: Any
    history: History


class Task:
    """Sixty synthetic images of three classes: 45 training images and 15 validation images."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.pixels = rng.integers(0, 256, (60, 16, 16, 3)).astype(np.uint8)
        self.y = np.arange(60) % N_CLASSES
        self.pixels[self.y == 1, ..., 0] //= 3
        self.pixels[self.y == 2, ..., 2] //= 3
        self.weights = [rng.normal(0, 0.1, (8, N_CLASSES))]
        self.biases = [np.zeros(N_CLASSES)]

    def network(self, config: TrainingConfig, unfreeze: int | str = 2) -> Any:
        core = tiny_core()
        below = choose_cut(core, unfreeze).below
        from featx.training.networks import Trainable

        return Trainable(core, below, "tf", "avg", self.weights, self.biases, config.dropout, config.seed)

    def run(
        self, folder: Path, config: TrainingConfig, unfreeze: int | str = 2, cached: bool = True, **callbacks: Any
    ) -> tuple[Result, np.ndarray]:
        """Train; return the result and the logits of the validation images."""
        from featx.training.loop import Trainer, run

        folder.mkdir(parents=True, exist_ok=True)
        network = self.network(config, unfreeze)
        inputs = np.asarray(network.frozen(self.pixels)) if cached else self.pixels
        validation = InOrder(lambda view, at: inputs[at], np.arange(45, 60), self.y[45:], config.batch_size)
        training = Shuffled(lambda view, at: inputs[at], np.arange(45), self.y[:45], 0, config.batch_size, config.seed)
        trainer = Trainer(network, config, np.bincount(self.y[:45]).tolist())
        history = run(trainer, training, validation, config, folder, Runtime(**callbacks))
        return Result(network, history), trainer.logits(validation)


CONFIG = TrainingConfig(epochs=3, batch_size=8, learning_rate=1e-2, dropout=0.2)


def test_blocks_follow_from_the_names_of_layers() -> None:
    core = tiny_core()
    assert choose_cut(core, 1).below == "block2_pool"
    assert choose_cut(core, 2).first == "block2"
    assert choose_cut(core, "auto").n_blocks == 1
    whole = choose_cut(core, "all")
    assert (whole.is_whole, whole.n_blocks, whole.shape) == (True, 3, (16, 16, 3))


def test_a_layer_is_trained_with_all_above_it_from_the_nearest_place_that_can_be_cut() -> None:
    core = tiny_core()
    assert choose_cut(core, "block3_bn").below == "block3_conv"
    inside = choose_cut(core, "block2_bn")  # the residual connection bypasses this layer
    assert (inside.below, inside.first) == ("block1_pool", "block2_conv")


def test_what_cannot_be_cut_is_an_error() -> None:
    core = tiny_core()
    with pytest.raises(TrainingError, match=r"`unfreeze=4`: tiny has 3 blocks \(block1 to block3\); expected 1 to 3"):
        choose_cut(core, 4)
    with pytest.raises(TrainingError, match="`unfreeze=0`: tiny has"):
        choose_cut(core, 0)
    with pytest.raises(BackboneError, match=r"tiny has no layer 'block3_cnov' to train; similar names: block3_conv"):
        choose_cut(core, "block3_cnov")


@pytest.mark.parametrize(
    ("backbone", "n_blocks", "last", "below"),
    [
        ("efficientnet-lite0", 16, "block15", "block14_add"),
        ("vgg16", 5, "block5", "block4_pool"),
        ("resnet50", 16, "conv5_block3", "conv5_block2_out"),
        ("mobilenet", 27, "conv_pw_13", "conv_dw_13_relu"),
        ("mobilenetv2", 17, "block_16", "block_15_add"),
        ("inceptionv3", 16, None, "mixed9"),
    ],
)
def test_blocks_of_known_networks(backbone: str, n_blocks: int, last: str | None, below: str) -> None:
    from featx.backbones import build_core, find_backbone_source
    from featx.spec import FeatureSpec

    source = find_backbone_source(backbone, "random")
    spec = FeatureSpec(backbone, source.weights, source.preprocess, source.size, "1", "tensorflow", "float32")
    core = build_core(spec, None)
    top = choose_cut(core, 1)
    assert (choose_cut(core, "all").n_blocks, top.below) == (n_blocks, below)
    assert last is None or top.first == last


def test_the_cache_of_the_frozen_part_changes_no_result(tmp_path: Path) -> None:
    task = Task()
    cached, cached_logits = task.run(tmp_path / "cached", CONFIG)
    uncached, uncached_logits = task.run(tmp_path / "uncached", CONFIG, cached=False)
    np.testing.assert_allclose(cached_logits, uncached_logits, atol=1e-5)
    losses = [[epoch.val_loss for epoch in done.history.epochs] for done in (cached, uncached)]
    np.testing.assert_allclose(*losses, atol=1e-5)
    assert losses[0][-1] < losses[0][0]  # training has an effect


def test_a_resumed_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    task = Task()
    _, uninterrupted = task.run(tmp_path / "whole", CONFIG)

    class Stopped(Exception):  # noqa: N818
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if done == 14:  # in the third epoch of six steps each
            raise Stopped

    with pytest.raises(Stopped):
        task.run(tmp_path / "stopped", CONFIG, progress=stop)
    notices: list[str] = []
    done, resumed = task.run(tmp_path / "stopped", CONFIG, notice=notices.append)
    assert notices[0] == "resuming a stopped run after epoch 2"
    assert [epoch.number for epoch in done.history.epochs] == [0, 1, 2, 3]
    np.testing.assert_allclose(resumed, uninterrupted, atol=1e-5)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    task = Task()
    _, first = task.run(tmp_path, CONFIG)
    log = (tmp_path / "log.csv").read_text()
    for replaced in (False, True):
        if replaced:
            (tmp_path / "log.csv").unlink()
            (tmp_path / "log.csv").symlink_to("/dev/zero")
        steps: list[int] = []
        _, again = task.run(tmp_path, CONFIG, progress=lambda stage, done, total, steps=steps: steps.append(done))
        assert steps == []
        np.testing.assert_array_equal(first, again)
        assert (tmp_path / "log.csv").read_text() == log


def test_a_damaged_checkpoint_starts_the_run_anew(tmp_path: Path) -> None:
    task = Task()
    _, first = task.run(tmp_path, CONFIG)
    assert not (tmp_path / "last.npz").exists()  # the run is complete
    best = tmp_path / "best.npz"
    best.write_bytes(best.read_bytes()[:-200])
    done, again = task.run(tmp_path, CONFIG)
    assert len(done.history.epochs) == 4
    np.testing.assert_allclose(first, again, atol=1e-5)


def test_batch_normalisation_keeps_its_statistics_unless_asked_otherwise(tmp_path: Path) -> None:
    task = Task()
    kept, _ = task.run(tmp_path / "kept", CONFIG)
    means = [v for v in kept.network.blocks.variables if v.path.endswith("moving_mean")]
    assert len(means) == 2
    assert all((np.asarray(mean) == 0).all() for mean in means)
    updated, _ = task.run(
        tmp_path / "updated", TrainingConfig(epochs=3, batch_size=8, learning_rate=1e-2, batch_norm="train")
    )
    if updated.history.best:
        moved = [v for v in updated.network.blocks.variables if v.path.endswith("moving_mean")]
        assert all((np.asarray(mean) != 0).any() for mean in moved)


def test_frozen_weights_stay_and_trained_ones_move(tmp_path: Path) -> None:
    task = Task()
    before = {v.path: np.array(v) for v in tiny_core().variables}
    done, _ = task.run(tmp_path, CONFIG, unfreeze=1)
    assert done.history.best > 0
    network = done.network
    network.save(tmp_path / "network.keras")
    import keras

    saved = keras.saving.load_model(tmp_path / "network.keras")
    after = {v.path: np.array(v) for v in saved.variables}
    changed = {path for path in before if not np.array_equal(before[path], after[path])}
    assert changed == {"block3_conv/kernel", "block3_conv/bias", "block3_bn/gamma", "block3_bn/beta"}


def test_a_saved_network_gives_what_the_last_dense_layer_takes(tmp_path: Path) -> None:
    import keras

    task = Task()
    done, logits = task.run(tmp_path, CONFIG)
    done.network.save(tmp_path / "network.keras")
    network = keras.saving.load_model(tmp_path / "network.keras")
    features = np.asarray(network(task.pixels[45:].astype(np.float32) / 127.5 - 1))
    kernel, bias = done.network.last_layer()
    np.testing.assert_allclose(features @ kernel + bias, logits, atol=1e-4)


def test_a_network_file_does_not_depend_on_when_it_is_written(tmp_path: Path) -> None:
    from featx.training.checkpoints import write_network

    network = Task().run(tmp_path, CONFIG)[0].network
    written = []
    for name in ("one", "two"):
        path = tmp_path / f".{name}.tmp"
        write_network(path, network.save)
        written.append(path.read_bytes())
        time.sleep(2.1)  # times in a zip file have a resolution of 2 s
    assert written[0] == written[1]
    import keras

    path.rename(tmp_path / "two.keras")
    assert keras.saving.load_model(tmp_path / "two.keras").name == "tiny"


@pytest.mark.parametrize("what", ["pipe", "link", "folder"])
@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_checkpoint_that_is_no_file_is_not_read(tmp_path: Path, what: str) -> None:
    arrays, path = [np.zeros(3)], tmp_path / "last.npz"
    write_checkpoint(tmp_path / "other.npz", arrays, {"a": 1})
    {"pipe": os.mkfifo, "link": lambda path: path.symlink_to("other.npz"), "folder": Path.mkdir}[what](path)
    assert read_checkpoint(path, arrays) is None


def test_a_checkpoint_that_unpacks_to_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    arrays, path = [np.zeros(3)], tmp_path / "last.npz"
    write_checkpoint(path, arrays, {"a": 1})
    assert read_checkpoint(path, arrays) is not None
    state = np.frombuffer(b"{}", np.uint8)
    np.savez_compressed(path, state=state, a0=np.zeros(10_000_000))
    assert read_checkpoint(path, arrays) is None
    np.savez_compressed(path, state=np.full(100_000_000, 32, np.uint8), a0=arrays[0])
    assert read_checkpoint(path, arrays) is None
    np.savez(path, state=np.frombuffer(b"[" * 100_000, np.uint8), a0=arrays[0])
    assert read_checkpoint(path, arrays) is None


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": []},
        {"epochs": 3},
        {"epochs": [{"number": 0}]},
        {"best": 2},
        {"best": -1},
        {"best": float("inf")},
        None,
    ],
)
def test_an_invalid_checkpoint_is_not_resumed(change: dict[str, object] | None) -> None:
    from featx.training.loop import _history, _State

    valid = {"epochs": [epoch(0).to_dict(), epoch(1).to_dict()], "best": 1, "factor": 0.5}
    assert _State.read(valid) is not None
    assert _history({"history": valid}) is not None
    invalid = {} if change is None else {**valid, **change}
    assert _State.read(invalid) is None
    assert _history({"history": invalid}) is None
    for name, value in (("number", 5), ("val_loss", "low"), ("accuracy", None), ("more", 1)):
        epochs = [epoch(0).to_dict(), {**epoch(1).to_dict(), name: value}]
        assert _State.read({**valid, "epochs": epochs}) is None
    for factor in (0, 2, float("nan"), "half"):
        assert _State.read({**valid, "factor": factor}) is None


def epoch(number: int) -> Epoch:
    return Epoch(number, 0.1, 0.5 if number else None, 0.5 if number else None, 0.5, 0.5, 1.0)


def test_learning_rates_decrease_from_the_top_down() -> None:
    groups = Task().network(CONFIG, "all").learning_rate_groups(0.5)
    assert [share for share, _ in groups] == [1.0, 0.5, 0.25, 0.125]
    names = [sorted({variable.path.split("/")[0] for variable in variables}) for _, variables in groups]
    assert names == [
        ["top_classes"],
        ["block3_bn", "block3_conv"],
        ["block2_bn", "block2_conv"],
        ["block1_bn", "block1_conv"],
    ]


def test_the_learning_rate_warms_up_and_decays() -> None:
    shares = [warmup_cosine(step, 100, 0.1) for step in range(100)]
    assert shares[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert max(shares) == shares[10] == 1
    assert shares[55] == pytest.approx(0.5)
    assert sorted(shares[10:], reverse=True) == shares[10:]


def test_training_ends_without_a_gain_and_keeps_the_best_weights(tmp_path: Path) -> None:
    task = Task()
    config = TrainingConfig(
        epochs=30, batch_size=8, learning_rate=1.0, patience=2, optimizer="sgd"
    )  # the learning rate is far too high
    done, logits = task.run(tmp_path, config)
    epochs = done.history.epochs
    assert len(epochs) < 31
    best = min(epochs, key=lambda epoch: epoch.val_loss)
    assert done.history.best == best.number
    assert (logits.argmax(axis=1) == task.y[45:]).mean() == pytest.approx(best.val_accuracy)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "rmsprop", "sgd"])
def test_every_optimizer_learns(tmp_path: Path, optimizer: str) -> None:
    rate = 0.05 if optimizer == "sgd" else 5e-3
    done, _ = Task().run(tmp_path, TrainingConfig(epochs=2, batch_size=8, learning_rate=rate, optimizer=optimizer))
    losses = [epoch.loss for epoch in done.history.epochs[1:]]
    assert losses[1] < losses[0]


def test_every_view_comes_once_in_as_many_epochs_and_order_depends_on_seed_and_epoch_alone() -> None:
    asked: list[tuple[int, int]] = []

    def read(view: int, at: np.ndarray) -> np.ndarray:
        asked.extend((int(i), view) for i in at)
        return at[:, None].astype(np.float32)

    feed = Shuffled(read, np.arange(10), np.arange(10), 2, 4, 7)
    for number in (1, 2, 3):
        seen = [(x[:, 0].astype(int).tolist(), y.tolist()) for x, y in feed.epoch(number)]
        assert all(x == y for x, y in seen)
        assert sorted(i for x, _ in seen for i in x) == list(range(10))
    assert sorted(asked) == sorted((i, view) for i in range(10) for view in range(3))
    orders = [[y.tolist() for _, y in feed.epoch(number)] for number in (1, 2, 1)]
    assert orders[0] == orders[2] != orders[1]


def test_the_log_is_a_table(tmp_path: Path) -> None:
    done, _ = Task().run(tmp_path, CONFIG)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert float(rows[2]["val_accuracy"]) == done.history.epochs[2].val_accuracy
    assert rows[0]["loss"] == ""


def test_curves_are_an_image(tmp_path: Path) -> None:
    epochs = tuple(_epochs())
    png = draw_curves({"fine-tuned": History(epochs, 2)}, {"frozen": 0.8})
    (tmp_path / "curves.png").write_bytes(png)
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (1200, 380)
        assert len(image.convert("RGB").getcolors(1_000_000) or ()) > 50


def _epochs() -> Iterator[Epoch]:
    yield Epoch(0, 0.0, None, None, 1.0, 0.8, 0.1)
    for number in (1, 2, 3):
        yield Epoch(number, 1e-3 / number, 1 / number, 0.8 + number / 20, 0.9 / number, 0.8 + number / 30, 1.0)


def test_a_history_survives_json() -> None:
    history = History(tuple(_epochs()), 3)
    assert History.from_dict(history.to_dict()) == history
    assert history.seconds_per_epoch == 1.0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optimizer": "lion"}, "`optimizer=lion`: expected adamw, adam, rmsprop or sgd"),
        ({"batch_norm": "yes"}, "`batch_norm=yes`: expected frozen or train"),
        ({"epochs": 0}, "`epochs=0`: expected 1 or more"),
        ({"dropout": 1.0}, "`dropout=1.0`: expected 0 or more and below 1"),
        ({"learning_rate": 0.0}, "`learning_rate=0.0`: expected a number above 0"),
        ({"class_weight": "all"}, "`class_weight=all`: expected balanced"),
    ],
)
def test_an_invalid_configuration_is_an_error(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((OptionError, TrainingError), match=message):
        TrainingConfig(**wrong)


def test_the_scratch_network_has_three_blocks_of_16_64_and_128() -> None:
    from featx.training.scratch import small_cnn

    core = small_cnn(64)
    assert [layer.filters for layer in core.layers if hasattr(layer, "filters")] == [16, 64, 128]
    assert core.output_shape == (None, 8, 8, 128)


def test_a_layer_that_is_used_twice_is_no_place_to_cut_between() -> None:
    import keras
    from keras import layers

    inputs = keras.Input((8, 8, 3))
    shared, relu = layers.Conv2D(3, 3, padding="same", name="shared"), layers.ReLU(name="relu")
    x = layers.Conv2D(3, 1, name="first")(relu(shared(inputs)))
    x = layers.Conv2D(3, 1, name="second")(shared(relu(x)))
    core = keras.Model(inputs, layers.Conv2D(4, 1, name="third")(x))
    belows = {choose_cut(core, n).below for n in range(1, choose_cut(core, "all").n_blocks)}
    assert belows == {"second"}
    with pytest.raises(BackboneError, match="similar names: "):
        choose_cut(core, "nothing")


def test_layers_that_keras_names_itself_have_the_same_names_each_time() -> None:
    from featx.backbones import build_core, find_backbone_source
    from featx.spec import FeatureSpec

    source = find_backbone_source("xception", "random", 96)
    spec = FeatureSpec("xception", source.weights, source.preprocess, 96, "1", "tensorflow", "float32")
    names = [[layer.name for layer in build_core(spec, None).layers] for _ in range(2)]
    assert names[0] == names[1]


def test_weight_decay_may_be_zero_and_a_diverging_loss_is_an_error(tmp_path: Path) -> None:
    task = Task()
    for optimizer in ("adamw", "sgd"):
        task.run(tmp_path / optimizer, TrainingConfig(epochs=1, batch_size=8, weight_decay=0.0, optimizer=optimizer))
    with pytest.raises(
        TrainingError, match=r"the loss is not finite in epoch 1: a learning rate of 1e\+30 is too high"
    ):
        task.run(tmp_path / "high", TrainingConfig(epochs=2, batch_size=8, learning_rate=1e30, optimizer="sgd"))


def test_a_damaged_result_is_trained_again_even_if_that_run_is_stopped(tmp_path: Path) -> None:
    task = Task()
    _, first = task.run(tmp_path, CONFIG)
    (tmp_path / "best.npz").write_bytes(b"")
    (tmp_path / "epoch-3-of-3.keras").write_bytes(b"of the damaged run")

    def stop(stage: str, done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        task.run(tmp_path, CONFIG, progress=stop)
    assert not (tmp_path / "epoch-3-of-3.keras").exists()
    _, again = task.run(tmp_path, CONFIG)
    np.testing.assert_allclose(first, again, atol=1e-5)


def test_a_network_that_was_saved_frozen_is_cut_and_trained(tmp_path: Path) -> None:
    from featx.training.networks import Trainable

    core = tiny_core()
    for layer in core.layers:
        layer.trainable = False
    assert choose_cut(core, 2).first == "block2"
    thawed = Trainable(core, "block1_pool", "tf", "avg", [np.zeros((8, 3))], [np.zeros(3)])
    assert len(thawed.blocks.trainable_variables) == 8  # two kernels, two biases, two scales, two shifts
    task = Task()
    done, _ = task.run(tmp_path, CONFIG)
    done.network.save(tmp_path / "network.keras")
    import keras

    layers = keras.saving.load_model(tmp_path / "network.keras").layers
    assert [layer.name for layer in layers if layer.weights and not layer.trainable] == []
