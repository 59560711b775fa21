"""The ``next`` line of each command."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from featx.cli.console import TYPED, next_line
from featx.output.words import shell_word

_MOST_SHOWN = 3

FOLDER = "FOLDER"
"""Placeholder for a folder that only the user knows."""

MERGED = "MERGED"
"""Placeholder for the cache into which caches are merged."""


def report_next(model: Path, cache: Path) -> str:
    """Return the ``next`` line that writes the HTML report of a model."""
    return next_line("report", model, *_output("--html", "report.html"), cache=cache)


def predict_next(model: Path, cache: Path, *options: str | Path) -> str:
    """Return the ``next`` line that predicts new images."""
    words = [*_output("-o", "scores.csv"), *_output("--gallery", "gallery.html")]
    return next_line("predict", model, FOLDER, *options, *words, cache=cache)


def gallery_next(model: Path, paths: Sequence[str], cache: Path, *options: str | Path) -> str:
    """Return the ``next`` line that writes a gallery of the predicted images."""
    shown = [path if "://" in str(path) else Path(path) for path in paths] if len(paths) <= _MOST_SHOWN else [FOLDER]
    return next_line("predict", model, *shown, *options, *_output("--gallery", "gallery.html"), cache=cache)


def typed_again(option: str, value: str) -> str:
    """Return the current command as it was typed, with another value of one option and ``--overwrite``."""
    words, typed = [], iter(TYPED)
    for word in typed:
        if word == option:
            next(typed, None)
        elif word != "--overwrite" and not word.startswith(f"{option}="):
            words.append(word)
    return " ".join(["featx", *map(shell_word, [*words, option, value, "--overwrite"])])


def option_words(values: Mapping[str, object]) -> list[str]:
    """Return options and their values as words of a command line, such as ``["--size", "64", "--no-preview"]``."""
    words = []
    for name, value in values.items():
        dashed = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{dashed}" if value else f"--no-{dashed}")
        else:
            words += [f"--{dashed}", str(value)]
    return words


def extract_next(cache: Path | None = None, *options: str) -> str:
    """Return the ``next`` line that extracts features: of the folder ``data`` if it exists, or else of ``FOLDER``."""
    return next_line("extract", "data" if Path("data").is_dir() else FOLDER, *options, cache=cache)


def overwrite_option(data: str, backbone: str, head: str) -> tuple[str, ...]:
    """Return ``--overwrite`` if the default model file of these data, backbone and head exists."""
    from featx.output import default_model_path

    return ("--overwrite",) if os.path.exists(default_model_path(data, backbone, head)) else ()


def _output(option: str, name: str) -> tuple[str, ...]:
    """Return an option with a file name that does not exist yet, so that the printed command replaces nothing."""
    path = Path(name)
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return option, str(next(one for one in itertools.chain([path], numbered) if not os.path.lexists(one)))
