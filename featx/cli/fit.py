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
        str | None,
        typer.Argument(
            metavar="DATA",
            help="Folder, archive or manifest. Features that are not in the cache are extracted first. If not given, "
            "the data set that was extracted last is used.",
        ),
    ] = None,
    head: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Head: logreg, svm, svm-rbf, mlp, knn, ridge or centroid.", rich_help_panel="Head"
        ),
    ] = DEFAULT_HEAD,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Parameter of the head, such as C=0.1, or values to tune, such as C=[0.1,1,10]. Can be given several "
            "times.",
            rich_help_panel="Head",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Model file to write. If not given, DATA-BACKBONE-HEAD.featx, with the name of the data folder.",
            rich_help_panel="Output",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing model file.", rich_help_panel="Output")
    ] = False,
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
    """Fit a classifier (head) on the features, cross-validate it, and save the model."""
    console = Console(as_json)
    from featx.fitting import default_model_name, features_to_fit
    from featx.fitting import fit as library_fit
    from featx.heads import make_head
    from featx.output import MODEL_SUFFIXES, OutputFile, default_model_path
    from featx.rendering import evaluation_lines, extraction_lines

    working = console.runtime(runtime)
    params = dict(o.parse_param(text) for text in param or [])
    layers = {"hidden_layer_sizes": tuple(shape.hidden)} if shape.hidden else {}
    named = make_head(
        head, params | layers, shape.class_weight, folds.seed
    ).name  # so that errors are raised before any work
    model_file = None
    if output is not None or data is not None:
        path = output or default_model_path(data or "", backbone, named)
        inputs = [one for one in (data, backbone, options.weights) if one is not None]
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
