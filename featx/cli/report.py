"""featx report: show the report of a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import FOLDER, predict_next, report_next
from featx.errors import ClassifierError
from featx.options import DatasetOptions, ReportOptions, RuntimeOptions


def report(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="Model file. If not given, the newest .featx file in the current folder."),
    ] = None,
    *,
    options: ReportOptions,
    reading: DatasetOptions,
    runtime: Annotated[RuntimeOptions, o.Without(("batch_size", "device", "max_pixels"))],
    as_json: o.Json = False,
) -> None:
    """Show the accuracy and the confusions of a model, and the training images with doubtful labels."""
    console = Console(as_json)
    from featx.reports import report as library_report

    path = model or newest_model(Path())
    found = library_report(
        path,
        **vars(options),
        **vars(reading),
        runtime=console.runtime(runtime),
    )
    if options.on is not None:  # another head or backbone may be better
        todo = next_line("compare", FOLDER, "--heads", "logreg,svm,mlp", cache=runtime.cache)
    else:
        todo = report_next(path, runtime.cache) if options.html is None else predict_next(path, runtime.cache)
    written = [
        f"{label:<10} {file}"
        for label, file in (("page", options.html), ("suspects", options.suspects))
        if file is not None
    ]
    console.result(found.to_dict(), [*str(found).split("\n"), "", *written, todo])


def newest_model(folder: Path) -> Path:
    """Return the newest model file of a folder.

    Raises
    ------
    ClassifierError
        The folder has no model file.
    """
    models = [path for path in folder.glob("*.featx") if os.path.isfile(path)]
    models.sort(key=lambda path: path.stat().st_mtime_ns)
    if not models:
        raise ClassifierError("there is no .featx file in this folder; name one, or create one: featx fit DATA")
    return models[-1]
