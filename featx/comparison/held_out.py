"""From scratch against transfer, frozen and fine-tuned: all on one held-out part."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.comparison.records import Compared, Comparison
from featx.errors import DatasetError, EngineError, OutputError
from featx.evaluate import (
    Tally,
    difference_of_shares,
    quiet_single_threads,
    share_of,
    tune_and_fit,
)
from featx.evaluation import Interval
from featx.extraction import compute_table
from featx.heads import Head, make_head, scores_of
from featx.options import DEFAULT_HEAD, ClassWeight, ExtractOptions, FeatureOptions, RunOptions, TrainOptions
from featx.output import OutputFile
from featx.runtime import Runtime
from featx.spec import Pooling, Resize
from featx.training import (
    SCRATCH,
    SCRATCH_SIZE,
    History,
    Material,
    Plan,
    TrainedNetwork,
    check_views,
    divide,
    draw_curves,
    train_blocks,
    train_scratch,
    usual_course,
)

_TRAINED = "trained"
"""What stands for the head of a network that is trained with its own."""


@dataclass(frozen=True)
class Contestants:
    """What is compared.

    Parameters
    ----------
    recipes : tuple of (backbone, pooling, resize, size)
    heads : sequence of Head
    scratch : bool
    unfreeze : int or str, optional
    augment : str, optional
    views : int
    """

    recipes: tuple[tuple[str, Pooling, Resize, int | None], ...]
    heads: Sequence[Head]
    scratch: bool
    unfreeze: int | str | None
    augment: str | None
    views: int

    def plan(self, is_scratch: bool, class_weight: ClassWeight | None, seed: int) -> Plan:
        """Return how a network is trained."""
        course = usual_course(is_scratch, seed, TrainOptions(class_weight=class_weight))
        return Plan(course, "auto" if self.unfreeze is None else self.unfreeze, self.augment, self.views)


@dataclass(frozen=True)
class _Contestant:
    """A row to be, and whether it was right on each held-out picture."""

    row: Compared
    hits: NDArray[np.bool_]
    notes: tuple[str, ...] = ()


def compare_trained(
    data: Path,
    contestants: Contestants,
    group_by: str | None,
    class_weight: ClassWeight | None,
    seed: int,
    curves: Path | None,
    overwrite: bool,
    options: FeatureOptions,
    run: RunOptions,
    runtime: Runtime,
) -> Comparison:
    """Fit heads and train networks on one part, and judge all on another; see :func:`featx.compare`."""
    check_views(contestants.augment, contestants.views)
    if options.precision == "int8":
        raise EngineError("a quantized network cannot be trained; use `precision=auto`, float32 or bfloat16")
    drawn = None if curves is None else OutputFile(curves, (".png",), overwrite, "curves", [data])
    found: list[_Contestant] = []
    histories: dict[str, History] = {}
    first: Material | None = None
    for backbone, pooling, resize, size in contestants.recipes:
        mine = dataclasses.replace(options, pooling=pooling, resize=resize, size=size)
        first, material = _material(first, data, backbone, mine, run, group_by, seed, runtime)
        if drawn is not None:
            drawn.spare(material.paths)
        found += [_frozen(material, head) for head in contestants.heads]
        if contestants.unfreeze is not None:
            started = time.monotonic()
            plan = contestants.plan(False, class_weight, seed)
            trained = train_blocks(
                material, plan, material.fit_frozen(make_head(DEFAULT_HEAD, None, class_weight, seed))
            )
            name = f"{backbone}, {trained.cut.part} trained"
            found.append(_trained(material, trained, name, backbone, time.monotonic() - started))
            histories[name if name not in histories else f"{name}, {pooling}, {resize}, {size}"] = trained.history
    if first is not None and contestants.scratch:
        started = time.monotonic()
        trained = train_scratch(first, contestants.plan(True, class_weight, seed), SCRATCH_SIZE)
        found.append(_trained(first, trained, SCRATCH, SCRATCH, time.monotonic() - started))
        histories[SCRATCH] = trained.history
    if first is None:  # no recipe: compare() refuses that
        raise DatasetError(f"nothing of {data} is to be compared")
    comparison = _ranked(first, found, histories)
    if drawn is not None:
        levels = {
            f"{row.backbone} {row.head}, held out": row.accuracy.mean
            for row in comparison.rows
            if row.backbone not in histories
        }
        try:
            png = draw_curves(histories, levels)
        except OutputError as error:
            raise OutputError(
                f"{error}. What was trained is kept in the cache: run the same command without `curves`"
            ) from None
        drawn.write_content(png)
    return comparison


def _material(
    first: Material | None,
    data: Path,
    backbone: str,
    options: FeatureOptions,
    run: RunOptions,
    group_by: str | None,
    seed: int,
    runtime: Runtime,
) -> tuple[Material, Material]:
    """Return the first material, whose parts all share, and that of a recipe."""
    if first is None:
        first = divide(data, backbone, options, run, group_by, seed, runtime)
        return first, first
    table = compute_table(data, backbone, ExtractOptions.of(vars(options)), run, runtime=runtime)
    if not np.array_equal(table.content_hashes, first.table.content_hashes):
        raise DatasetError(f"{data} has changed while it was compared; run again")
    return first, dataclasses.replace(first, backbone=backbone, options=options, table=table)


def _frozen(material: Material, head: Head) -> _Contestant:
    started = time.monotonic()
    parts, table, tally = material.parts, material.table, Tally()
    X = table.X
    with quiet_single_threads(), material.runtime.stage(f"tuning and fitting {head.name}") as advance:
        known = X[parts.train], parts.y[parts.train], material.groups[parts.train]
        tuned = tune_and_fit(head, *known, parts.classes, material.seed, tally, "the final head", progress=advance)
    hits = scores_of(tuned.estimator, X[parts.test], len(parts.classes)).argmax(axis=1) == parts.y[parts.test]
    row = _row(material, material.backbone, head.name, material.table.spec.size, hits, time.monotonic() - started)
    return _Contestant(row, hits, tuple(f"{row.backbone} {row.head}: {note}" for note in tally.notes()))


def _trained(material: Material, trained: TrainedNetwork, name: str, trained_from: str, seconds: float) -> _Contestant:
    parts = material.parts
    hits = trained.scores[parts.test].argmax(axis=1) == parts.y[parts.test]
    row = _row(material, name, _TRAINED, trained.table.spec.size, hits, seconds)
    return _Contestant(dataclasses.replace(row, trained_from=trained_from), hits)


def _row(material: Material, backbone: str, head: str, size: int, hits: NDArray[np.bool_], seconds: float) -> Compared:
    spec, extraction = material.table.spec, material.table.extraction
    accuracy = share_of(hits, material.groups[material.parts.test])
    material.runtime.notice(f"{backbone if head == _TRAINED else f'{backbone} {head}'}: {accuracy.mean:.3f}")
    return Compared(
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
        seconds=seconds,
    )


def _ranked(material: Material, found: Sequence[_Contestant], histories: Mapping[str, History]) -> Comparison:
    ranked = sorted(found, key=lambda one: -one.row.accuracy.mean)
    best, parts = ranked[0], material.parts
    of_test = material.groups[parts.test]
    others = [
        dataclasses.replace(one.row, difference_to_best=difference_of_shares(one.hits, best.hits, of_test))
        for one in ranked[1:]
    ]
    y = parts.y[parts.test]
    whose = "the test part" if parts.is_own_test else "held out, groups kept together"
    return Comparison(
        rows=(best.row, *others),
        n_images=len(parts.train),
        n_groups=len(np.unique(material.groups[parts.train])),
        splitter=f"{len(parts.test):,} pictures {whose}",
        n_folds=1,
        baseline=float(np.bincount(y).max() / len(y)),
        luck_of_choice=0.0,
        notes=(
            *material.notes,
            *(note for one in found for note in one.notes),
            "the accuracy of the best of several on the same pictures is a little flattering",
        ),
        histories=histories,
    )
