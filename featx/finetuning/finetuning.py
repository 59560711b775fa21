"""Train the top blocks of a network end to end, and say whether it pays."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones import DEFAULT_BACKBONE, FILE_BACKBONE, build_core, is_onnx
from featx.classifier import Folded
from featx.duplicates import group_samples
from featx.errors import BackboneError, EngineError, TrainingError
from featx.evaluate import HeldOutParts, TrainingSet, hold_out
from featx.extraction import bundled, compute_table, locate
from featx.finetuning.judging import Candidate, judge, make_classifier
from featx.finetuning.records import Finetuning
from featx.finetuning.tops import FrozenHead, Top, fit_frozen, linear_estimator, random_top
from featx.heads import DEFAULT_HEAD, make_head
from featx.output import check_output
from featx.runtime import Runtime
from featx.sources import read_groups
from featx.spec import FeatureSpec
from featx.store import prepare_cache, write_whole
from featx.table import FeatureTable
from featx.training import (
    Course,
    Cut,
    Feed,
    InOrder,
    ReadView,
    Shuffled,
    Trained,
    cut_network,
    draw_curves,
    make_trainable,
    scratch_core,
    train,
)
from featx.training.pixels import Pixels

SCRATCH = "scratch-cnn"
"""Name of the network that is trained from random weights."""

_POOLINGS = {"gap": "avg", "gmp": "max", "flatten": "flatten"}
_SCRATCH_SIZE = 128
_SCRATCH_SCALING = "mean=0.0,0.0,0.0;std=1.0,1.0,1.0"
_SCRATCH_DENSE = (512,)
_SPARE_BYTES = 200_000_000


def finetune(
    data: str | Path = "data",
    backbone: str = DEFAULT_BACKBONE,
    *,
    unfreeze: int | str = "auto",
    head: str = DEFAULT_HEAD,
    top: str = "gap",
    dense: Sequence[int] = (),
    dropout: float = 0.0,
    augment: str | None = None,
    views: int = 0,
    epochs: int = 10,
    batch_size: int = 32,
    optimizer: str = "adamw",
    rate: float = 3e-4,
    layer_decay: float = 0.8,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    label_smoothing: float = 0.1,
    patience: int = 4,
    batch_norm: str = "frozen",
    class_weight: str | None = None,
    trunk_cache: bool = True,
    group_by: str | None = None,
    seed: int = 0,
    output: str | Path | None = None,
    overwrite: bool = False,
    runtime: Runtime | None = None,
    **options: Any,
) -> Finetuning:
    """Fine-tune a network, and compare it with the frozen one on the same held-out pictures.

    The frozen part runs once over each picture and each of its views; what it gives is cached like features, and the
    blocks above train on it. They begin with the head fitted on the frozen features, so that nothing is lost at the
    start. The validation part chooses the epoch; a part that neither has seen judges. Without a gain the frozen network
    is kept. A run that was stopped goes on after its last epoch.

    Parameters
    ----------
    data : path
        Folder or manifest of labelled pictures, as for :func:`featx.extract`.
    backbone : str
        Name in :func:`featx.list_backbones`, a ``.keras`` or ``.h5`` file, or ``scratch-cnn``: three blocks of
        convolution and a dense layer, trained from random weights to compare with.
    unfreeze : int or str
        Blocks to train, counted from the top; ``auto``: a third of them; ``all``; or a layer: it and all above.
    head : {"logreg", "ridge", "mlp"} or str
        Fitted on frozen features; its coefficients become the dense layers that training begins with.
    top : {"gap", "gmp", "flatten"}
        What the dense layers see: the mean of each map, its maximum, or all of it.
    dense : sequence of int
        Hidden dense layers with ReLU; they begin as an ``mlp`` of these sizes.
    dropout : float
    augment, views
        As for :func:`featx.extract`: an epoch sees each picture as itself or as one of its views.
    epochs, batch_size, optimizer, rate, layer_decay, warmup, weight_decay, label_smoothing, patience, batch_norm
        See :class:`featx.training.Course`.
    class_weight : {"balanced"}, optional
    trunk_cache : bool
        False: decode, augment and run the frozen part in every epoch anew; the same result, more slowly.
    group_by : str, optional
        As for :func:`featx.fit`.
    seed : int
    output : path, optional
        Model file to name the network (``.keras``), its scaling (``.json``), log (``.csv``) and curves (``.png``)
        after; they are written beside it. The model itself is ``result.classifier.save(...)``.
    overwrite : bool
        Replace those.
    runtime : Runtime, optional
    **options
        ``weights, size, resize, white, page, preprocess, engine, precision, label_by, path_column, label_column,
        strict`` of :func:`featx.extract`.

    Returns
    -------
    Finetuning

    Raises
    ------
    TrainingError, HeadError
        It cannot be trained as asked.
    EvaluationError
        No part can be held out honestly; the message says why.
    FeatxError
        As for :func:`featx.extract`.
    """
    course = Course(
        epochs,
        batch_size,
        optimizer,
        rate,
        layer_decay,
        warmup,
        weight_decay,
        label_smoothing,
        patience,
        batch_norm,
        dropout,
        class_weight,
        seed,
    )
    views_of = {"augment": augment, "views": views, "seed": seed} if augment is not None or views else {}
    wish = _Wish(backbone, unfreeze, head, top, tuple(dense), views_of, trunk_cache, group_by, options)
    wish.check()
    runtime = runtime or Runtime()
    outputs = None if output is None else _Outputs(Path(output), overwrite)
    started = time.monotonic()
    job = _begin(Path(data), wish, course, runtime)
    frozen = None if wish.is_scratch else job.fit_frozen()
    trained, cut, candidate, network = job.train(frozen)
    opponent = None if frozen is None else job.frozen_candidate(frozen)
    notes = job.notes(cut)
    told = f"all of {SCRATCH}" if wish.is_scratch else f"{cut.n_blocks} blocks from {cut.first} on"
    contest = judge(opponent, candidate, job.parts, job.groups, told, trained.history)
    best = opponent if contest.kept == "frozen" and opponent is not None else candidate
    seconds = time.monotonic() - started
    classifier = make_classifier(best, job.parts, job.groups, contest, notes, seed, seconds)
    if outputs is not None:
        network = outputs.write(network, job.folder, trained, contest.frozen and contest.frozen.mean)
    first = trained.history.epochs[0].val_accuracy
    return Finetuning(
        backbone=network,
        classifier=classifier,
        contest=contest,
        history=trained.history,
        step_zero=first,
        frozen_val=None if frozen is None else job.val_accuracy(frozen),
        n_train=len(job.parts.train),
        n_val=len(job.parts.val),
        notes=notes,
        seconds=time.monotonic() - started,
    )


def output_name(data: str | Path, backbone: str) -> str:
    """Return the file name that a fine-tuned model has by default: ``NAME-BACKBONE-finetuned.featx``."""
    path = Path(data).resolve()
    name = f"{path.name if path.is_dir() else path.stem}-{Path(backbone).stem if Path(backbone).suffix else backbone}"
    return re.sub(r"[^\w.-]", "_", name) + "-finetuned.featx"


@dataclass(frozen=True)
class _Wish:
    """What a user asks for beside the course."""

    backbone: str
    unfreeze: int | str
    head: str
    top: str
    dense: tuple[int, ...]
    views: dict[str, Any]
    trunk_cache: bool
    group_by: str | None
    options: dict[str, Any]

    @property
    def is_scratch(self) -> bool:
        return self.backbone == SCRATCH

    @property
    def n_views(self) -> int:
        return int(self.views.get("views", 0))

    def check(self) -> None:
        """Say what is wrong before any work."""
        if self.top not in _POOLINGS:
            raise TrainingError(f"top is {self.top!r}; allowed are {', '.join(_POOLINGS)}")
        if any(width < 1 for width in self.dense):
            raise TrainingError(f"dense is {self.dense}; each layer needs 1 or more")
        if is_onnx(Path(self.backbone)):
            raise BackboneError(
                f"{self.backbone} is an ONNX network, which only runs: it cannot be fine-tuned. Take a network of "
                "`featx backbones` or a .keras file"
            )
        if self.options.get("precision") == "int8":
            raise EngineError("a quantized network cannot be fine-tuned; use --precision auto, float32 or bfloat16")
        self.make_head(0)

    def make_head(self, seed: int) -> Any:
        if self.dense:
            return make_head("mlp", {"hidden_layer_sizes": self.dense}, None, seed)
        return make_head(self.head, None, None, seed)


@dataclass(frozen=True)
class _Job:
    """A data set with its features, divided, and where the run keeps what it needs to go on."""

    data: Path
    wish: _Wish
    course: Course
    runtime: Runtime
    table: FeatureTable
    groups: NDArray[np.int64]
    parts: HeldOutParts
    folder: Path

    def fit_frozen(self) -> FrozenHead:
        parts, X = self.parts, self.table.X
        train = TrainingSet(X[parts.train], parts.y[parts.train], self.groups[parts.train], parts.classes)
        self.runtime.notice(
            f"{len(parts.train):,} pictures to learn from, {len(parts.val):,} to choose the epoch by, "
            f"{len(parts.test):,} held out to judge"
        )
        return fit_frozen(self.wish.make_head(self.course.seed), train, X[parts.val], parts.y[parts.val], self.course.seed)

    def val_accuracy(self, frozen: FrozenHead) -> float:
        val = self.parts.val
        return float((frozen.scores(self.table.X[val]).argmax(axis=1) == self.parts.y[val]).mean())

    def frozen_candidate(self, frozen: FrozenHead) -> Candidate:
        estimator = frozen.tuned.estimator
        params = {name.removeprefix("head__"): value for name, value in frozen.tuned.params.items()}
        from featx.classifier import fold

        scores = frozen.scores(self.table.X)
        table = bundled(self.table, self.runtime) if self.table.spec.backbone == FILE_BACKBONE else self.table
        name = "mlp" if self.wish.dense else self.wish.head
        return Candidate("frozen", table, estimator, fold(estimator), scores, name, params)

    def train(self, frozen: FrozenHead | None) -> tuple[Trained, Cut, Candidate, Path]:
        """Train, save the network, and run it over the data set as any user would."""
        spec, core = self._core()
        cut = cut_network(core, "all" if self.wish.is_scratch else self.wish.unfreeze)
        top = self._random_top(core) if frozen is None else frozen.top
        pooling = "flatten" if self.wish.is_scratch else spec.pooling
        network = make_trainable(core, cut.below, spec.preprocess, pooling, top.weights, top.biases, self.course)
        self.runtime.notice(
            f"trained are {cut.n_blocks} blocks, from {cut.first} on"
            + ("" if cut.is_whole else f"; the part below runs once, {' x '.join(map(str, cut.shape))} numbers a picture")
        )
        with self._reading(spec, cut) as read:
            training, validation = self._feeds(read)
            trained = train(
                network, training, validation, len(self.parts.classes), self.course, self.folder, self.runtime
            )
        file = self._saved(trained, spec)
        return trained, cut, self._finetuned_candidate(trained, file), file

    def notes(self, cut: Cut) -> tuple[str, ...]:
        notes = []
        if not self.parts.is_own_test:
            notes.append("a fifth of the pictures, groups kept together, was held out to judge; another to choose by")
        return tuple(notes)

    def _core(self) -> tuple[FeatureSpec, Any]:
        if self.wish.is_scratch:
            size = self.wish.options.get("size") or _SCRATCH_SIZE
            spec = dataclasses.replace(
                self.table.spec, size=size, preprocess=_SCRATCH_SCALING, pooling="flatten", **_augmented(self.wish)
            )
            return spec, scratch_core(size)
        spec = dataclasses.replace(self.table.spec, precision="float32", engine="tensorflow")
        source = self.wish.backbone if spec.backbone == FILE_BACKBONE else self._weights()
        return dataclasses.replace(self.table.spec, **_augmented(self.wish)), build_core(
            spec, locate(spec, source, self.runtime)
        )

    def _weights(self) -> str | Path | None:
        given = self.wish.options.get("weights", "imagenet")
        return None if str(given) == "imagenet" or str(given).startswith("random") else given

    def _random_top(self, core: Any) -> Top:
        n_features = int(np.prod(core.output_shape[1:]))
        hidden = self.wish.dense or _SCRATCH_DENSE
        return random_top(n_features, hidden, len(self.parts.classes), self.course.seed)

    @contextmanager
    def _reading(self, spec: FeatureSpec, cut: Cut) -> Iterator[ReadView]:
        """Give what returns the inputs of pictures: cached activations, or pixels."""
        if self.wish.trunk_cache and not cut.is_whole:
            yield self._activations(cut)
            return
        root = self.data if self.data.is_dir() else self.data.parent
        paths = [root / sample.sample_id for sample in self.table.samples]
        with Pixels(paths, self.table.content_hashes, spec, self.runtime) as pixels:
            yield pixels.read

    def _activations(self, cut: Cut) -> ReadView:
        n_bytes = 4 * int(np.prod(cut.shape)) * (len(self.table) + self.wish.n_views * len(self.parts.train))
        free = shutil.disk_usage(prepare_cache(self.runtime.cache, "features")).free
        if 2 * n_bytes + _SPARE_BYTES > free:  # a store is written anew when its journal is merged into it
            raise TrainingError(
                f"the activations below {cut.first} take {n_bytes / 1e9:.1f} GB, twice that for a moment, and only "
                f"{free / 1e9:.1f} GB are free in {self.runtime.cache}; unfreeze fewer blocks, use fewer --views, "
                "another --cache or --no-trunk-cache"
            )
        pooling = "flatten" if len(cut.shape) > 1 else "avg"
        options = {**self.wish.options, **self.wish.views, "layer": cut.below, "pooling": pooling}
        trunk = compute_table(self.data, self.wish.backbone, runtime=self.runtime, **options)
        if not np.array_equal(trunk.content_hashes, self.table.content_hashes):
            raise TrainingError(f"{self.data} has changed meanwhile; run again")
        opened: dict[int, Any] = {}

        def read(view: int, at: NDArray[np.int64]) -> NDArray[Any]:
            if view not in opened:
                opened[view] = trunk.opened(view)
            return np.asarray(opened[view](at)).reshape(-1, *cut.shape)

        return read

    def _feeds(self, read: ReadView) -> tuple[Feed, Feed]:
        parts, batch_size = self.parts, self.course.batch_size
        y = parts.y
        training = Shuffled(read, parts.train, y[parts.train], self.wish.n_views, batch_size, self.course.seed)
        return training, InOrder(read, parts.val, y[parts.val], batch_size)

    def _saved(self, trained: Trained, spec: FeatureSpec) -> Path:
        """Save the network once: its file, and so its digest, stays the same where the same run is asked for again."""
        file = self.folder / f"epoch-{trained.history.best}-of-{len(trained.history.epochs) - 1}.keras"
        if not file.exists():
            temporary = file.with_name(f"saving-{file.name}")
            trained.network.save(temporary)
            temporary.replace(file)
        said = {"preprocess": spec.preprocess, "size": spec.size}
        write_whole(file.with_suffix(".json"), lambda path: _write(path, json.dumps(said).encode()))
        return file

    def _finetuned_candidate(self, trained: Trained, file: Path) -> Candidate:
        names = ("resize", "white", "page", "engine", "precision", "label_by", "path_column", "label_column")
        options = {name: self.wish.options[name] for name in names if name in self.wish.options}
        table = bundled(compute_table(self.data, str(file), runtime=self.runtime, **options), self.runtime)
        kernel, bias = trained.network.last_layer()
        estimator = linear_estimator(kernel, bias)
        folded = Folded([estimator.coef_.T], [estimator.intercept_])
        epochs = len(trained.history.epochs) - 1
        params = {"epoch": trained.history.best, "epochs": epochs, "optimizer": self.course.optimizer}
        return Candidate("finetuned", table, estimator, folded, folded.scores(table.X), "finetuned", params)


def _augmented(wish: _Wish) -> dict[str, Any]:
    if not wish.views:
        return {}
    from featx.augmentation import read_policy

    return {"augment": read_policy(wish.views["augment"]), "augment_seed": wish.views["seed"]}


def _begin(data: Path, wish: _Wish, course: Course, runtime: Runtime) -> _Job:
    options = dict(wish.options)
    if wish.is_scratch:  # copies are told by the features of the usual network, which also checks the pictures
        for name in ("size", "weights", "preprocess"):
            options.pop(name, None)
        table = compute_table(data, DEFAULT_BACKBONE, runtime=runtime, **options)
    else:
        table = compute_table(data, wish.backbone, pooling=_POOLINGS[wish.top], runtime=runtime, **options)
    named = None if wish.group_by is None else read_groups(table.samples, wish.group_by)
    groups = group_samples(table, named).numbers
    parts = hold_out(table, groups, course.seed)
    told = {
        "spec": table.spec.to_json(),
        "wish": [wish.backbone == SCRATCH, str(wish.unfreeze), wish.head, wish.top, wish.dense, wish.views],
        "size": wish.options.get("size"),
        "course": course.to_dict(),
    }
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for array in (table.content_hashes, parts.y, parts.train, parts.val):
        key.update(np.ascontiguousarray(array).tobytes())
    folder = prepare_cache(runtime.cache, "training") / key.hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    return _Job(data, wish, course, runtime, table, groups, parts, folder)


class _Outputs:
    """The files beside the model file."""

    def __init__(self, model: Path, overwrite: bool) -> None:
        check_output(model, (".featx",), overwrite)
        self._files = {suffix: model.with_suffix(suffix) for suffix in (".keras", ".json", ".csv", ".png")}
        for suffix, file in self._files.items():
            check_output(file, (suffix,), overwrite)

    def write(self, network: Path, folder: Path, trained: Trained, frozen: float | None) -> Path:
        """Write network, scaling, log and curves; return the network's new place."""
        levels = {} if frozen is None else {"frozen, held out": frozen}
        contents = {
            ".keras": network.read_bytes(),
            ".json": network.with_suffix(".json").read_bytes(),
            ".csv": (folder / "log.csv").read_bytes(),
            ".png": draw_curves({"fine-tuned": trained.history}, levels),
        }
        for suffix, content in contents.items():
            write_whole(self._files[suffix], lambda path, content=content: _write(path, content))  # type: ignore[misc]
        return self._files[".keras"]


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
