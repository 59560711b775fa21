"""Evaluate combinations of backbones, feature options and heads on the same images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sklearn.base import BaseEstimator

from featx.arguments import checked
from featx.comparison.folds import compare_on_folds
from featx.comparison.held_out import NetworksToTrain, compare_on_held_out
from featx.comparison.records import Comparison, FeatureVariant
from featx.errors import EngineError, EvaluationError
from featx.heads import make_head
from featx.lookup import views_policy
from featx.options import (
    DEFAULT_BACKBONE,
    AugmentOptions,
    ClassWeight,
    CompareOptions,
    FeatureOptions,
    FoldOptions,
    LabelBy,
    RunOptions,
    SplitOptions,
    check_ranges,
)
from featx.output import OutputFile
from featx.runtime import Runtime
from featx.source import place_of
from featx.spec import EngineName, Layout, Pooling, Precision, Resize


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
    group_versions: bool = True,
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
    """Evaluate every combination of backbone, feature options and head on the same folds.

    Cached features are not computed again. The table that :func:`featx.latest` returns does not change.

    With ``scratch`` or ``unfreeze``, networks are also trained end to end. All combinations are then compared on one
    held-out part, which is chosen as in :func:`featx.finetune`, because training a network on every fold would be slow.

    Parameters
    ----------
    data : path
        Folder or manifest, as for :func:`featx.extract`.
    backbones : sequence of str
        Names or files of backbones.
    heads : sequence of (str or scikit-learn classifier)
    poolings, resizes : sequence of str
        Values of ``pooling`` and ``resize``; see :func:`featx.extract`.
    sizes : sequence of (int or None)
        Input sizes in pixels; None for the usual size of each backbone.
    group_by, group_versions, cv, repeats, class_weight, seed
        As for :func:`featx.fit`. The groups are found with the features of the first combination and used for all.
    scratch : bool
        Also train a small network from random weights.
    unfreeze : int or str, optional
        Also fine-tune each backbone; see :func:`featx.finetune`.
    augment, views
        Augmentation of the training images of trained networks; see :func:`featx.extract`.
    curves : path, optional
        PNG file to write: loss and accuracy of the trained networks over the epochs.
    overwrite : bool
        Replace ``curves`` if featx wrote it.
    weights, layer, white, page, preprocess, layout, engine, precision, label_by, path_column, label_column, strict
        As for :func:`featx.extract`, for all combinations.
    runtime : Runtime, optional

    Returns
    -------
    Comparison

    Raises
    ------
    EvaluationError
        If there is nothing to compare, an option does not apply, or cross-validation is not possible.
    FeatxError
        As for :func:`featx.extract` and :func:`featx.fit`.

    Examples
    --------
    >>> import featx
    >>> comparison = featx.compare("data", heads=["centroid", "logreg"], cv=3)
    >>> len(comparison.rows)
    2
    """
    options, run = FeatureOptions.of(locals()), RunOptions(strict=strict)
    check_ranges(locals(), CompareOptions, FoldOptions, AugmentOptions)
    runtime = runtime or Runtime()
    if not (backbones and heads and poolings and resizes and sizes):
        raise EvaluationError(
            "nothing to compare; give at least one value for each of `backbones`, `heads`, `poolings`, `resizes` "
            "and `sizes`"
        )
    variants = [FeatureVariant(*chosen) for chosen in itertools.product(backbones, poolings, resizes, sizes)]
    made = [
        make_head(head, None, class_weight, seed, "heads") for head in heads
    ]  # fails before any work if a head is invalid
    if scratch or unfreeze is not None:
        views_policy(augment, views)
        _check_trained(cv, repeats, options)
        trained = NetworksToTrain(scratch, unfreeze, augment, views, class_weight)
        splitting = SplitOptions(group_by, group_versions, seed)
        drawn = None if curves is None else OutputFile(Path(curves), (".png",), overwrite, "curves", [Path(data)])
        return compare_on_held_out(place_of(data), variants, made, trained, splitting, drawn, options, run, runtime)
    if curves is not None or augment is not None or views:
        raise EvaluationError(
            "`curves`, `augment` and `views` apply only to trained networks; add `scratch=True` or `unfreeze=N`, or "
            "leave them out"
        )
    return compare_on_folds(data, variants, made, group_by, group_versions, (cv, repeats, seed), options, run, runtime)


def _check_trained(cv: int, repeats: int, options: FeatureOptions) -> None:
    if (cv, repeats) != (5, 1):
        raise EvaluationError(
            "trained networks are evaluated on one held-out part, without folds; leave out `cv` and `repeats`"
        )
    if options.layer is not None:
        raise EvaluationError(
            f"`layer={options.layer}`: networks are trained up to their last layer; leave out `layer`"
        )
    if options.precision == "int8":
        raise EngineError("`precision=int8`: a quantized network cannot be trained; expected auto, float32 or bfloat16")
