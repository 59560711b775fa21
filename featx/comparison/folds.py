"""Cross-validate combinations of backbones and heads on the same folds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.comparison.records import Combination, Comparison, FeatureVariant
from featx.comparison.selection import selection_bias
from featx.duplicates import group_table
from featx.errors import DatasetError, EvaluationError
from featx.evaluation import CrossValidation, Interval
from featx.evaluation.procedures import (
    CrossValidated,
    FitCounter,
    TooFewGroups,
    check_samples,
    cross_validate,
    paired_difference,
    plan_memory,
    split_table,
)
from featx.extraction import compute_table
from featx.heads import Head
from featx.options import ExtractOptions, FeatureOptions, RunOptions
from featx.runtime import Runtime
from featx.table import FeatureTable


def compare_on_folds(
    data: str | Path,
    variants: Sequence[FeatureVariant],
    heads: Sequence[Head],
    group_by: str | None,
    group_versions: bool,
    folds: tuple[int, int, int],
    options: FeatureOptions,
    run: RunOptions,
    runtime: Runtime,
) -> Comparison:
    """Cross-validate every head on the features of every variant; see :func:`featx.compare`.

    Parameters
    ----------
    data : path
    variants : sequence of FeatureVariant
        Feature options to compare. The groups are found with the features of the first variant.
    heads : sequence of Head
    group_by : str or None
    group_versions : bool
    folds : tuple of int
        Number of folds, number of repetitions, and random seed.
    options : FeatureOptions
        Options that all variants share.
    run : RunOptions
    runtime : Runtime
    """
    check = partial(check_samples, group_by=group_by)

    def extracted(variant: FeatureVariant) -> FeatureTable:
        chosen = ExtractOptions.of(vars(variant.of(options)))
        return compute_table(data, variant.backbone, chosen, run, check=check, runtime=runtime)

    first = extracted(variants[0])
    grouping = group_table(first, group_by, runtime, group_versions)
    for note in grouping.notes():
        runtime.notice(note)
    measured: list[_Measured] = []
    for variant in variants:
        table = first if variant is variants[0] else extracted(variant)
        if not np.array_equal(table.content_hashes, first.content_hashes):
            raise DatasetError(f"{data} changed during the comparison; run the command again")
        measured += [_measured(table, head, grouping.numbers, variant.backbone, folds, runtime) for head in heads]
    return _ranked(measured, grouping.notes(), folds[2])


class _Measured(NamedTuple):
    row: Combination
    crossed: CrossValidated
    y: NDArray[np.int64]
    groups: NDArray[np.int64]
    tally: FitCounter
    plans: tuple[str, ...]


def _measured(
    table: FeatureTable,
    head: Head,
    groups: NDArray[np.int64],
    backbone: str,
    folds: tuple[int, int, int],
    runtime: Runtime,
) -> _Measured:
    started = time.monotonic()
    tally = FitCounter()
    memory = plan_memory(head, table, folds[0], 0, runtime)
    n_workers = runtime.n_workers
    train = split_table(table, groups, in_blocks=memory.in_blocks, n_workers=n_workers).train
    head, plan = memory.head(head, len(train.y), len(train.classes))
    try:
        with runtime.stage(f"cross-validating {head.name} on {backbone}") as advance:
            # Threads share the blocks of one fit instead of the fits.
            crossed = cross_validate(head, train, *folds, 1 if memory.in_blocks else n_workers, advance, tally)
    except TooFewGroups as error:
        raise EvaluationError(f"cross-validation is not possible: {error}") from None
    summary = crossed.summary
    runtime.notice(f"{backbone} {head.name}: accuracy {summary.accuracy.mean:.3f}")
    row = Combination(
        backbone=backbone,
        head=head.name,
        pooling=table.spec.pooling,
        resize=table.spec.resize,
        size=table.spec.size,
        accuracy=summary.accuracy,
        per_fold=summary.per_fold,
        difference_to_best=Interval(0.0, 0.0, 0.0),
        n_computed=table.extraction.n_computed,
        extraction_seconds=table.extraction.seconds if table.extraction.n_computed else None,
        seconds=time.monotonic() - started,
    )
    return _Measured(row, crossed, train.y, train.groups, tally, (memory.note, plan))


def _ranked(measured: Sequence[_Measured], notes: Sequence[str], seed: int) -> Comparison:
    # The sort is stable: combinations with equal accuracies keep the given order.
    ranked = sorted(measured, key=lambda item: -item.row.accuracy.mean)
    best = ranked[0]
    summary = best.crossed.summary
    others = []
    for item in ranked[1:]:
        difference = paired_difference(item.crossed, best.crossed, best.y, best.groups, len(ranked) - 1)
        others.append(replace(item.row, difference_to_best=difference))
    return Comparison(
        rows=(best.row, *others),
        n_images=len(best.y),
        n_groups=len(np.unique(best.groups)),
        splitter=summary.splitter,
        n_folds=summary.n_folds,
        baseline=best.crossed.targets.baseline(best.y).accuracy,
        selection_bias=_selection_bias(ranked, seed),
        notes=(*notes, *_untested_notes(summary), *_plans(ranked), *_convergence_notes(ranked)),
    )


def _selection_bias(measured: Sequence[_Measured], seed: int) -> float:
    first = measured[0]
    tested, targets = first.crossed.tested, first.crossed.targets
    hits = [targets.hits(item.crossed.predicted, first.y[tested]) for item in measured]
    return selection_bias(hits, first.groups[tested], seed)


def _untested_notes(summary: CrossValidation) -> list[str]:
    if not summary.untested:
        return []
    names = ", ".join(summary.untested)
    return [f"used for fitting but not tested, because all images of the class form one group: {names}"]


def _plans(measured: Sequence[_Measured]) -> list[str]:
    # A plan depends mostly on the head, so each plan is listed once for all backbones.
    return list(dict.fromkeys(plan for item in measured for plan in item.plans if plan))


def _convergence_notes(measured: Sequence[_Measured]) -> list[str]:
    return [f"{item.row.backbone} {item.row.head}: {note}" for item in measured for note in item.tally.notes()]
