"""Progress display: the current stage and its progress, also while a stage reports nothing."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_TICK = 0.25
_FIRST_SECONDS = 1.5
"""A log names a stage that takes longer, and the current stage when nothing was printed for as long."""
_FIRST_SECONDS_SHOWN = 0.8
"""Seconds before a terminal shows the current stage; drawing the first bar takes half a second."""
_LOG_SECONDS = 10.0
"""Seconds between two lines of a log."""


@dataclass
class Stage:
    """One stage of the work.

    Parameters
    ----------
    name : str
    at_start : int
        Number of items that were done at the start.
    total : int
        Number of items; 0 if unknown.
    """

    name: str
    at_start: int = 0
    total: int = 0
    done: int = field(init=False)
    begun: float = field(init=False)
    advanced: float = field(init=False)
    is_shown: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.done = self.at_start
        self.begin()

    def begin(self) -> None:
        """Start to measure the time."""
        self.begun = self.advanced = time.monotonic()

    def advance(self, done: int, total: int) -> None:
        """Record the progress."""
        if done != self.done or total != self.total:
            self.done, self.total, self.advanced = done, total, time.monotonic()

    def text(self) -> str:
        """Return the progress as text."""
        now = time.monotonic()
        so_far = f"{now - self.begun:,.0f} s so far"
        if not self.total:
            return f"{self.name}: {f'{self.done:,} in {now - self.begun:,.0f} s' if self.done else so_far}"
        shown = f"{self.name} {self.done:,} of {self.total:,}"
        n = self.done - self.at_start
        if n <= 0 or self.advanced <= self.begun:
            return f"{shown} ({so_far})"
        each = (self.advanced - self.begun) / n
        rate = f"{1 / each:,.1f} a second" if each < 1 else f"{each:,.1f} s each"
        # The current item may take longer than the average; the remaining time is never below 0.
        left = each * (self.total - self.done - min((now - self.advanced) / each, 1))
        return f"{shown} ({rate}, {f'{left:,.0f} s left' if left >= 0.5 else so_far})"


class Display:
    """Display of the innermost stage on stderr: a bar on a terminal, otherwise a log line every few seconds.

    Between :meth:`start` and :meth:`stop` a thread of its own shows it also while nothing is reported, and what follows
    the last stage as well.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stages: list[Stage] = []
        self._rest = Stage("starting")
        self._last = time.monotonic()
        self._has_reported = False
        self._bar: Any = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show progress within the context."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    def start(self) -> None:
        """Start to show progress."""
        self._stages.clear()
        self._rest = Stage("starting")
        self._last = time.monotonic()
        self._has_reported = False
        self._ended.clear()
        self._thread = threading.Thread(target=self._tick, name="featx-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop to show progress."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
            self._thread = None
        with self._lock:
            self._stages.clear()
            self._clear()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the display within the context."""
        with self._lock:
            self._clear()
            yield
            self._last = time.monotonic()
            self._has_reported = False

    def update(self, name: str, done: int, total: int) -> None:
        """Record the progress of a stage; it ends, with the stages inside it, when all items are done."""
        name = "".join(c if c.isprintable() else "?" for c in name)
        with self._lock, contextlib.suppress(OSError, ValueError):  # stderr may be closed or full
            at = next((i for i, stage in enumerate(self._stages) if stage.name == name), None)
            if 0 < total <= done:
                if at is not None:
                    del self._stages[at:]
                    self._go_on(name)
            elif at is None:
                self._stages.append(Stage(name, done, total))
            else:
                del self._stages[at + 1 :]
                self._stages[at].advance(done, total)
            self._show()

    @property
    def _current(self) -> Stage:
        return self._stages[-1] if self._stages else self._rest

    def _go_on(self, ended: str) -> None:
        """Measure the time after a stage from its end."""
        if not self._stages:
            self._rest = Stage(f"{ended}: done, going on")
        elif self._stages[-1].done == self._stages[-1].at_start:  # it has only waited for the inner stage
            self._stages[-1].begin()

    def _tick(self) -> None:
        while not self._ended.wait(_TICK):
            with self._lock, contextlib.suppress(OSError, ValueError):
                if not self._ended.is_set():
                    self._show()

    def _show(self) -> None:
        if sys.stderr is None:
            return
        if sys.stderr.isatty():
            self._draw()
            return
        if self._is_due():
            self._current.is_shown, self._last, self._has_reported = True, time.monotonic(), True
            print(self._current.text(), file=sys.stderr, flush=True)

    def _is_due(self) -> bool:
        """Return whether the log needs a line; many short stages together need one too."""
        stage, now = self._current, time.monotonic()
        is_long = now - stage.begun >= _FIRST_SECONDS
        if stage is self._rest and not is_long:
            return False
        is_early = not self._has_reported or (is_long and not stage.is_shown)
        return now - self._last >= (_FIRST_SECONDS if is_early else _LOG_SECONDS)

    def _draw(self) -> None:
        stage = self._current
        if self._bar is None:
            if stage is self._rest and time.monotonic() - max(self._last, stage.begun) < _FIRST_SECONDS_SHOWN:
                return
            self._bar = _bar(self)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=stage.done, total=stage.total or None)

    def _clear(self) -> None:
        if self._bar is not None:
            bar, self._bar = self._bar, None
            bar.stop()

    def text(self) -> str:
        """Return the current stage and its progress as text."""
        return self._current.text()


def _bar(display: Display) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task
    from rich.text import Text

    class Described(ProgressColumn):
        """Text that is computed for each refresh, so that the seconds advance."""

        def render(self, task: Task) -> Text:
            return Text(display.text())

    columns = (SpinnerColumn(), BarColumn(20), Described())
    # Without this, rich replaces the standard streams at the start and restores them at the end; both may have changed.
    bar = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task("", total=None)
    return bar
