"""featx inspect: find problems of a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import option_words
from featx.options import DatasetOptions, PixelOptions, RuntimeOptions


def inspect(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folder or archive with class folders or with images, or a manifest (a .csv, .txt or .parquet file "
            "that lists images and labels).",
        ),
    ] = "data",
    *,
    pixels: PixelOptions,
    options: DatasetOptions,
    runtime: Annotated[RuntimeOptions, o.Without(("cache", "batch_size", "device", "cluster"))],
    as_json: o.Json = False,
) -> None:
    """Find invalid images, duplicates, near-duplicates and small classes, without writing anything."""
    console = Console(as_json)
    from featx.inspection import inspect as library_inspect
    from featx.rendering import inspection_lines

    found = library_inspect(
        data,
        **vars(pixels),
        **vars(options),
        runtime=console.runtime(runtime),
    ).to_dict()
    given = {**({"white": found["white"]} if found["white"] else {}), **pixels.changed(), **options.changed()}
    words = option_words(given)
    is_usable = len(found["blank"]) < found["n_images"]  # without a usable image, extract would fail
    console.result(found, [*inspection_lines(found), *([next_line("extract", data, *words)] if is_usable else [])])
