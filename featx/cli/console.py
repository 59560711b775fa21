"""Output of all commands: lines, progress, JSON, errors and exit codes."""

from __future__ import annotations

import functools
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import typer

from featx.cli.progress import Display
from featx.cli.stopping import is_stopping, report_stopped, watch
from featx.cli.streams import lost_output
from featx.cli.wording import in_options
from featx.errors import FeatxError, OutputError
from featx.options import RuntimeOptions
from featx.output.words import shell_word
from featx.runtime import Runtime

_P = ParamSpec("_P")
_T = TypeVar("_T")

DISPLAY = Display()
"""The progress display; a process has one, since it has one terminal."""

TYPED: list[str] = []
"""The words of the command line after ``featx``."""


class Console:
    """Output of one command: with ``--json``, one object on stdout and all other lines on stderr.

    Parameters
    ----------
    as_json : bool
    """

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json

    def runtime(self, options: RuntimeOptions) -> Runtime:
        """Return a runtime whose callbacks print to this console."""
        return Runtime(**vars(options), notice=self.line, progress=self.progress)

    def line(self, text: str) -> None:
        """Print one line."""
        stream = sys.stderr if self._as_json else sys.stdout
        with DISPLAY.paused():
            print(printable(in_options(text)), file=stream, flush=True)

    def lines(self, texts: Iterable[str]) -> None:
        """Print several lines."""
        for text in texts:
            self.line(text)

    def result(self, values: Mapping[str, Any], texts: Iterable[str]) -> None:
        """Print the result: one JSON object with ``--json``, otherwise lines."""
        DISPLAY.stop()
        if self._as_json:
            print(json.dumps(values))
        else:
            self.lines(texts)
        lost = lost_output(self._as_json)
        if lost is not None:
            raise OutputError(f"standard output cannot be written: {lost.strerror or lost}; all other work is done")

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show progress: a bar on a terminal, otherwise a log line every few seconds."""
        DISPLAY.update(stage, done, total)


def next_line(*words: str | Path, cache: Path | None = None) -> str:
    """Return the line with the next command to type; it names the cache unless that is the default."""
    from featx.source import without_query  # imports NumPy

    typed = [shell_word(without_query(word) if isinstance(word, str) else word) for word in words]
    if cache is not None and str(cache) != (os.environ.get("FEATX_CACHE") or "cache"):
        typed += ["--cache", shell_word(cache)]
    return f"next       featx {' '.join(typed)}"


def printable(text: str) -> str:
    """Return text with control characters, and characters that the terminal cannot show, as escape sequences."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def guarded(command: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return a command that reports errors as one line on stderr and an exit code, without a traceback."""

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        show_trace = bool(os.environ.get("FEATX_TRACEBACK"))
        if not show_trace:
            warnings.simplefilter("ignore")
        try:
            watch()
            with DISPLAY.shown():
                return command(*args, **kwargs)
        except KeyboardInterrupt:
            report_stopped()
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if is_stopping():  # some libraries convert KeyboardInterrupt to other errors
                report_stopped()
            elif show_trace and not isinstance(error, FeatxError):
                raise
            else:
                report_error(_message(error), bool(kwargs.get("as_json")))
                raise typer.Exit(2 if isinstance(error, FeatxError) and error.is_usage else 1) from None
        raise typer.Exit(1)

    return run


def _message(error: Exception) -> str:
    """Return the message of an error in one line: what is wrong, and what to do."""
    if isinstance(error, FeatxError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            f"there is not enough memory ({str(error) or 'an allocation failed'}). Results so far are kept: "
            "close other programs, or use fewer --workers or a smaller --batch-size, and run the same command again"
        )
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return (
            "the system allows no more threads. Results so far are kept: end other programs, or raise the limits of "
            "processes and memory (`ulimit -u`, `ulimit -v`), and run the same command again"
        )
    if isinstance(error, OSError):  # of an unchecked path, or of the system
        paths = " and ".join(str(path) for path in (error.filename, error.filename2) if path is not None)
        return f"{paths}{': ' if paths else ''}{error.strerror or error or type(error).__name__}"
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "a path contains a NUL character, which file names cannot contain"
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # pathlib, until Python 3.13
        return f"symbolic links form a loop: {str(error).removeprefix('Symlink loop from ')}"
    return f"{type(error).__name__}: {error} (unexpected error; FEATX_TRACEBACK=1 shows the traceback)"


def report_error(text: str, as_json: bool) -> None:
    """Print an error: a line on stderr, and with ``--json`` an object on stdout."""
    text = in_options(text)
    _fail(f"error: {text}")
    if as_json:
        print(json.dumps({"error": text}), flush=True)


def _fail(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
