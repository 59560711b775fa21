"""The command that makes sense after another, as the user can type it."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from featx.cli.console import TYPED, next_line
from featx.output.words import shell_word

FOLDER = "FOLDER"
"""Stands for images that only the user knows: the one word of a next command that cannot be typed as it is."""


def report_next(model: Path, cache: Path) -> str:
    """Return the line that leads to the page of a model."""
    return next_line("report", model, *_output("--html", "report.html"), cache=cache)


def predict_next(model: Path, cache: Path, *options: str | Path) -> str:
    """Return the line that leads from a model to predictions of new images."""
    words = [*_output("-o", "scores.csv"), *_output("--gallery", "gallery.html")]
    return next_line("predict", model, FOLDER, *options, *words, cache=cache)


def gallery_next(model: Path, paths: list[Path], cache: Path, *options: str | Path) -> str:
    """Return the line that shows the images that were predicted, with their labels."""
    return next_line("predict", model, *paths, *options, *_output("--gallery", "gallery.html"), cache=cache)


def typed_again(option: str, value: str) -> str:
    """Return the command in work as it was typed, with one option set anew and its own outputs replaced."""
    words, typed = [], iter(TYPED)
    for word in typed:
        if word == option:
            next(typed, None)
        elif word != "--overwrite" and not word.startswith(f"{option}="):
            words.append(word)
    return " ".join(["featx", *map(shell_word, [*words, option, value, "--overwrite"])])


def extract_next(cache: Path | None = None, *options: str) -> str:
    """Return the line that begins: with the folder `data`, where there is one."""
    return next_line("extract", "data" if Path("data").is_dir() else FOLDER, *options, cache=cache)


def overwrite_option(data: Path, backbone: str, head: str) -> tuple[str, ...]:
    """Return the option that replaces the model that a command writes by default, where it is there already."""
    from featx.output import default_model_path

    return ("--overwrite",) if os.path.exists(default_model_path(data, backbone, head)) else ()


def _output(option: str, name: str) -> tuple[str, ...]:
    """Return an option with a name that no file has: nothing is replaced by a command that is only typed as printed."""
    path = Path(name)
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return option, str(next(one for one in itertools.chain([path], numbered) if not os.path.lexists(one)))
