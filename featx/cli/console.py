"""What every command shares: lines, progress, JSON, errors and exit codes."""

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
"""What is being done and how far it is: one for the process, as there is one terminal."""

TYPED: list[str] = []
"""The words of the command line after ``featx``."""


class Console:
    """Prints what a command does: with ``--json`` one object on stdout and all else on stderr.

    Parameters
    ----------
    as_json : bool
    """

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json

    def runtime(self, options: RuntimeOptions) -> Runtime:
        """Return a runtime whose callbacks print here."""
        return Runtime(**vars(options), notice=self.line, progress=self.progress)

    def line(self, text: str) -> None:
        """Print one line of the library or of a command."""
        stream = sys.stderr if self._as_json else sys.stdout
        with DISPLAY.paused():
            print(printable(in_options(text)), file=stream, flush=True)

    def lines(self, texts: Iterable[str]) -> None:
        """Print some lines."""
        for text in texts:
            self.line(text)

    def result(self, values: Mapping[str, Any], texts: Iterable[str]) -> None:
        """Print the result: JSON on stdout where asked for, else lines."""
        DISPLAY.stop()
        if self._as_json:
            print(json.dumps(values))
        else:
            self.lines(texts)
        lost = lost_output(self._as_json)
        if lost is not None:
            raise OutputError(f"standard output cannot be written: {lost.strerror or lost}; all else is done")

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show progress: a bar on a terminal, a line now and then otherwise."""
        DISPLAY.update(stage, done, total)


def next_line(*words: str | Path, cache: Path | None = None) -> str:
    """Return the line that names the next command to type; the cache is named where it is not the usual one."""
    told = [shell_word(word) for word in words]
    if cache is not None and str(cache) != (os.environ.get("FEATX_CACHE") or "cache"):
        told += ["--cache", shell_word(cache)]
    return f"next       featx {' '.join(told)}"


def printable(text: str) -> str:
    """Return text without control characters, escape sequences, or characters this terminal cannot show."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def guarded(command: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn errors of a command into one line on stderr and an exit code, never a trace."""

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        show_trace = bool(os.environ.get("FEATX_TRACEBACK"))
        if not show_trace:
            warnings.simplefilter("ignore")
        watch()
        try:
            with DISPLAY.shown():
                return command(*args, **kwargs)
        except KeyboardInterrupt:
            report_stopped()
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if is_stopping():  # some libraries make other errors of a Ctrl-C
                report_stopped()
            elif show_trace and not isinstance(error, FeatxError):
                raise
            else:
                report_error(_told(error), bool(kwargs.get("as_json")))
                raise typer.Exit(2 if isinstance(error, FeatxError) and error.is_usage else 1) from None
        raise typer.Exit(1)

    return run


def _told(error: Exception) -> str:
    """Return an error in one line: what is wrong, and what to do."""
    if isinstance(error, FeatxError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            f"there is not enough memory ({str(error) or 'an allocation failed'}). What was computed is kept: close "
            "other programs, or give fewer --workers or a smaller --batch-size, and run the same command again"
        )
    if isinstance(error, OSError):  # of a path that nobody looked at before, or of the system
        paths = " and ".join(str(path) for path in (error.filename, error.filename2) if path is not None)
        return f"{paths}{': ' if paths else ''}{error.strerror or error or type(error).__name__}"
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "a path holds a NUL character, which no file name can have"
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # pathlib, until Python 3.13
        return f"links lead in a circle: {str(error).removeprefix('Symlink loop from ')}"
    return f"{type(error).__name__}: {error} (not foreseen; FEATX_TRACEBACK=1 shows where)"


def report_error(text: str, as_json: bool) -> None:
    """Print an error: a line on stderr, and an object on stdout where JSON was asked for."""
    text = in_options(text)
    _fail(f"error: {text}")
    if as_json:
        print(json.dumps({"error": text}), flush=True)


def _fail(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
