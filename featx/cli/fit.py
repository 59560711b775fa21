"""featx fit: tune, cross-validate, fit and save a head."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from featx.cli import options as o
from featx.cli.console import Console
from featx.cli.following import report_next, typed_again
from featx.options import (
    DEFAULT_BACKBONE,
    DEFAULT_HEAD,
    ExtractOptions,
    FitOptions,
    FoldOptions,
    HeadOptions,
    RunOptions,
    RuntimeOptions,
)


def fit(
    data: Annotated[
        Path | None, typer.Argument(help="Images; what lacks features is extracted first. Default: extracted last.")
    ] = None,
    head: Annotated[str, typer.Option(help="logreg, svm, svm-rbf, mlp, knn, ridge or centroid.")] = DEFAULT_HEAD,
    param: Annotated[
        list[str] | None, typer.Option(help="name=value of the head, fixed; name=[a,b] to choose from. Repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Model file; NAME-BACKBONE-HEAD.featx if not given.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model file that is there.")] = False,
    backbone: o.Backbone = DEFAULT_BACKBONE,
    *,
    fitting: FitOptions,
    shape: HeadOptions,
    folds: FoldOptions,
    options: ExtractOptions,
    run: Annotated[RunOptions, o.Only(("recalibrate", "strict"))],
    runtime: Annotated[RuntimeOptions, o.Without(("batch_size",))],
    as_json: o.Json = False,
) -> None:
    """Train a head on cached features, report its honest accuracy, and save it."""
    console = Console(as_json)
    from featx.fitting import default_model_name, features_to_fit
    from featx.fitting import fit as library_fit
    from featx.heads import make_head
    from featx.output import MODEL_SUFFIXES, OutputFile, default_model_path
    from featx.rendering import evaluation_lines, extraction_lines

    working = console.runtime(runtime)
    params = dict(o.parse_param(text) for text in param or [])
    layers = {"hidden_layer_sizes": tuple(shape.hidden)} if shape.hidden else {}
    named = make_head(head, params | layers, shape.class_weight, folds.seed).name  # an error comes before any work
    model_file = None
    if output is not None or data is not None:
        path = output or default_model_path(data or "", backbone, named)
        inputs = [Path(one) for one in (data, backbone, options.weights) if one is not None]
        model_file = OutputFile(path, MODEL_SUFFIXES, overwrite, inputs=inputs)
    table = features_to_fit(data, backbone, options, run, folds.group_by, working)
    if data is not None:
        console.lines(extraction_lines(table.extraction.to_dict()))
    model_file = model_file or OutputFile(default_model_name(table, named), MODEL_SUFFIXES, overwrite)
    model = library_fit(
        table,
        head,
        params=params,
        **vars(shape),
        **vars(folds),
        views=options.views,
        **vars(fitting),
        runtime=working,
    )
    with working.stage("saving the model"):
        model.save(model_file)
    evaluation: dict[str, Any] = model.evaluation.to_dict()
    console.result(
        {"model": str(model_file.path), **evaluation},
        [
            *evaluation_lines(evaluation, partial(typed_again, "--group-by")),
            f"model      {model_file.path}",
            report_next(model_file.path, runtime.cache),
        ],
    )
