"""featx capture: labelled pictures from a camera or a video file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.options import RuntimeOptions


def capture(
    label: Annotated[str, typer.Argument(help="Name of the class; people must agree to be photographed for this.")],
    source: Annotated[str, typer.Option(help="Number of a camera, from 0, or a video file.")] = "0",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of label folders; pictures go into its folder LABEL.")
    ] = Path("data"),
    count: Annotated[int, typer.Option(min=1, help="Pictures after which the take ends.")] = 100,
    full_frame: Annotated[bool, typer.Option("--full-frame", help="Keep whole frames instead of faces.")] = False,
    margin: Annotated[
        float, typer.Option(min=0, help="What is kept around a face, in parts of its width, on every side.")
    ] = 0.3,
    every: Annotated[int, typer.Option(min=1, help="Look at every Nth frame only.")] = 1,
    min_sharpness: Annotated[
        float, typer.Option(min=0, max=1, help="Least sharpness, in parts of the usual one; 0 keeps blurred frames.")
    ] = 0.4,
    min_difference: Annotated[
        float, typer.Option(min=0, max=255, help="Least difference to the picture before, in grey levels; 0 keeps all.")
    ] = 4.0,
    preview: Annotated[
        bool, typer.Option(help="Show a window where there is a display; q in it ends the take.")
    ] = True,
    as_json: o.Json = False,
) -> None:
    """Collect pictures of a label from a camera or a video file, as one take."""
    console = Console(as_json)
    numbers = {"count": count, "margin": margin, "every": every}
    numbers |= {"min_sharpness": min_sharpness, "min_difference": min_difference}
    told = _told(source, output, full_frame, preview, numbers)
    from featx.capturing import capture as library_capture
    from featx.capturing import count_takes
    from featx.reporting import capture_lines, takes_lines

    try:
        done = library_capture(
            label,
            source,
            output=output,
            count=count,
            full_frame=full_frame,
            margin=margin,
            every=every,
            min_sharpness=min_sharpness,
            min_difference=min_difference,
            preview=preview,
            runtime=console.runtime(RuntimeOptions()),
        ).to_dict()
    except KeyboardInterrupt:  # a usual way to end a take: the library has said what is kept
        takes = count_takes(output) if output.is_dir() else {}
        if takes:
            console.lines([*takes_lines(takes), _next(takes, label, output, told)])
        raise typer.Exit(1) from None
    console.result(done, [*capture_lines(done), _next(done["takes"], label, output, told)])


def _told(source: str, output: Path, full_frame: bool, preview: bool, numbers: Mapping[str, float]) -> list[str]:
    """Return the options for another take like this one."""
    usual = inspect.signature(capture).parameters
    return [
        "--source",
        source if source.isdecimal() else "VIDEO",
        *([] if output == usual["output"].default else ["-o", str(output)]),
        *(["--full-frame"] if full_frame else []),
        *([] if preview else ["--no-preview"]),
        *(
            word
            for name, value in numbers.items()
            if value != usual[name].default
            for word in (f"--{name.replace('_', '-')}", str(value))
        ),
    ]


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
