"""featx inspect: what is wrong with the data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line


def inspect(
    data: Annotated[Path, typer.Argument(help="Folder of class folders or of pictures; or a manifest.")] = Path("data"),
    white: o.White = None,
    page: o.Page = 1,
    label_by: o.LabelBy = None,
    path_column: o.PathColumn = "path",
    label_column: o.LabelColumn = "label",
    workers: o.Workers = None,
    max_pixels: o.MaxPixels = 100_000_000,
    as_json: o.Json = False,
) -> None:
    """Find unreadable pictures, copies and near-copies, and classes that are too small; nothing is written."""
    console = Console(as_json)
    from featx.inspection import inspect as library_inspect
    from featx.reporting import inspection_lines

    found = library_inspect(
        data,
        white=white,
        page=page,
        label_by=label_by,
        path_column=path_column,
        label_column=label_column,
        runtime=console.runtime(Path("cache"), workers, max_pixels=max_pixels),
    ).to_dict()
    given = (("--white", white or found["white"], None), ("--page", page, 1), ("--label-by", label_by, None))
    columns = (("--path-column", path_column, "path"), ("--label-column", label_column, "label"))
    options = [word for name, value, usual in (*given, *columns) if value != usual for word in (name, str(value))]
    is_usable = len(found["blank"]) < found["n_images"]  # else extract has nothing to learn from either
    console.result(found, [*inspection_lines(found), *([next_line("extract", data, *options)] if is_usable else [])])
