"""Fine-tune the top blocks of a backbone and compare the result with the frozen backbone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from featx.arguments import checked
from featx.backbones import FILE_BACKBONE, is_onnx
from featx.errors import BackboneError, EngineError, HeadError, TrainingError, as_usage
from featx.evaluation import FinetuneComparison
from featx.finetuning.classifier import make_classifier
from featx.finetuning.held_out import compare_candidates, extract_and_split, fit_head, train_network
from featx.finetuning.outputs import CLASSIFIER, Outputs
from featx.finetuning.records import Finetuning
from featx.heads import Head, make_head
from featx.lookup import views_policy
from featx.options import (
    DEFAULT_BACKBONE,
    DEFAULT_HEAD,
    AugmentOptions,
    BatchNorm,
    ClassWeight,
    FeatureOptions,
    LabelBy,
    Optimizer,
    RunOptions,
    SplitOptions,
    Top,
    TrainOptions,
    check_ranges,
)
from featx.runtime import Runtime
from featx.source import place_of
from featx.spec import EngineName, Pooling, Precision, Resize
from featx.training import (
    SCRATCH,
    SCRATCH_SIZE,
    TrainingData,
    TrainingPlan,
    make_config,
)

_POOLINGS: dict[str, Pooling] = {"gap": "avg", "gmp": "max", "flatten": "flatten"}


@checked(unchecked=("head",))
def finetune(
    data: str | Path = "data",
    backbone: str = DEFAULT_BACKBONE,
    *,
    unfreeze: int | str = "auto",
    head: str = DEFAULT_HEAD,
    top: Top = "gap",
    hidden: Sequence[int] = (),
    dropout: float | None = None,
    augment: str | None = None,
    views: int = 0,
    epochs: int | None = None,
    batch_size: int = 32,
    optimizer: Optimizer = "adamw",
    learning_rate: float | None = None,
    layer_decay: float = 0.8,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    label_smoothing: float = 0.1,
    patience: int = 4,
    batch_norm: BatchNorm = "frozen",
    class_weight: ClassWeight | None = None,
    trunk_cache: bool = True,
    group_by: str | None = None,
    group_versions: bool = True,
    seed: int = 0,
    output: str | Path | None = None,
    overwrite: bool = False,
    weights: str | Path = "imagenet",
    size: int | None = None,
    resize: Resize = "crop",
    white: int | None = None,
    page: int = 1,
    preprocess: str | None = None,
    engine: Literal["auto"] | EngineName = "auto",
    precision: Literal["auto"] | Precision = "auto",
    label_by: LabelBy | None = None,
    path_column: str = "path",
    label_column: str = "label",
    strict: bool = False,
    runtime: Runtime | None = None,
) -> Finetuning:
    """Fine-tune a backbone and compare it with the frozen backbone on the same held-out images.

    The frozen blocks are executed once for each image, and for each view of the training images. Their activations are
    cached like features, and the blocks above are trained on these activations. The dense layers are initialised with
    the head fitted on the frozen features, so that training starts with the accuracy of this head. The epoch is
    selected on the validation part. Both candidates are evaluated on a test part that was used neither for training
    nor for the selection. If fine-tuning gives no gain, the frozen backbone is kept. A run that was stopped is resumed
    after its last complete epoch.

    Parameters
    ----------
    data : path
        Folder or manifest of labelled images, as for :func:`featx.extract`.
    backbone : str
        Name in :func:`featx.list_backbones`, a ``.keras`` or ``.h5`` file, or ``scratch-cnn``: a small network of
        three convolutional blocks and a dense layer, trained from random weights for comparison.
    unfreeze : int or str
        Number of blocks to train, counted from the output; ``auto`` (a third of the blocks); ``all``; or the name of
        the first layer to train.
    head : {"logreg", "ridge", "mlp"} or str
        Head fitted on the frozen features; its coefficients become the initial dense layers.
    top : {"gap", "gmp", "flatten"}
        Pooling before the dense layers: global average, global maximum, or no pooling.
    hidden : sequence of int
        Numbers of units in the hidden dense layers with ReLU, which are initialised with a head ``mlp`` of these sizes.
    dropout : float, optional
        Dropout rate; by default 0, and 0.5 for ``scratch-cnn``.
    augment, views
        As for :func:`featx.extract`. In each epoch, an image appears once, as itself or as one of its views.
    epochs, batch_size, optimizer, learning_rate, layer_decay, warmup, weight_decay, label_smoothing, patience, \
    batch_norm
        See :class:`featx.training.TrainingConfig`. By default 10 epochs with a learning rate of 3e-4; for
        ``scratch-cnn`` 30 epochs with a learning rate of 1e-3.
    class_weight : {"balanced"}, optional
        Class weights inversely proportional to the number of training images of each class.
    trunk_cache : bool
        Whether the activations of the frozen blocks are computed once and cached. If not, images are decoded and
        augmented, and the frozen blocks are executed, in every epoch and in float32. The result is the same as with
        activations cached in float32, but training is slower.
    group_by, group_versions
        As for :func:`featx.fit`.
    seed : int
        Random seed.
    output : path, optional
        Model file to write. The network (``.keras``), its pixel scaling (``.json``), the log (``.csv``), the curves
        (``.png``) and the classifier for Keras alone (``-classifier.keras``, ``-classifier.json``) are written beside
        it, under the same name.
    overwrite : bool
        Replace existing outputs that featx wrote.
    weights, size, resize, white, page, preprocess, engine, precision, label_by, path_column, label_column, strict
        As for :func:`featx.extract`.
    runtime : Runtime, optional

    Returns
    -------
    Finetuning

    Raises
    ------
    TrainingError, HeadError
        If the backbone cannot be trained with these options.
    EvaluationError
        If no valid test part can be held out; the message states the reason.
    FeatxError
        As for :func:`featx.extract`.

    Examples
    --------
    >>> import featx
    >>> done = featx.finetune("data", unfreeze=1, epochs=2)  # doctest: +SKIP
    >>> done.comparison.kept  # doctest: +SKIP
    'finetuned'
    """
    given, training = FeatureOptions.of(locals()), TrainOptions.of(locals())
    check_ranges(locals(), AugmentOptions)
    runtime = runtime or Runtime()
    started = time.monotonic()
    plan = TrainingPlan(
        make_config(backbone == SCRATCH, seed, training), unfreeze, augment, views, trunk_cache, tuple(hidden)
    )
    _check(backbone, head, top, plan, given)
    options = replace(given, pooling=_POOLINGS[top])
    initial_head = _head(head, plan)
    outputs = None
    if output is not None:
        outputs = Outputs(Path(output), overwrite, [Path(str(path)) for path in (data, backbone, weights)])
    extractor = _frozen(backbone, options)
    split = SplitOptions(group_by, group_versions, seed)
    divided = extract_and_split(place_of(data), *extractor, RunOptions(strict=strict), split, runtime)
    if outputs is not None:
        outputs.refuse_inputs(Path(image.address) for image in divided.images)
    frozen = None if backbone == SCRATCH else fit_head(divided, initial_head, starts_training=True)
    trained, finetuned = train_network(divided, plan, frozen, options.size or SCRATCH_SIZE)
    with runtime.stage("evaluating on the test images"):
        unfrozen = f"all of {SCRATCH}" if frozen is None else f"{trained.cut.blocks} and the dense layers"
        comparison = compare_candidates(frozen, finetuned, trained, unfrozen)
        kept = frozen if frozen is not None and comparison.kept == "frozen" else finetuned
        best = kept.with_graph()
        left_out = best.table.spec.backbone == FILE_BACKBONE and best.table.spec.graph is None
        notes = _notes(divided, plan, comparison, left_out)
        classifier = make_classifier(best, comparison, notes, time.monotonic() - started)
    network, for_keras = trained.file, None
    if outputs is not None:
        with runtime.stage("writing the network and its curves"):
            contents = trained.keras_classifier(divided.split.classes, finetuned.temperature)
            for_keras_alone = dict(zip(CLASSIFIER, contents, strict=True))
            network, for_keras = outputs.write(classifier, trained, comparison, for_keras_alone, runtime.notice)
    return Finetuning(
        backbone=network,
        keras_classifier=for_keras,
        classifier=classifier,
        weights=(network if comparison.kept == "finetuned" else Path(backbone)) if left_out else None,
        comparison=comparison,
        history=trained.history,
        step_zero=trained.history.epochs[0].val_accuracy,
        frozen_val=None if frozen is None else frozen.val_accuracy,
        n_train=len(divided.split.train),
        n_val=len(divided.split.val),
        notes=notes,
        seconds=time.monotonic() - started,
    )


def _check(backbone: str, head: str, top: str, plan: TrainingPlan, options: FeatureOptions) -> None:
    """Check the options before any work is done."""
    if top not in _POOLINGS:
        raise as_usage(TrainingError(f"`top={top}`: expected gap, gmp or flatten"))
    views_policy(plan.augment, plan.views)
    if plan.hidden and head not in (DEFAULT_HEAD, "mlp"):
        raise HeadError(
            f"`head={head}`: hidden dense layers are initialised with a head mlp; leave out `head` or `hidden`"
        )
    if backbone == SCRATCH:
        given = {"unfreeze": plan.unfreeze, "head": head, "top": top, **vars(options)}
        defaults = {"unfreeze": "auto", "head": DEFAULT_HEAD, "top": "gap", "weights": "imagenet", "preprocess": None}
        unused = [f"`{name}`" for name, value in defaults.items() if given.get(name, value) != value]
        if unused:
            raise TrainingError(f"{SCRATCH} is trained as a whole, from random weights; leave out {', '.join(unused)}")
    if is_onnx(Path(backbone)):
        raise BackboneError(
            f"{backbone} is an ONNX file, which cannot be fine-tuned; use a backbone listed by "
            "`featx backbones` or a .keras file"
        )
    if options.precision == "int8":
        raise EngineError("`precision=int8`: a quantized network cannot be fine-tuned; use auto, float32 or bfloat16")


def _head(name: str, plan: TrainingPlan) -> Head:
    if plan.hidden:
        return make_head("mlp", {"hidden_layer_sizes": plan.hidden}, plan.config.class_weight, plan.config.seed)
    return make_head(name, None, plan.config.class_weight, plan.config.seed)


def _frozen(backbone: str, options: FeatureOptions) -> tuple[str, FeatureOptions]:
    """Return backbone and options of the frozen features, which serve only to find duplicates for ``scratch-cnn``."""
    if backbone == SCRATCH:
        return DEFAULT_BACKBONE, replace(options, size=None, weights="imagenet", preprocess=None)
    return backbone, options


def _notes(data: TrainingData, plan: TrainingPlan, comparison: FinetuneComparison, left_out: bool) -> tuple[str, ...]:
    notes = [*data.notes]
    if not data.split.is_own_test:
        notes.append(
            "the data set has no test part: some training images were held out as test images, and no group was divided"
        )
    if comparison.difference is not None:
        notes.append(
            "the better of the frozen and the fine-tuned backbone is selected on the test images, so its accuracy is "
            "slightly optimistic"
        )
    if left_out:
        notes.append(
            "the model does not contain the network, because the engine is tensorflow; to predict, give `weights`"
        )
    if comparison.kept == "frozen" and not plan.views:
        notes.append("augmented views often improve fine-tuning; add `augment=medium` `views=3`")
    return tuple(notes)
