"""Train the top blocks of a pretrained network, or a small one from scratch, and run the result over the data set."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.augmentation import read_policy
from featx.backbones import FILE_BACKBONE, build_core
from featx.classifier import Folded
from featx.engines import find_engine, on_device
from featx.errors import SpecError, TrainingError
from featx.execution import bundled, locate
from featx.extraction import compute_table
from featx.files import is_regular
from featx.libraries import start_keras
from featx.options import ExtractOptions
from featx.output import GENERATOR
from featx.spec import FeatureSpec
from featx.store import FeatureStore, count_base, count_journal, lock_run, prepare_cache, write_content, write_whole
from featx.table import FeatureTable
from featx.training.checkpoints import write_network
from featx.training.feeds import InOrder, ReadView, Shuffled
from featx.training.material import Material
from featx.training.pixels import Pixels
from featx.training.records import Course, Cut, History
from featx.training.tops import FrozenHead, Top, linear_estimator, random_top

if TYPE_CHECKING:
    from featx.training.loop import Trainer
    from featx.training.networks import Trainable

SCRATCH = "scratch-cnn"
"""Name of the network that is trained from random weights."""

SCRATCH_SIZE = 128
"""Side of its input in pixels, if not asked otherwise."""

_SCRATCH_SCALING = "mean=0.0,0.0,0.0;std=1.0,1.0,1.0"
_SCRATCH_DENSE = (512,)
_SPARE_BYTES = 200_000_000
_READING = ("resize", "white", "page", "engine", "precision", "label_by", "path_column", "label_column")
"""Options that a trained network shares with the one that it was before."""


@dataclass(frozen=True)
class Plan:
    """What is trained, and how.

    Parameters
    ----------
    course : Course
    unfreeze : int or str
        See :func:`cut_network`.
    augment : str, optional
    views : int
        Augmented views of each picture.
    trunk_cache : bool
        Whether the frozen part runs once and what it gives is cached.
    dense : tuple of int
        Hidden layers of the top, for the folder's name.
    """

    course: Course
    unfreeze: int | str = "auto"
    augment: str | None = None
    views: int = 0
    trunk_cache: bool = True
    dense: tuple[int, ...] = ()

    @property
    def augmented(self) -> dict[str, Any]:
        """Return the fields of a feature recipe for its views."""
        if self.augment is None:
            return {}
        return {"augment": read_policy(self.augment), "augment_seed": self.course.seed}

    @property
    def of_views(self) -> dict[str, Any]:
        """Return the options of :func:`featx.extract` for its views."""
        return {} if self.augment is None else {"augment": self.augment, "views": self.views, "seed": self.course.seed}

    def told(self) -> dict[str, Any]:
        """Return everything of it that changes the result."""
        return {
            "course": self.course.to_dict(),
            "unfreeze": str(self.unfreeze),
            "dense": list(self.dense),
            **self.augmented,
            "views": self.views,
        }


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network and what it says of the data set, run as any user would run it.

    Parameters
    ----------
    file : path
        A Keras file: scaled pixels to features; a JSON file of the same name says how they are scaled.
    cut : Cut
    history : History
    log : path
        The epochs as a CSV file.
    table : FeatureTable
        Its features of the data set.
    estimator : scikit-learn classifier
        Its last dense layer.
    folded : Folded
        The same as matrices.
    network : Trainable
        What was trained.
    """

    file: Path
    cut: Cut
    history: History
    log: Path
    table: FeatureTable = field(repr=False)
    estimator: Any = field(repr=False)
    folded: Folded = field(repr=False)
    network: Trainable = field(repr=False)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores of all samples of the table, shape (n_samples, n_classes)."""
        return self.folded.scores(self.table.X)

    def keras_classifier(self, classes: Sequence[str], temperature: float) -> tuple[bytes, bytes]:
        """Return the classifier as a Keras file that needs no featx, and what there is to know of it as JSON.

        Parameters
        ----------
        classes : sequence of str
        temperature : float
            What scores are divided by before they become probabilities.
        """
        spec = self.table.spec
        file = self.file.with_name(f"classifier-{os.getpid()}.keras")
        try:
            self.network.save_classifier(file, spec.preprocess, temperature)
            with zipfile.ZipFile(file, "a") as archive:
                archive.comment = GENERATOR.encode()
            content = file.read_bytes()
        finally:
            file.unlink(missing_ok=True)
        said = {"made_by": GENERATOR, "classes": list(classes), "size": spec.size, "resize": spec.resize}
        return content, json.dumps({**said, "preprocess": "none"}).encode()


def check_views(augment: str | None, views: int) -> None:
    """Say what is wrong with how views are asked for.

    Raises
    ------
    SpecError
        One of the two is missing, or there is no such policy.
    """
    if (augment is None) != (views == 0):
        raise SpecError("`augment` says how views are made and `views` how many: give both or neither")
    if augment is not None:
        read_policy(augment)


def cut_network(core: Any, unfreeze: int | str, name: str | None = None) -> Cut:
    """Choose where to cut a network in two; see :func:`featx.training.graph.cut_at`."""
    from featx.training.graph import cut_at

    return cut_at(core, unfreeze, name)


def train_blocks(material: Material, plan: Plan, frozen: FrozenHead) -> TrainedNetwork:
    """Train the upper blocks of the material's network, beginning with a head fitted on frozen features.

    Raises
    ------
    TrainingError
        It cannot be cut so, or what is cached does not fit on the disk.
    """
    spec = dataclasses.replace(material.table.spec, **plan.augmented)
    plain = dataclasses.replace(material.table.spec, precision="float32")
    with material.runtime.stage(f"building {material.backbone}"), on_device(material.runtime.device):
        core = build_core(plain, locate(spec, _weights(material), material.runtime))
    cut = cut_network(core, plan.unfreeze, material.backbone)
    told = f"{cut.part} to train, from {cut.first} on"
    below = "" if cut.is_whole else f"; what is below gives {' x '.join(map(str, cut.shape))} numbers a picture"
    material.runtime.notice(told + below)
    top = frozen.top
    with _reading(material, plan, spec, cut) as (read, source):
        return _train(material, plan, spec, core, cut, top, read, {"source": source})


def train_scratch(material: Material, plan: Plan, size: int) -> TrainedNetwork:
    """Train a small network from random weights on the same pictures.

    Parameters
    ----------
    material : Material
        Its features only tell copies.
    plan : Plan
    size : int
        Side of the input, in pixels.
    """
    with material.runtime.stage("importing TensorFlow"):
        start_keras()
    from featx.training.scratch import scratch_core

    spec = dataclasses.replace(
        material.table.spec, size=size, preprocess=_SCRATCH_SCALING, pooling="flatten", **plan.augmented
    )
    core = scratch_core(size)
    cut = cut_network(core, "all")
    n_features = int(np.prod(core.output_shape[1:]))
    top = random_top(n_features, plan.dense or _SCRATCH_DENSE, len(material.parts.classes), plan.course.seed)
    with Pixels(material.paths, material.table.content_hashes, spec, material.runtime) as pixels:
        return _train(material, plan, spec, core, cut, top, pixels.read, {"scratch": size})


def _train(
    material: Material,
    plan: Plan,
    spec: FeatureSpec,
    core: Any,
    cut: Cut,
    top: Top,
    read: ReadView,
    what: Mapping[str, Any],
) -> TrainedNetwork:
    from featx.training.loop import Trainer, run
    from featx.training.networks import Trainable

    parts, course = material.parts, plan.course
    with material.runtime.stage("cutting the network"):
        network = Trainable(
            core, cut.below, spec.preprocess, spec.pooling, top.weights, top.biases, course.dropout, course.seed
        )
    training = Shuffled(read, parts.train, parts.y[parts.train], plan.views, course.batch_size, course.seed)
    validation = InOrder(read, parts.val, parts.y[parts.val], course.batch_size)
    counts = np.bincount(training.y, minlength=len(parts.classes)).tolist()
    weights = hashlib.sha256(b"".join(np.asarray(w, np.float64).tobytes() for w in (*top.weights, *top.biases)))
    cut_at = "" if cut.is_whole else cut.below
    folder = material.folder({**plan.told(), **what, "cut": cut_at, "top": weights.hexdigest(), "made": _made_by()})
    waiting = "another run trains the same network on the same pictures; waiting for it to finish"
    with lock_run(folder, lambda: material.runtime.notice(waiting)):
        with on_device(material.runtime.device):
            with material.runtime.stage("preparing to train"):
                trainer = Trainer(network, course, counts)
            history = run(trainer, training, validation, course, folder, material.runtime)
        with material.runtime.stage("saving the trained network"):
            file = _saved(trainer, history, spec, folder)
    estimator = linear_estimator(*network.last_layer())
    material.runtime.notice("the trained network runs over all pictures")
    options = ExtractOptions(**{name: getattr(material.options, name) for name in _READING})
    table = compute_table(material.data, str(file), options, material.run, runtime=material.quietly)
    if not np.array_equal(table.content_hashes, material.table.content_hashes):
        raise TrainingError(f"{material.data} has changed while it was trained on; run again")
    if find_engine(table.spec.engine).keeps_graph:
        table = bundled(table, lambda: file, material.runtime)
    folded = Folded([estimator.coef_.T], [estimator.intercept_])
    return TrainedNetwork(file, cut, history, folder / "log.csv", table, estimator, folded, network)


def _made_by() -> dict[str, str]:
    """Return what else a run depends on: a folder of other libraries is not gone on with."""
    return {"version": "1", **{library: version(library) for library in ("keras", "tensorflow")}}


def _weights(material: Material) -> str | Path | None:
    if material.table.spec.backbone == FILE_BACKBONE:
        return material.backbone
    given = material.options.weights
    is_named = str(given) in ("imagenet", "random") or str(given).startswith("random:")
    return None if is_named else given


@contextmanager
def _reading(material: Material, plan: Plan, spec: FeatureSpec, cut: Cut) -> Iterator[tuple[ReadView, str]]:
    """Give what returns the inputs of pictures, cached activations at the cut or pixels, and what they are."""
    if plan.trunk_cache and not cut.is_whole:
        yield _activations(material, plan, cut)
        return
    with Pixels(material.paths, material.table.content_hashes, spec, material.runtime) as pixels:
        yield pixels.read, "pixels"


def _activations(material: Material, plan: Plan, cut: Cut) -> tuple[ReadView, str]:
    _check_room(material, plan, cut)
    frozen = dataclasses.replace(material.options, layer=cut.below, pooling=cut.pooling)
    options = ExtractOptions.of({**vars(frozen), **plan.of_views})
    viewed = {content.tobytes() for content in material.table.content_hashes[material.parts.train]}
    trunk = compute_table(
        material.data, material.backbone, options, material.run, runtime=material.quietly, viewed=viewed
    )
    if not np.array_equal(trunk.content_hashes, material.table.content_hashes):
        raise TrainingError(f"{material.data} has changed meanwhile; run again")
    opened: dict[int, Any] = {}

    def read(view: int, at: NDArray[np.int64]) -> NDArray[Any]:
        if view not in opened:
            opened[view] = trunk.opened(view)
        return np.asarray(opened[view](at)).reshape(-1, *cut.shape)

    return read, trunk.spec.id


def _check_room(material: Material, plan: Plan, cut: Cut) -> None:
    cache = material.runtime.cache
    trunk = dataclasses.replace(material.table.spec, layer=cut.below, pooling=cut.pooling)
    width = int(np.prod(cut.shape))
    n_rows = _rows_to_write(FeatureStore(cache, trunk), len(material.table), width)
    if plan.views:
        of_views = dataclasses.replace(trunk, **plan.augmented)
        n_rows += _rows_to_write(FeatureStore(cache, of_views), plan.views * len(material.parts.train), width)
    n_bytes = 4 * width * n_rows
    free = shutil.disk_usage(prepare_cache(cache, "features")).free
    if n_bytes and n_bytes + _SPARE_BYTES > free:
        raise TrainingError(
            f"the activations below {cut.first} take {n_bytes / 1e9:.1f} GB while they are written, and only "
            f"{free / 1e9:.1f} GB are free in {cache}; unfreeze fewer blocks, use fewer `views`, another `cache` or "
            "finetune `trunk_cache=False`"
        )


def _rows_to_write(store: FeatureStore, n: int, feature_dim: int) -> int:
    """Return how many rows a store that is to hold n writes: those missing to the journal, then all of them anew."""
    n_base = 0
    with contextlib.suppress(OSError):  # no such store, or one that is made anew
        n_base = count_base(store.path)[1]
    n_journal = count_journal(store.path.with_suffix(".journal"), feature_dim)[0]
    n_missing = max(n - n_base - n_journal, 0)
    return n_missing + max(n, n_base) if n_missing or n_journal else 0


def _saved(trainer: Trainer, history: History, spec: FeatureSpec, folder: Path) -> Path:
    """Save the network once: its file, and so its digest, stays the same where the same run is asked for again."""
    file = folder / f"epoch-{history.best}-of-{len(history.epochs) - 1}.keras"
    if not is_regular(file):
        write_whole(file, lambda temporary: write_network(temporary, trainer.network.save))
    said = json.dumps({"made_by": GENERATOR, "preprocess": spec.preprocess, "size": spec.size})
    write_content(file.with_suffix(".json"), said.encode())
    return file
