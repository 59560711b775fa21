"""What every command shares: lines, progress, JSON, errors and exit codes."""

from __future__ import annotations

import functools
import json
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import typer

from featx.cli.progress import Display
from featx.errors import FeatxError
from featx.runtime import Runtime

_P = ParamSpec("_P")
_T = TypeVar("_T")

DISPLAY = Display()
"""What is being done and how far it is: one for the process, as there is one terminal."""


class Console:
    """Prints what a command does: with ``--json`` one object on stdout and all else on stderr.

    Parameters
    ----------
    as_json : bool
    """

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json

    def runtime(
        self,
        cache: Path,
        workers: int | None = None,
        batch_size: int = 64,
        device: str = "auto",
        max_pixels: int = 100_000_000,
    ) -> Runtime:
        """Return a runtime whose callbacks print here."""
        return Runtime(cache, workers, batch_size, device, max_pixels, notice=self.line, progress=self.progress)

    def line(self, text: str) -> None:
        """Print one line."""
        stream = sys.stderr if self._as_json else sys.stdout
        with DISPLAY.paused():
            print(printable(text), file=stream, flush=True)

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

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show progress: a bar on a terminal, a line now and then otherwise."""
        DISPLAY.update(stage, done, total)


def next_line(*words: str | Path, cache: Path | None = None) -> str:
    """Return the line that names the next command to type; the cache is named where it is not the usual one."""
    told = [str(word) for word in words]
    if cache is not None and str(cache) != os.environ.get("FEATX_CACHE", "cache"):
        told += ["--cache", str(cache)]
    return f"next       featx {shlex.join(told)}"


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
        try:
            with DISPLAY.shown():
                return command(*args, **kwargs)
        except KeyboardInterrupt:
            _fail("stopped; what was computed is kept: run the same command to go on")
        except (typer.Exit, typer.Abort):
            raise
        except FeatxError as error:
            _fail(f"error: {error}")
        except BrokenPipeError:  # whoever read the output, as `head` does, has seen enough
            sys.stderr.close()
        except Exception as error:
            if show_trace:
                raise
            _fail(f"error: {type(error).__name__}: {error} (not foreseen; FEATX_TRACEBACK=1 shows where)")
        raise typer.Exit(1)

    return run


def _fail(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
