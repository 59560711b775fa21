"""Every combination of backbone and head on the same folds, with paired intervals: compare."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from featx.arguments import checked
from featx.comparison.held_out import Contestants, compare_trained
from featx.comparison.records import Compared, Comparison
from featx.duplicates import group_samples
from featx.errors import DatasetError, EvaluationError
from featx.evaluate import (
    CrossValidated,
    Tally,
    TooFewGroups,
    check_samples,
    cross_validate,
    paired_difference,
    split_parts,
)
from featx.evaluation import CrossValidation, Interval
from featx.extraction import extract_checked
from featx.heads import Head, for_many, make_head
from featx.options import DEFAULT_BACKBONE, ClassWeight, ExtractOptions, FeatureOptions, LabelBy, RunOptions
from featx.runtime import Runtime
from featx.sources import read_groups, unnamed_note
from featx.spec import EngineName, Layout, Pooling, Precision, Resize
from featx.table import FeatureTable


@checked()
def compare(
    data: str | Path = "data",
    backbones: Sequence[str] = (DEFAULT_BACKBONE,),
    heads: Sequence[str | BaseEstimator] = ("logreg", "svm"),
    *,
    poolings: Sequence[Pooling] = ("avg",),
    resizes: Sequence[Resize] = ("crop",),
    sizes: Sequence[int | None] = (None,),
    group_by: str | None = None,
    cv: int = 5,
    repeats: int = 1,
    class_weight: ClassWeight | None = None,
    scratch: bool = False,
    unfreeze: int | str | None = None,
    augment: str | None = None,
    views: int = 0,
    curves: str | Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    weights: str | Path = "imagenet",
    layer: str | None = None,
    white: int | None = None,
    page: int = 1,
    preprocess: str | None = None,
    layout: Layout | None = None,
    engine: Literal["auto"] | EngineName = "auto",
    precision: Literal["auto"] | Precision = "auto",
    label_by: LabelBy | None = None,
    path_column: str = "path",
    label_column: str = "label",
    strict: bool = False,
    runtime: Runtime | None = None,
) -> Comparison:
    """Measure every combination on the same folds; what is cached is not computed again.

    With ``scratch`` or ``unfreeze`` networks are trained end to end too, which folds would make slow: then all are
    compared on one held-out part, as :func:`featx.finetune` cuts it off.

    Parameters
    ----------
    data : path
        Folder or manifest, as for :func:`featx.extract`.
    backbones : sequence of str
    heads : sequence of (str or scikit-learn classifier)
    poolings, resizes : sequence of str
    sizes : sequence of (int or None)
        Input sides in pixels; None for a network's own.
    group_by, cv, repeats, class_weight, seed
        As for :func:`featx.fit`. The groups are those of the first combination's features, for all.
    scratch : bool
        Compare with a small network that is trained from random weights.
    unfreeze : int or str, optional
        Compare with each backbone fine-tuned so; see :func:`featx.finetune`.
    augment, views
        For networks that are trained; see :func:`featx.extract`.
    curves : path, optional
        PNG file to draw how these fared, epoch by epoch.
    overwrite : bool
        Replace it if featx wrote it.
    weights, layer, white, page, preprocess, layout, engine, precision, label_by, path_column, label_column, strict
        As for :func:`featx.extract`, for all combinations.
    runtime : Runtime, optional

    Returns
    -------
    Comparison

    Raises
    ------
    EvaluationError
        Nothing to compare, or no honest folds: the message says why.
    FeatxError
        As for :func:`featx.extract` and :func:`featx.fit`.
    """
    options, run = FeatureOptions.of(locals()), RunOptions(strict=strict)
    runtime = runtime or Runtime()
    if not (backbones and heads and poolings and resizes and sizes):
        raise EvaluationError("nothing to compare: give at least one backbone and one head")
    made = [make_head(head, None, class_weight, seed) for head in heads]  # say what is wrong before any work
    if scratch or unfreeze is not None:
        _check_trained(cv, repeats, options)
        contestants = Contestants(
            tuple(itertools.product(backbones, poolings, resizes, sizes)), made, scratch, unfreeze, augment, views
        )
        drawn = None if curves is None else Path(curves)
        return compare_trained(
            Path(data), contestants, group_by, class_weight, seed, drawn, overwrite, options, run, runtime
        )
    if curves is not None or augment is not None or views:
        raise EvaluationError(
            "curves and augmented views are of networks that are trained; add `scratch=True` or `unfreeze=N`"
        )
    check = partial(check_samples, group_by=group_by)
    groups = np.empty(0, np.int64)
    notes: list[str] = []
    first: FeatureTable | None = None
    found: list[_Measured] = []
    for backbone, pooling, resize, size in itertools.product(backbones, poolings, resizes, sizes):
        chosen = ExtractOptions.of({**vars(options), "pooling": pooling, "resize": resize, "size": size})
        table = extract_checked(data, backbone, chosen, run, check=check, runtime=runtime)
        if first is None:
            first = table
            named = table.groups.tolist() if group_by is None else read_groups(table.samples, group_by)
            with runtime.stage("finding near-duplicates") as advance:
                grouping = group_samples(table, named, advance)
            groups = grouping.numbers
            unnamed = unnamed_note(table.samples, group_by, named)
            notes = [*grouping.notes(), *([unnamed] if unnamed else [])]
            for note in notes:
                runtime.notice(note)
        if not np.array_equal(table.content_hashes, first.content_hashes):
            raise DatasetError(f"{data} has changed while it was compared; run again")
        for head in made:
            found.append(_measured(table, head, groups, backbone, (cv, repeats, seed), runtime))
    return _ranked(found, notes)


def _check_trained(cv: int, repeats: int, options: FeatureOptions) -> None:
    if (cv, repeats) != (5, 1):
        raise EvaluationError("trained networks are judged on one held-out part; leave out `cv` and `repeats`")
    if options.layer is not None:
        raise EvaluationError("networks are trained up to their last layer; leave out `layer`")


class _Measured(NamedTuple):
    row: Compared
    crossed: CrossValidated
    y: NDArray[np.int64]
    groups: NDArray[np.int64]
    tally: Tally
    plan: str


def _measured(
    table: FeatureTable,
    head: Head,
    groups: NDArray[np.int64],
    backbone: str,
    folds: tuple[int, int, int],
    runtime: Runtime,
) -> _Measured:
    started = time.monotonic()
    tally = Tally()
    train = split_parts(table, groups).train
    head, plan = for_many(head, len(train.y), len(train.classes))
    try:
        with runtime.stage(f"cross-validating {head.name} on {backbone}") as advance:
            crossed = cross_validate(head, train, *folds, runtime.n_workers, advance, tally)
    except TooFewGroups as error:
        raise EvaluationError(f"no honest folds to compare on: {error}") from None
    summary = crossed.summary
    runtime.notice(f"{backbone} {head.name}: {summary.accuracy.mean:.3f}")
    row = Compared(
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
    return _Measured(row, crossed, train.y, train.groups, tally, plan)


def _ranked(found: Sequence[_Measured], notes: Sequence[str]) -> Comparison:
    # The first of equals, as given.
    found = sorted(found, key=lambda one: -one.row.accuracy.mean)
    best = found[0]
    summary = best.crossed.summary
    others = [
        replace(one.row, difference_to_best=paired_difference(one.crossed, best.crossed, best.y, best.groups))
        for one in found[1:]
    ]
    return Comparison(
        rows=(best.row, *others),
        n_images=len(best.y),
        n_groups=len(np.unique(best.groups)),
        splitter=summary.splitter,
        n_folds=summary.n_folds,
        baseline=float(np.bincount(best.y).max() / len(best.y)),
        luck_of_choice=_luck_of_choice([one.row.per_fold for one in found]),
        notes=(*notes, *_untested_notes(summary), *_plans(found), *_convergence_notes(found)),
    )


def _luck_of_choice(per_fold: Sequence[tuple[float, ...]]) -> float:
    scores = np.array(per_fold)
    return float((scores.max(axis=0) - scores[0]).mean())


def _untested_notes(summary: CrossValidation) -> list[str]:
    if not summary.untested:
        return []
    return [f"learnt but not tested, as all pictures of such a class are one group: {', '.join(summary.untested)}"]


def _plans(found: Sequence[_Measured]) -> list[str]:
    return list(dict.fromkeys(one.plan for one in found if one.plan))  # once for all backbones


def _convergence_notes(found: Sequence[_Measured]) -> list[str]:
    return [f"{one.row.backbone} {one.row.head}: {note}" for one in found for note in one.tally.notes()]
