"""featx predict: score files and folders of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import FOLDER, gallery_next
from featx.errors import ImageError
from featx.options import DatasetOptions, RunOptions, RuntimeOptions


def predict(
    model: Annotated[Path, typer.Argument(help="Model file of `featx fit`.")],
    paths: Annotated[
        list[Path], typer.Argument(help="Pictures, folders of pictures, and lists of them (.csv, .txt, .parquet).")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Table to write: .csv, .jsonl or .parquet.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Classes named for each picture.")] = 1,
    sort_into: Annotated[
        Path | None, typer.Option(help="Folder to copy the pictures into, a subfolder for each class.")
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="Hard links instead of copies there.")] = False,
    gallery: Annotated[
        Path | None, typer.Option(help="Sheet of the pictures with their labels to write: .html or .png.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that featx wrote.")] = False,
    reject_rate: Annotated[
        float | None,
        typer.Option(help="Reject pictures unlike the training pictures; share of genuine ones that may go, as 0.05."),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor fill the cache.")] = False,
    weights: Annotated[
        Path | None, typer.Option(help="Weight file or local network, for a model that was made with one.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Refuse float32 in place of the model's bfloat16 on a processor without it.")
    ] = False,
    *,
    options: Annotated[DatasetOptions, o.Only(("path_column",))],
    run: Annotated[RunOptions, o.Only(("strict",))],
    runtime: RuntimeOptions,
    as_json: o.Json = False,
) -> None:
    """Predict pictures with a model."""
    console = Console(as_json)
    from featx.prediction import predict as library_predict
    from featx.reporting import prediction_lines

    console.line(f"model      {model}")
    done = library_predict(
        model,
        list(paths),
        output,
        top_k=top_k,
        sort_into=sort_into,
        link=link,
        gallery=gallery,
        overwrite=overwrite,
        no_cache=no_cache,
        weights=weights,
        exact=exact,
        strict=run.strict,
        reject_rate=reject_rate,
        path_column=options.path_column,
        runtime=console.runtime(runtime),
    )
    if done.fault:
        raise ImageError(f"{done.fault}{'' if output is None else f' ({output} lists each reason)'}")
    result = done.to_dict()
    lines = prediction_lines(result)
    if sort_into is not None:
        lines.append(f"sorted     {sort_into}")
    if output is not None:
        lines.append(f"table      {output}")
    if gallery is not None:
        lines.append(f"gallery    {gallery}: {done.n_in_gallery:,} of {done.n_images:,} pictures")
    network = () if weights is None else ("--weights", weights)
    if gallery is None:
        todo = gallery_next(model, paths, runtime.cache, *network)
    else:
        todo = next_line("report", model, "--on", FOLDER, *network, cache=runtime.cache)
    console.result(result, [*lines, todo])
