"""Compare frozen heads, fine-tuned backbones and a network trained from scratch on one held-out part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.comparison.records import Combination, Comparison, FeatureVariant
from featx.comparison.selection import selection_bias
from featx.errors import OutputError
from featx.evaluation import Interval
from featx.evaluation.procedures import difference_of_shares
from featx.finetuning import JudgedHead, extract_and_split, fit_head, train_network, with_features_of
from featx.heads import Head, make_head
from featx.options import DEFAULT_HEAD, ClassWeight, FeatureOptions, RunOptions, SplitOptions, TrainOptions
from featx.output import OutputFile
from featx.runtime import Runtime
from featx.source import Place
from featx.training import (
    SCRATCH,
    SCRATCH_SIZE,
    History,
    TrainingData,
    TrainingPlan,
    draw_curves,
    make_config,
)

_TRAINED = "trained"
"""Value in the column ``head`` for a network that is trained end to end."""


@dataclass(frozen=True)
class NetworksToTrain:
    """Networks to train, and the options for their training.

    Parameters
    ----------
    scratch : bool
        Whether to train a small network from random weights.
    unfreeze : int, str or None
        Blocks of each backbone to train; None if no backbone is fine-tuned.
    augment : str or None
        Augmentation policy.
    views : int
        Number of augmented views of each training image.
    class_weight : {"balanced"} or None
        Class weights; see :class:`featx.options.HeadOptions`.
    """

    scratch: bool
    unfreeze: int | str | None
    augment: str | None
    views: int
    class_weight: ClassWeight | None

    def plan(self, is_scratch: bool, seed: int) -> TrainingPlan:
        """Return the training plan of a network."""
        config = make_config(is_scratch, seed, TrainOptions(class_weight=self.class_weight))
        return TrainingPlan(config, "auto" if self.unfreeze is None else self.unfreeze, self.augment, self.views)


@dataclass(frozen=True)
class _Evaluated:
    """One combination: result, feature options, and whether the prediction of each held-out image is correct."""

    row: Combination
    options: FeatureOptions
    hits: NDArray[np.bool_]
    notes: tuple[str, ...]
    history: History | None = None


def compare_on_held_out(
    data: Place,
    variants: Sequence[FeatureVariant],
    heads: Sequence[Head],
    trained: NetworksToTrain,
    splitting: SplitOptions,
    curves: OutputFile | None,
    options: FeatureOptions,
    run: RunOptions,
    runtime: Runtime,
) -> Comparison:
    """Fit heads and train networks on one part, and evaluate them on a held-out part; see :func:`featx.compare`."""
    first_variant = variants[0]
    first = extract_and_split(data, first_variant.backbone, first_variant.of(options), run, splitting, runtime)
    if curves is not None:
        curves.refuse_inputs(Path(image.address) for image in first.images)
    evaluated: list[_Evaluated] = []
    for variant in variants:
        divided = first if variant is first_variant else with_features_of(first, variant.backbone, variant.of(options))
        evaluated += [_frozen(divided, head) for head in heads]
        if trained.unfreeze is not None:
            evaluated.append(_finetuned(divided, trained))
    if trained.scratch:
        evaluated.append(_from_scratch(first, trained))
    comparison = _ranked(first, evaluated)
    if curves is not None:
        _draw(curves, comparison)
    return comparison


def _frozen(data: TrainingData, head: Head) -> _Evaluated:
    candidate = fit_head(data, head)
    return _evaluated(candidate, data.backbone, head.name, data.table.spec.size)


def _finetuned(data: TrainingData, trained: NetworksToTrain) -> _Evaluated:
    head = make_head(DEFAULT_HEAD, None, trained.class_weight, data.seed)
    frozen = fit_head(data, head, starts_training=True)
    network, candidate = train_network(data, trained.plan(False, data.seed), frozen, SCRATCH_SIZE)
    name = f"{data.backbone}, {network.cut.part} trained"
    return _evaluated(candidate, name, _TRAINED, network.table.spec.size, data.backbone, network.history)


def _from_scratch(data: TrainingData, trained: NetworksToTrain) -> _Evaluated:
    network, candidate = train_network(data, trained.plan(True, data.seed), None, SCRATCH_SIZE)
    return _evaluated(candidate, SCRATCH, _TRAINED, network.table.spec.size, SCRATCH, network.history)


def _evaluated(
    candidate: JudgedHead,
    backbone: str,
    head: str,
    size: int,
    trained_from: str | None = None,
    history: History | None = None,
) -> _Evaluated:
    data, accuracy = candidate.data, candidate.accuracy
    spec, extraction = data.table.spec, data.table.extraction
    data.runtime.notice(f"{backbone if head == _TRAINED else f'{backbone} {head}'}: accuracy {accuracy.mean:.3f}")
    row = Combination(
        backbone=backbone,
        head=head,
        pooling=spec.pooling,
        resize=spec.resize,
        size=size,
        accuracy=accuracy,
        per_fold=(accuracy.mean,),
        difference_to_best=Interval(0.0, 0.0, 0.0),
        n_computed=extraction.n_computed,
        extraction_seconds=extraction.seconds if extraction.n_computed else None,
        seconds=candidate.seconds,
        trained_from=trained_from,
    )
    notes = tuple(f"{backbone} {head}: {note}" for note in candidate.notes)
    return _Evaluated(row, data.options, candidate.hits, notes, history)


def _histories(evaluated: Sequence[_Evaluated]) -> dict[str, History]:
    """Return the training histories by backbone, with the feature options in the names if a backbone is repeated."""
    histories: dict[str, History] = {}
    for item in evaluated:
        if item.history is not None:
            name, given = item.row.backbone, item.options
            is_new = name not in histories
            histories[name if is_new else f"{name}, {given.pooling}, {given.resize}, {given.size}"] = item.history
    return histories


def _ranked(data: TrainingData, evaluated: Sequence[_Evaluated]) -> Comparison:
    ranked = sorted(evaluated, key=lambda item: -item.row.accuracy.mean)
    best, split = ranked[0], data.split
    of_test = data.groups[split.test]
    others = []
    for item in ranked[1:]:
        difference = difference_of_shares(item.hits, best.hits, of_test, len(ranked) - 1)
        others.append(replace(item.row, difference_to_best=difference))
    part = "images of the test part" if split.is_own_test else "held-out images (groups are not divided)"
    return Comparison(
        rows=(best.row, *others),
        n_images=len(split.train),
        n_groups=len(np.unique(data.groups[split.train])),
        splitter=f"{len(split.test):,} {part}",
        n_folds=1,
        baseline=split.targets.baseline(split.y[split.test]).accuracy,
        selection_bias=selection_bias([item.hits for item in ranked], of_test, data.seed),
        notes=(*data.notes, *(note for item in evaluated for note in item.notes)),
        histories=_histories(evaluated),
    )


def _draw(curves: OutputFile, comparison: Comparison) -> None:
    """Draw the training curves, with the accuracies of heads on frozen features as horizontal lines."""
    levels = {
        f"{row.backbone} {row.head}, held out": row.accuracy.mean
        for row in comparison.rows
        if row.backbone not in comparison.histories
    }
    try:
        png = draw_curves(comparison.histories, levels)
    except OutputError as error:
        raise OutputError(
            f"{error}. The trained networks are in the cache; to compare them, run the same command without `curves`"
        ) from None
    curves.write_content(png)
