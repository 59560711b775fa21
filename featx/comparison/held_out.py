"""From scratch against transfer, frozen and fine-tuned: all on one held-out part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.comparison.records import Combination, Comparison, FeatureVariant
from featx.errors import OutputError
from featx.evaluation import Interval
from featx.evaluation.procedures import difference_of_shares
from featx.finetuning import JudgedHead, extract_and_split, fit_head, train_network, with_features_of
from featx.heads import Head, make_head
from featx.options import DEFAULT_HEAD, ClassWeight, FeatureOptions, RunOptions, TrainOptions
from featx.output import OutputFile
from featx.runtime import Runtime
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
"""What stands for the head of a network that is trained with its own."""


@dataclass(frozen=True)
class NetworksToTrain:
    """Which networks are trained, and how.

    Parameters
    ----------
    scratch : bool
        Whether a small network is trained from random weights.
    unfreeze : int or str, optional
        Blocks of each backbone to train; none if not given.
    augment : str, optional
    views : int
    class_weight : {"balanced"}, optional
    """

    scratch: bool
    unfreeze: int | str | None
    augment: str | None
    views: int
    class_weight: ClassWeight | None

    def plan(self, is_scratch: bool, seed: int) -> TrainingPlan:
        """Return how a network is trained."""
        config = make_config(is_scratch, seed, TrainOptions(class_weight=self.class_weight))
        return TrainingPlan(config, "auto" if self.unfreeze is None else self.unfreeze, self.augment, self.views)


@dataclass(frozen=True)
class _Judged:
    """A row, what it stands for, and whether it was right on each image of the held-out part."""

    row: Combination
    options: FeatureOptions
    hits: NDArray[np.bool_]
    notes: tuple[str, ...]
    history: History | None = None


def compare_on_held_out(
    data: Path,
    variants: Sequence[FeatureVariant],
    heads: Sequence[Head],
    trained: NetworksToTrain,
    group_by: str | None,
    seed: int,
    curves: OutputFile | None,
    options: FeatureOptions,
    run: RunOptions,
    runtime: Runtime,
) -> Comparison:
    """Fit heads and train networks on one part, and judge all on another; see :func:`featx.compare`."""
    begun = variants[0]
    first = extract_and_split(data, begun.backbone, begun.of(options), run, group_by, seed, runtime)
    if curves is not None:
        curves.spare(Path(image.address) for image in first.images)
    found: list[_Judged] = []
    for variant in variants:
        divided = first if variant is begun else with_features_of(first, variant.backbone, variant.of(options))
        found += [_frozen(divided, head) for head in heads]
        if trained.unfreeze is not None:
            found.append(_finetuned(divided, trained))
    if trained.scratch:
        found.append(_from_scratch(first, trained))
    comparison = _ranked(first, found)
    if curves is not None:
        _draw(curves, comparison)
    return comparison


def _frozen(data: TrainingData, head: Head) -> _Judged:
    candidate = fit_head(data, head)
    return _judged(candidate, data.backbone, head.name, data.table.spec.size)


def _finetuned(data: TrainingData, trained: NetworksToTrain) -> _Judged:
    head = make_head(DEFAULT_HEAD, None, trained.class_weight, data.seed)
    frozen = fit_head(data, head, starts_training=True)
    network, candidate = train_network(data, trained.plan(False, data.seed), frozen, SCRATCH_SIZE)
    name = f"{data.backbone}, {network.cut.part} trained"
    return _judged(candidate, name, _TRAINED, network.table.spec.size, data.backbone, network.history)


def _from_scratch(data: TrainingData, trained: NetworksToTrain) -> _Judged:
    network, candidate = train_network(data, trained.plan(True, data.seed), None, SCRATCH_SIZE)
    return _judged(candidate, SCRATCH, _TRAINED, network.table.spec.size, SCRATCH, network.history)


def _judged(
    candidate: JudgedHead,
    backbone: str,
    head: str,
    size: int,
    trained_from: str | None = None,
    history: History | None = None,
) -> _Judged:
    data, accuracy = candidate.data, candidate.accuracy
    spec, extraction = data.table.spec, data.table.extraction
    data.runtime.notice(f"{backbone if head == _TRAINED else f'{backbone} {head}'}: {accuracy.mean:.3f}")
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
    return _Judged(row, data.options, candidate.hits, notes, history)


def _histories(found: Sequence[_Judged]) -> dict[str, History]:
    """Return how training went, by the row's backbone; what else tells variants of one backbone apart follows it."""
    histories: dict[str, History] = {}
    for one in found:
        if one.history is not None:
            name, given = one.row.backbone, one.options
            is_new = name not in histories
            histories[name if is_new else f"{name}, {given.pooling}, {given.resize}, {given.size}"] = one.history
    return histories


def _ranked(data: TrainingData, found: Sequence[_Judged]) -> Comparison:
    ranked = sorted(found, key=lambda one: -one.row.accuracy.mean)
    best, split = ranked[0], data.split
    of_test = data.groups[split.test]
    others = [
        replace(one.row, difference_to_best=difference_of_shares(one.hits, best.hits, of_test)) for one in ranked[1:]
    ]
    whose = "the test part" if split.is_own_test else "held out, groups kept together"
    return Comparison(
        rows=(best.row, *others),
        n_images=len(split.train),
        n_groups=len(np.unique(data.groups[split.train])),
        splitter=f"{len(split.test):,} images {whose}",
        n_folds=1,
        baseline=split.targets.baseline(split.y[split.test]).accuracy,
        luck_of_choice=0.0,
        notes=(
            *data.notes,
            *(note for one in found for note in one.notes),
            "the accuracy of the best of several on the same images is a little flattering",
        ),
        histories=_histories(found),
    )


def _draw(curves: OutputFile, comparison: Comparison) -> None:
    """Draw how training went, with the accuracies of frozen heads to compare with."""
    levels = {
        f"{row.backbone} {row.head}, held out": row.accuracy.mean
        for row in comparison.rows
        if row.backbone not in comparison.histories
    }
    try:
        png = draw_curves(comparison.histories, levels)
    except OutputError as error:
        raise OutputError(
            f"{error}. What was trained is kept in the cache: run the same command without `curves`"
        ) from None
    curves.write_content(png)
