"""featx extract: list and decode images, extract features, cache them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import FOLDER, MERGED, overwrite_option
from featx.cli.report import newest_model
from featx.errors import ClassifierError
from featx.options import DEFAULT_BACKBONE, ExtractOptions, RunOptions, RuntimeOptions


def extract(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folder with class folders, with train/val/test folders, or with images; a .zip or .tar file of such "
            "a folder; or a manifest (a .csv, .txt or .parquet file that lists images and labels). All may lie in "
            "object storage, such as s3://bucket/folder.",
        ),
    ] = "data",
    backbone: o.Backbone = DEFAULT_BACKBONE,
    *,
    options: ExtractOptions,
    run: RunOptions,
    runtime: RuntimeOptions,
    as_json: o.Json = False,
) -> None:
    """Extract the features of each image once with a pretrained backbone, and cache the features."""
    console = Console(as_json)
    from featx.extraction import extract as library_extract
    from featx.rendering import extraction_lines

    table = library_extract(data, backbone, **vars(options), **vars(run), runtime=console.runtime(runtime))
    labelled = any(label is not None for label in table.y)
    with_views = ("--views", str(options.views)) if options.views else ()
    fitting = ("fit", "--head", "logreg", *with_views, *overwrite_option(data, backbone, "logreg"))
    todo = next_line(*(fitting if labelled else ("predict", _newest_model(), data)), cache=runtime.cache)
    if run.shard is not None:
        todo = next_line("cache", "merge", runtime.cache, FOLDER, "--cache", MERGED)
    result = table.extraction.to_dict()
    seen = [f"preview    {run.preview}"] if run.preview is not None else []
    console.result(result, [*extraction_lines(result), *seen, todo])


def _newest_model() -> str | Path:
    try:
        return newest_model(Path())
    except ClassifierError:
        return "MODEL"
