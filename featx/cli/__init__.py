"""The command line: parse, one library call, render, exit code."""

from __future__ import annotations

import signal
import sys
import traceback
from typing import Any

_TYPERS_STOPPED = 130


def main() -> None:
    """Run the command line; what the ``featx`` command starts."""
    signal.signal(signal.SIGTERM, _stop)
    from featx.cli.ending import end_process

    end_process(_run())


def _run() -> int:
    try:
        from featx.cli.app import app

        app()
    except KeyboardInterrupt:
        return _say_stopped()
    except SystemExit as ended:
        return _say_stopped() if ended.code == _TYPERS_STOPPED else _number(ended.code)
    except Exception:  # shown because the user asked for it, see guarded
        traceback.print_exc()
        return 1
    return 0


def _number(code: str | int | None) -> int:
    return code if isinstance(code, int) else int(code is not None)


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _say_stopped() -> int:
    print("stopped; nothing was begun", file=sys.stderr)
    return 1
