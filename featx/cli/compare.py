"""featx compare: every combination of backbone and head on the same folds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import model_replaced
from featx.errors import EvaluationError, as_usage

_TOPS = {"avg": "gap", "max": "gmp", "flatten": "flatten"}
"""What `featx finetune` calls poolings."""

_USUAL = {
    "weights": "imagenet", "pooling": "avg", "top": "gap", "resize": "crop", "engine": "auto", "precision": "auto",
    "path_column": "path", "label_column": "label", "cv": "5", "repeats": "1", "page": "1", "views": "0", "seed": "0",
}  # fmt: skip
"""Defaults of `featx fit` and `featx finetune`, which the next command need not say."""


def compare(
    data: Annotated[Path, typer.Argument(help="Folder or manifest of labelled pictures.")] = Path("data"),
    backbones: Annotated[str, typer.Option(help="Networks, with commas.")] = "efficientnet-lite0",
    heads: Annotated[str, typer.Option(help="Heads, with commas.")] = "logreg,svm",
    poolings: Annotated[str, typer.Option(help="avg, max, flatten, with commas.")] = "avg",
    resizes: Annotated[str, typer.Option(help="crop, squash, pad, with commas.")] = "crop",
    sizes: Annotated[
        str | None, typer.Option(help="Input sides in pixels, with commas; the networks' own if not given.")
    ] = None,
    group_by: o.GroupBy = None,
    cv: o.Folds = 5,
    repeats: o.Repeats = 1,
    class_weight: o.ClassWeight = None,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Compare with a small network trained from random weights.")
    ] = False,
    unfreeze: Annotated[
        str | None, typer.Option(help="Compare with the networks fine-tuned: blocks, auto, all or a layer.")
    ] = None,
    augment: o.Augment = None,
    views: o.Views = 0,
    curves: Annotated[Path | None, typer.Option(help="PNG of how trained networks fared, epoch by epoch.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it if featx wrote it.")] = False,
    seed: o.Seed = 0,
    weights: o.Weights = "imagenet",
    layer: o.Layer = None,
    preprocess: o.Preprocess = None,
    layout: o.Layout = None,
    white: o.White = None,
    page: o.Page = 1,
    engine: o.Engine = "auto",
    precision: o.Precision = "auto",
    label_by: o.LabelBy = None,
    path_column: o.PathColumn = "path",
    label_column: o.LabelColumn = "label",
    cache: o.Cache = Path("cache"),
    workers: o.Workers = None,
    device: o.Device = "auto",
    max_pixels: o.MaxPixels = 100_000_000,
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
        group_by=group_by,
        cv=cv,
        repeats=repeats,
        class_weight=class_weight,
        scratch=scratch,
        unfreeze=unfreeze,
        augment=augment,
        views=views,
        curves=curves,
        overwrite=overwrite,
        seed=seed,
        weights=weights,
        layer=layer,
        preprocess=preprocess,
        layout=layout,
        white=white,
        page=page,
        engine=engine,
        precision=precision,
        label_by=label_by,
        path_column=path_column,
        label_column=label_column,
        runtime=console.runtime(cache, workers, device=device, max_pixels=max_pixels),
    )
    result = found.to_dict()
    best = found.rows[0]
    chosen = {
        "head": best.head if best.trained_from is None else None,
        "resize": best.resize,
        "size": None if sizes is None else str(best.size),
        "preprocess": preprocess,
        "white": None if white is None else str(white),
        "page": str(page),
        "engine": engine,
        "precision": precision,
        "label_by": label_by,
        "path_column": path_column,
        "label_column": label_column,
        "class_weight": class_weight,
        "group_by": group_by,
        "seed": str(seed),
    }
    if best.trained_from is None:
        command, begun_as = "fit", best.backbone
        chosen |= {"weights": weights, "pooling": best.pooling, "cv": str(cv), "repeats": str(repeats)}
        chosen |= {"layer": layer, "layout": layout}
    else:
        command, begun_as = "finetune", best.trained_from
        chosen |= {"augment": augment, "views": str(views)}
        if best.trained_from != best.backbone:  # from scratch it has neither weights nor blocks to choose
            chosen |= {"weights": weights, "unfreeze": unfreeze, "top": _TOPS[best.pooling]}
    told = [
        word
        for name, value in chosen.items()
        if value is not None and value != _USUAL.get(name)
        for word in (f"--{name.replace('_', '-')}", value)
    ]
    told += model_replaced(data, begun_as, str(chosen["head"] or "finetuned"))
    todo = next_line(command, data, "--backbone", begun_as, *told, cache=cache)
    console.result(result, [*comparison_lines(result), todo])


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pixels(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise as_usage(
            EvaluationError(f"--sizes {text}: needed are whole numbers of pixels, with commas, as 160,224")
        ) from None
