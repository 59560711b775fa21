"""featx report: what is known of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.errors import ClassifierError


def report(
    model: Annotated[
        Path | None, typer.Argument(help="Model file; the newest .featx file of this folder if not given.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Show accuracy, classes and confusions of a model."""
    console = Console(as_json)
    from featx.reporting import report as library_report

    path = model or newest_model(Path())
    found = library_report(path)
    todo = next_line("predict", path, "NEW", "-o", "scores.csv")
    console.result(found.to_dict(), [*str(found).split("\n"), "", todo])


def newest_model(folder: Path) -> Path:
    """Return the model file of a folder that was written last.

    Raises
    ------
    ClassifierError
        There is none.
    """
    models = sorted(folder.glob("*.featx"), key=lambda path: path.stat().st_mtime_ns)
    if not models:
        raise ClassifierError("no .featx file in this folder; name one, or make one: featx fit DATA")
    return models[-1]
