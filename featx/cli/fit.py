"""featx fit: tune, cross-validate, fit and save a head."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from featx.cli import options as o
from featx.cli.console import Console
from featx.cli.following import report_next, typed_again
from featx.errors import HeadError


def fit(
    data: Annotated[
        Path | None, typer.Argument(help="Pictures; what lacks features is extracted first. Default: extracted last.")
    ] = None,
    head: Annotated[str, typer.Option(help="logreg, svm, svm-rbf, mlp, knn, ridge or centroid.")] = "logreg",
    param: Annotated[
        list[str] | None, typer.Option(help="name=value of the head, fixed; name=[a,b] to choose from. Repeatable.")
    ] = None,
    hidden: Annotated[
        str | None, typer.Option(help="Widths of the hidden layers of mlp, with commas; 128 if not given.")
    ] = None,
    cv: o.Folds = 5,
    repeats: o.Repeats = 1,
    class_weight: o.ClassWeight = None,
    group_by: o.GroupBy = None,
    augment: o.Augment = None,
    views: o.Views = 0,
    seed: o.Seed = 0,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Take the network along: predicting then needs no weights.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Model file; NAME-BACKBONE-HEAD.featx if not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model file that is there.")] = False,
    backbone: o.Backbone = "efficientnet-lite0",
    weights: o.Weights = "imagenet",
    layer: o.Layer = None,
    pooling: o.Pooling = "avg",
    size: o.Size = None,
    resize: o.Resize = "crop",
    white: o.White = None,
    page: o.Page = 1,
    preprocess: o.Preprocess = None,
    layout: o.Layout = None,
    engine: o.Engine = "auto",
    precision: o.Precision = "auto",
    recalibrate: o.Recalibrate = False,
    label_by: o.LabelBy = None,
    path_column: o.PathColumn = "path",
    label_column: o.LabelColumn = "label",
    strict: o.Strict = False,
    cache: o.Cache = Path("cache"),
    workers: o.Workers = None,
    device: o.Device = "auto",
    max_pixels: o.MaxPixels = 100_000_000,
    as_json: o.Json = False,
) -> None:
    """Train a head on cached features, report its honest accuracy, and save it."""
    console = Console(as_json)
    from featx.extraction import latest
    from featx.fitting import extract_to_fit, model_name
    from featx.fitting import fit as library_fit
    from featx.heads import make_head, parse_param
    from featx.output import MODEL_SUFFIXES, OutputFile, default_model_path
    from featx.reporting import evaluation_lines, extraction_lines

    runtime = console.runtime(cache, workers, device=device, max_pixels=max_pixels)
    params = dict(parse_param(text) for text in param or [])
    widths = [] if hidden is None else _widths(hidden)
    layers = {"hidden_layer_sizes": tuple(widths)} if widths else {}
    named = make_head(head, params | layers, class_weight, seed).name  # what is wrong is reported before any work
    model_file = None
    if output is not None or data is not None:
        path = output or default_model_path(data or "", backbone, named)
        inputs = [Path(one) for one in (data, backbone, weights) if one is not None]
        model_file = OutputFile(path, MODEL_SUFFIXES, overwrite, inputs=inputs)
    if data is None:
        table = latest(runtime, augment=augment, views=views)
    else:
        table = extract_to_fit(
            data,
            backbone,
            group_by=group_by,
            weights=weights,
            layer=layer,
            pooling=pooling,
            size=size,
            resize=resize,
            white=white,
            page=page,
            preprocess=preprocess,
            layout=layout,
            engine=engine,
            precision=precision,
            recalibrate=recalibrate,
            label_by=label_by,
            path_column=path_column,
            label_column=label_column,
            augment=augment,
            views=views,
            seed=seed,
            strict=strict,
            runtime=runtime,
        )
        console.lines(extraction_lines(table.extraction.to_dict()))
    model_file = model_file or OutputFile(model_name(table, named), MODEL_SUFFIXES, overwrite)
    model = library_fit(
        table,
        head,
        params=params,
        hidden=widths,
        cv=cv,
        repeats=repeats,
        class_weight=class_weight,
        group_by=group_by,
        views=views,
        bundle=bundle,
        seed=seed,
        runtime=runtime,
    )
    with runtime.stage("saving the model"):
        model.save(model_file)
    evaluation: dict[str, Any] = model.evaluation.to_dict()
    console.result(
        {"model": str(model_file.path), **evaluation},
        [
            *evaluation_lines(evaluation, partial(typed_again, "--group-by")),
            f"model      {model_file.path}",
            report_next(model_file.path, cache),
        ],
    )


def _widths(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise HeadError(f"--hidden {text}: needed are whole numbers of 1 or more, with commas, as 1024,512")
    return [int(word) for word in words]
