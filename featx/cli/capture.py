"""featx capture: labelled pictures from a camera or a video file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.options import CaptureOptions, RuntimeOptions


def capture(
    label: Annotated[str, typer.Argument(help="Name of the class; people must agree to be photographed for this.")],
    source: Annotated[str, typer.Option(help="Number of a camera, from 0, or a video file.")] = "0",
    *,
    options: CaptureOptions,
    as_json: o.Json = False,
) -> None:
    """Collect pictures of a label from a camera or a video file, as one take."""
    console = Console(as_json)
    output = Path(options.output)
    told = _told(source, options)
    from featx.capturing import capture as library_capture
    from featx.capturing import count_takes
    from featx.reporting import capture_lines, takes_lines

    try:
        done = library_capture(
            label,
            source,
            **vars(options),
            runtime=console.runtime(RuntimeOptions()),
        ).to_dict()
    except KeyboardInterrupt:  # a usual way to end a take: the library has said what is kept
        takes = count_takes(output) if output.is_dir() else {}
        if takes:
            console.lines([*takes_lines(takes), _next(takes, label, output, told)])
        raise typer.Exit(1) from None
    console.result(done, [*capture_lines(done), _next(done["takes"], label, output, told)])


def _told(source: str, options: CaptureOptions) -> list[str]:
    """Return the options for another take like this one."""
    told = ["--source", source if source.isdecimal() else "VIDEO"]
    for name, value in options.changed().items():
        dashed = f"--{name.replace('_', '-')}"
        if name == "output":
            told += ["-o", str(value)]
        elif isinstance(value, bool):
            told.append(dashed if value else f"--no-{dashed.removeprefix('--')}")
        else:
            told += [dashed, str(value)]
    return told


def _next(takes: Mapping[str, int], label: str, output: Path, told: Sequence[str]) -> str:
    from featx.capturing import dataset_root
    from featx.reporting import ENOUGH_TAKES

    few = [name for name, n in takes.items() if 0 < n < ENOUGH_TAKES]
    if few:
        again = label if label in few else few[0]
        return next_line("capture", *((*told, "--", again) if again.startswith("-") else (again, *told)))
    if len(takes) == 1:
        return next_line("capture", "ANOTHER_LABEL", *told)
    return next_line("extract", dataset_root(output))
