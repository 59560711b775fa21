"""featx predict: predict the classes of files and folders of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import FOLDER, gallery_next
from featx.errors import ImageError
from featx.options import DatasetOptions, PredictOptions, RunOptions, RuntimeOptions


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file, as `featx fit` writes it.")],
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATHS",
            help="Images, folders and archives of images, and lists of images (.csv, .txt or .parquet files).",
        ),
    ] = None,
    *,
    options: PredictOptions,
    reading: Annotated[DatasetOptions, o.Only(("path_column",))],
    run: Annotated[RunOptions, o.Only(("strict",))],
    runtime: RuntimeOptions,
    as_json: o.Json = False,
) -> None:
    """Predict the classes of images with a model."""
    console = Console(as_json)
    from featx.readers import start_first_reader

    start_first_reader()  # it starts while this process imports the other libraries
    from featx.prediction import predict as library_predict
    from featx.rendering import prediction_lines

    console.line(f"model      {model}")
    given = list(paths or ())
    done = library_predict(
        model,
        given,
        **vars(options),
        strict=run.strict,
        path_column=reading.path_column,
        runtime=console.runtime(runtime),
    )
    if done.fault:
        raise ImageError(f"{done.fault}{'' if options.output is None else f' ({options.output} lists each reason)'}")
    result = done.to_dict()
    lines = prediction_lines(result)
    if options.sort_into is not None:
        lines.append(f"sorted     {options.sort_into}")
    if options.output is not None:
        lines.append(f"table      {options.output}{_parts(done.n_parts)}")
    if options.gallery is not None:
        lines.append(f"gallery    {options.gallery}, with {done.n_in_gallery:,} of the {done.n_images:,} images")
    network = () if options.weights is None else ("--weights", options.weights)
    if options.gallery is None and str(options.files_from) != "-":
        listed = () if options.files_from is None else ("--files-from", options.files_from)
        todo = gallery_next(model, given, runtime.cache, *listed, *network)
    else:
        todo = next_line("report", model, "--on", FOLDER, *network, cache=runtime.cache)
    console.result(result, [*lines, todo])


def _parts(n: int | None) -> str:
    return "" if n is None else f"  ({n:,} {'part' if n == 1 else 'parts'})"
