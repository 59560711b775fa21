"""End the process while threads may still run."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """End the process with an exit code, at once where its threads may not have ended.

    After an error, or when stopped, threads may still be in the middle of a fit. Python would wait for those that are
    its own, and a thread of another library that is in C++ code when Python ends aborts the process. Whatever the
    command opened was closed on the way here.
    """
    if code or threading.active_count() > 1:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C finds nothing left to stop
            signal.signal(number, signal.SIG_IGN)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full, or none at all
                stream.flush()
        os._exit(code)
    sys.exit(code)
