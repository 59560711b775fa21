"""featx capture: collect labelled images from a camera or a video file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import option_words
from featx.options import CaptureOptions, RuntimeOptions


def capture(
    label: Annotated[str, typer.Argument(metavar="LABEL", help="Name of the class.")],
    source: Annotated[
        str,
        typer.Option(
            metavar="NUMBER|FILE",
            help="Number of a camera (the first is 0), or a video file.",
            rich_help_panel="Frames",
        ),
    ] = "0",
    *,
    options: CaptureOptions,
    as_json: o.Json = False,
) -> None:
    """Collect images of one class from a camera or a video file.

    The images that one run of the command collects are a recording, which is never divided between training and
    test. People must consent to being photographed.
    """
    console = Console(as_json)
    output = Path(options.output)
    again = _options_again(source, options)
    from featx.capturing import capture as library_capture
    from featx.capturing import count_recordings
    from featx.rendering import capture_lines, recording_lines

    try:
        done = library_capture(
            label,
            source,
            **vars(options),
            runtime=console.runtime(RuntimeOptions()),
        ).to_dict()
    except KeyboardInterrupt:  # a common way to end a recording; the library has reported what is kept
        recordings = count_recordings(output) if output.is_dir() else {}
        if recordings:
            console.lines([*recording_lines(recordings), _next(recordings, label, output, again)])
        raise typer.Exit(1) from None
    console.result(done, [*capture_lines(done), _next(done["recordings"], label, output, again)])


def _options_again(source: str, options: CaptureOptions) -> list[str]:
    """Return the options for another recording like this one."""
    changed = options.changed()
    output = ["-o", str(changed.pop("output"))] if "output" in changed else []
    return ["--source", source if source.isdecimal() else "VIDEO", *output, *option_words(changed)]


def _next(recordings: Mapping[str, int], label: str, output: Path, options: Sequence[str]) -> str:
    from featx.capturing import dataset_root
    from featx.rendering import ENOUGH_RECORDINGS

    few = [name for name, n in recordings.items() if 0 < n < ENOUGH_RECORDINGS]
    if few:
        again = label if label in few else few[0]
        return next_line("capture", *((*options, "--", again) if again.startswith("-") else (again, *options)))
    if len(recordings) == 1:
        return next_line("capture", "ANOTHER_LABEL", *options)
    return next_line("extract", dataset_root(output))
