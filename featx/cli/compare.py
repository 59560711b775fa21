"""featx compare: every combination of backbone and head on the same folds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import model_replaced
from featx.errors import EvaluationError, as_usage
from featx.options import (
    DEFAULT_BACKBONE,
    AugmentOptions,
    FeatureOptions,
    FoldOptions,
    HeadOptions,
    RunOptions,
    RuntimeOptions,
    TrainOptions,
)

_TOPS = {"avg": "gap", "max": "gmp", "flatten": "flatten"}
"""What `featx finetune` calls poolings."""

_COMPARED = ("pooling", "size", "resize")
"""Options of features that are compared."""

_OF_FIT = ("layer", "layout", "cv", "repeats")
"""Options that finetune does not have."""


def compare(
    data: Annotated[Path, typer.Argument(help="Folder or manifest of labelled pictures.")] = Path("data"),
    backbones: Annotated[str, typer.Option(help="Networks, with commas.")] = DEFAULT_BACKBONE,
    heads: Annotated[str, typer.Option(help="Heads, with commas.")] = "logreg,svm",
    poolings: Annotated[str, typer.Option(help="avg, max, flatten, with commas.")] = "avg",
    resizes: Annotated[str, typer.Option(help="crop, squash, pad, with commas.")] = "crop",
    sizes: Annotated[
        str | None, typer.Option(help="Input sides in pixels, with commas; the networks' own if not given.")
    ] = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Compare with a small network trained from random weights.")
    ] = False,
    unfreeze: Annotated[
        str | None, typer.Option(help="Compare with the networks fine-tuned: blocks, auto, all or a layer.")
    ] = None,
    curves: Annotated[Path | None, typer.Option(help="PNG of how trained networks fared, epoch by epoch.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it if featx wrote it.")] = False,
    *,
    folds: FoldOptions,
    shape: Annotated[HeadOptions, o.Without(("hidden",))],
    augmented: Annotated[AugmentOptions, o.Without(("seed",))],
    options: Annotated[FeatureOptions, o.Without(_COMPARED)],
    run: Annotated[RunOptions, o.Only(("strict",))],
    runtime: Annotated[RuntimeOptions, o.Without(("batch_size",))],
    as_json: o.Json = False,
) -> None:
    """Compare backbones and heads on the same folds."""
    console = Console(as_json)
    from featx.comparison import compare as library_compare
    from featx.reporting import comparison_lines

    found = library_compare(
        data,
        _names(backbones),
        _names(heads),
        poolings=_names(poolings),
        resizes=_names(resizes),
        sizes=[None] if sizes is None else [_pixels(text) for text in _names(sizes)],
        **vars(folds),
        class_weight=shape.class_weight,
        scratch=scratch,
        unfreeze=unfreeze,
        augment=augmented.augment,
        views=augmented.views,
        curves=curves,
        overwrite=overwrite,
        **{name: value for name, value in vars(options).items() if name not in _COMPARED},
        strict=run.strict,
        runtime=console.runtime(runtime),
    )
    result = found.to_dict()
    best = found.rows[0]
    chosen: dict[str, Any] = {"head": best.head} if best.trained_from is None else {}
    if best.resize != FeatureOptions.resize:
        chosen["resize"] = best.resize
    if sizes is not None:
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
            chosen["unfreeze"] = unfreeze
            if _TOPS[best.pooling] != TrainOptions.top:
                chosen["top"] = _TOPS[best.pooling]
    told = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    told += model_replaced(data, begun_as, str(chosen.get("head", "finetuned")))
    todo = next_line(command, data, "--backbone", begun_as, *told, cache=runtime.cache)
    console.result(result, [*comparison_lines(result), todo])


def _names(text: str) -> list[Any]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pixels(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise as_usage(
            EvaluationError(f"--sizes {text}: needed are whole numbers of pixels, with commas, as 160,224")
        ) from None
