"""The command line: parse, one library call, render, exit code."""

from __future__ import annotations

import signal
import sys
from typing import Any

_TYPERS_STOPPED = 130


def main() -> None:
    """Run the command line; what the ``featx`` command starts."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        from featx.cli.app import app

        app()
    except KeyboardInterrupt:
        _say_stopped()
    except SystemExit as ended:
        if ended.code != _TYPERS_STOPPED:
            raise
        _say_stopped()


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _say_stopped() -> None:
    print("stopped; nothing was begun", file=sys.stderr)
    sys.exit(1)
