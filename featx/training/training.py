"""Train the top blocks of a backbone, or a small network from scratch, and extract features with the result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.backbones import FILE_BACKBONE, build_core
from featx.classifier import DenseHead
from featx.engines import on_device
from featx.errors import TrainingError
from featx.execution import locate
from featx.extraction import compute_table
from featx.files import is_regular, temporary_folder
from featx.libraries import start_keras
from featx.options import ExtractOptions
from featx.output import GENERATOR
from featx.spec import FeatureSpec
from featx.store import lock_run, write_cache_file, write_content
from featx.table import FeatureTable
from featx.training.activations import reading_inputs
from featx.training.checkpoints import write_network
from featx.training.config import TrainingPlan
from featx.training.data import TrainingData
from featx.training.feeds import InOrder, ReadView, Shuffled
from featx.training.initial_top import DenseLayers, last_layer_as_estimator, random_layers
from featx.training.pixels import Pixels
from featx.training.records import Cut, History

if TYPE_CHECKING:
    from featx.training.networks import Trainable

SCRATCH = "scratch-cnn"
"""Name of the network that is trained from random weights."""

SCRATCH_SIZE = 128
"""Default side of the input of this network, in pixels."""

_SCRATCH_SCALING = "mean=0.0,0.0,0.0;std=1.0,1.0,1.0"
_SCRATCH_HIDDEN = (512,)
_READING = ("resize", "white", "page", "engine", "precision", "label_by", "path_column", "label_column")
"""Options that a trained network inherits from its backbone."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, and the features of the data set, which are extracted as with any other backbone.

    Parameters
    ----------
    file : path
        Keras file that maps scaled pixels to features; a JSON file of the same name states the pixel scaling.
    cut : Cut
    history : History
    log : path
        CSV file with the epochs.
    table : FeatureTable
        Features of the data set.
    estimator : scikit-learn classifier
        Last dense layer of the network.
    dense_head : DenseHead
        The same layer as matrices.
    network : Trainable
        The network in Keras.
    """

    file: Path
    cut: Cut
    history: History
    log: Path
    table: FeatureTable = field(repr=False)
    estimator: Any = field(repr=False)
    dense_head: DenseHead = field(repr=False)
    network: Trainable = field(repr=False)

    def keras_classifier(self, classes: Sequence[str], temperature: float) -> tuple[bytes, bytes]:
        """Return the classifier as a Keras file that does not need featx, and its description as JSON.

        Parameters
        ----------
        classes : sequence of str
        temperature : float
            Divisor of the scores before they are converted to probabilities.
        """
        spec = self.table.spec
        with temporary_folder(str(self.file.parent)) as folder:
            file = folder / "classifier.keras"
            self.network.save_classifier(file, spec.preprocess, temperature)
            with zipfile.ZipFile(file, "a") as archive:
                archive.comment = GENERATOR.encode()
            content = file.read_bytes()
        description = {"made_by": GENERATOR, "classes": list(classes), "size": spec.size, "resize": spec.resize}
        return content, json.dumps({**description, "preprocess": "none"}).encode()


def choose_cut(core: Any, unfreeze: int | str, name: str | None = None) -> Cut:
    """Choose the place where a network is cut in two; see :func:`featx.training.graph.choose_blocks`."""
    from featx.training.graph import choose_blocks

    return choose_blocks(core, unfreeze, name)


def train_blocks(data: TrainingData, plan: TrainingPlan, top: DenseLayers) -> TrainedNetwork:
    """Train the top blocks of the backbone of a data set.

    Parameters
    ----------
    data : TrainingData
    plan : TrainingPlan
    top : DenseLayers
        Initial dense layers above the backbone, made from a head fitted on the frozen features.

    Raises
    ------
    TrainingError
        If the backbone cannot be cut as requested, or the cached activations do not fit on the disk.
    """
    spec = dataclasses.replace(data.table.spec, **plan.view_spec)
    plain = dataclasses.replace(data.table.spec, precision="float32")
    with data.runtime.stage(f"building {data.backbone}"), on_device(data.runtime.device):
        core = build_core(plain, locate(spec, _weights(data), data.runtime))
    cut = choose_cut(core, plan.unfreeze, data.backbone)
    below = "" if cut.is_whole else f"; the frozen blocks give {' x '.join(map(str, cut.shape))} values for each image"
    data.runtime.notice(f"training {cut.blocks} and the dense layers{below}")
    with reading_inputs(data, plan, spec, cut) as (read, source):
        return _train(data, plan, spec, core, cut, top, read, {"source": source})


def train_small_cnn(data: TrainingData, plan: TrainingPlan, size: int) -> TrainedNetwork:
    """Train a small network with random initial weights on the same images.

    Parameters
    ----------
    data : TrainingData
        Data set; the features are used only to find duplicates.
    plan : TrainingPlan
    size : int
        Side of the input in pixels.
    """
    with data.runtime.stage("importing TensorFlow"):
        start_keras()
    from featx.training.scratch import small_cnn

    spec = dataclasses.replace(
        data.table.spec, size=size, preprocess=_SCRATCH_SCALING, pooling="flatten", **plan.view_spec
    )
    core = small_cnn(size)
    cut = choose_cut(core, "all")
    n_features = int(np.prod(core.output_shape[1:]))
    top = random_layers(n_features, plan.hidden or _SCRATCH_HIDDEN, len(data.split.classes), plan.config.seed)
    with Pixels(data.images, data.table.content_hashes, spec, data.runtime) as pixels:
        return _train(data, plan, spec, core, cut, top, pixels.read, {"scratch": size})


def _train(
    data: TrainingData,
    plan: TrainingPlan,
    spec: FeatureSpec,
    core: Any,
    cut: Cut,
    top: DenseLayers,
    read: ReadView,
    settings: Mapping[str, Any],
) -> TrainedNetwork:
    """Train a network in a folder of the cache, or resume the run there, and extract the features of the data set."""
    from featx.training.networks import Trainable

    config = plan.config
    with data.runtime.stage("cutting the network"):
        network = Trainable(
            core, cut.below, spec.preprocess, spec.pooling, top.weights, top.biases, config.dropout, config.seed
        )
    weights = hashlib.sha256(b"".join(np.asarray(w, np.float64).tobytes() for w in (*top.weights, *top.biases)))
    cut_below = "" if cut.is_whole else cut.below
    folder = data.run_folder(
        {**plan.to_dict(), **settings, "cut": cut_below, "top": weights.hexdigest(), "made": _made_by()}
    )
    waiting = "another process trains the same network on the same images; waiting for it to finish"
    with lock_run(folder, lambda: data.runtime.notice(waiting)):
        history = _fit(network, data, plan, read, folder)
        with data.runtime.stage("saving the trained network"):
            file = _saved(network, history, spec, folder)
    estimator = last_layer_as_estimator(*network.last_layer())
    dense_head = DenseHead([estimator.coef_.T], [estimator.intercept_])
    table = _features(data, file)
    return TrainedNetwork(file, cut, history, folder / "log.csv", table, estimator, dense_head, network)


def _fit(network: Trainable, data: TrainingData, plan: TrainingPlan, read: ReadView, folder: Path) -> History:
    """Train a network on the training part; select the epoch on the validation part."""
    from featx.training.loop import Trainer, run

    split, config = data.split, plan.config
    training = Shuffled(read, split.train, split.y[split.train], plan.views, config.batch_size, config.seed)
    validation = InOrder(read, split.val, split.y[split.val], config.batch_size)
    counts = np.bincount(training.y, minlength=len(split.classes)).tolist()
    with on_device(data.runtime.device):
        with data.runtime.stage("preparing to train"):
            trainer = Trainer(network, config, counts)
        return run(trainer, training, validation, config, folder, data.runtime)


def _features(data: TrainingData, network: Path) -> FeatureTable:
    """Return the features of all images extracted with the trained network."""
    data.runtime.notice("extracting the features of all images with the trained network")
    options = ExtractOptions(**{name: getattr(data.options, name) for name in _READING})
    table = compute_table(data.path, str(network), options, data.run, runtime=data.quiet_runtime)
    if not np.array_equal(table.content_hashes, data.table.content_hashes):
        raise TrainingError(f"{data.path} has changed during training; run the command again")
    return table


def _made_by() -> dict[str, str]:
    """Return the library versions on which a run depends; a run with other versions is not resumed."""
    return {"version": "1", **{library: version(library) for library in ("keras", "tensorflow")}}


def _weights(data: TrainingData) -> str | Path | None:
    if data.table.spec.backbone == FILE_BACKBONE:
        return data.backbone
    given = data.options.weights
    is_named = str(given) in ("imagenet", "random") or str(given).startswith("random:")
    return None if is_named else given


def _saved(network: Trainable, history: History, spec: FeatureSpec, folder: Path) -> Path:
    """Save the network once, so that a repeated run gives the same file and digest."""
    file = folder / f"epoch-{history.best}-of-{len(history.epochs) - 1}.keras"
    if not is_regular(file):
        write_cache_file(file, lambda temporary: write_network(temporary, network.save))
    description = json.dumps({"made_by": GENERATOR, "preprocess": spec.preprocess, "size": spec.size})
    write_content(file.with_suffix(".json"), description.encode())
    return file
