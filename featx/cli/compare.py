"""featx compare: evaluate every combination of backbone and head on the same folds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import option_words, overwrite_option
from featx.options import (
    AugmentOptions,
    CompareOptions,
    FeatureOptions,
    FoldOptions,
    HeadOptions,
    RunOptions,
    RuntimeOptions,
    TrainOptions,
)

_TOPS = {"avg": "gap", "max": "gmp", "flatten": "flatten"}
"""The option `top` of `featx finetune` for each pooling."""

_COMPARED = ("pooling", "size", "resize")
"""Options of features that have a list of their own here."""

_OF_FIT = ("layer", "layout", "cv", "repeats")
"""Options that `featx finetune` does not have."""


def compare(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Folder, archive or manifest of labelled images.")
    ] = "data",
    *,
    compared: CompareOptions,
    folds: FoldOptions,
    shape: Annotated[HeadOptions, o.Without(("hidden",))],
    augmented: Annotated[AugmentOptions, o.Without(("seed",))],
    options: Annotated[FeatureOptions, o.Without(_COMPARED)],
    run: Annotated[RunOptions, o.Only(("strict",))],
    runtime: Annotated[RuntimeOptions, o.Without(("batch_size",))],
    as_json: o.Json = False,
) -> None:
    """Compare combinations of backbones and heads on the same folds, or on one held-out part."""
    console = Console(as_json)
    from featx.comparison import compare as library_compare
    from featx.rendering import comparison_lines

    found = library_compare(
        data,
        **vars(compared),
        **vars(folds),
        class_weight=shape.class_weight,
        augment=augmented.augment,
        views=augmented.views,
        **{name: value for name, value in vars(options).items() if name not in _COMPARED},
        strict=run.strict,
        runtime=console.runtime(runtime),
    )
    result = found.to_dict()
    best = found.rows[0]
    chosen: dict[str, Any] = {"head": best.head} if best.trained_from is None else {}
    if best.resize != FeatureOptions.resize:
        chosen["resize"] = best.resize
    if compared.sizes != CompareOptions.sizes:
        chosen["size"] = best.size
    chosen |= {name: value for name, value in options.changed().items() if name not in _COMPARED}
    chosen |= {**shape.changed(), **folds.changed()}
    if best.trained_from is None:
        command, begun_as = "fit", best.backbone
        if best.pooling != FeatureOptions.pooling:
            chosen["pooling"] = best.pooling
    else:
        command, begun_as = "finetune", best.trained_from
        chosen = {name: value for name, value in chosen.items() if name not in _OF_FIT} | augmented.changed()
        if best.trained_from == best.backbone:  # from scratch it has neither weights nor blocks to choose
            chosen = {name: value for name, value in chosen.items() if name not in ("weights", "preprocess")}
        else:
            chosen["unfreeze"] = compared.unfreeze
            if _TOPS[best.pooling] != TrainOptions.top:
                chosen["top"] = _TOPS[best.pooling]
    words = option_words(chosen)
    words += overwrite_option(data, begun_as, str(chosen.get("head", "finetuned")))
    todo = next_line(command, data, "--backbone", begun_as, *words, cache=runtime.cache)
    console.result(result, [*comparison_lines(result), todo])
