"""Standard streams whose write errors do not end a command: closed streams, full disks, broken pipes."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any, TextIO, cast


class ErrorRecordingStream:
    """A text stream that records write errors instead of raising them.

    Parameters
    ----------
    stream : text stream

    Attributes
    ----------
    lost : OSError or None
        The first write error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write text; record an error."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Flush the stream; record an error."""
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: OSError) -> None:
        self.lost = self.lost or error
        with contextlib.suppress(OSError, ValueError):  # otherwise the rest of the buffer fails again at exit
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, self._stream.fileno())
            os.close(sink)


def secure_streams() -> None:
    """Open closed standard streams, and replace stdout and stderr by streams that do not raise write errors.

    Otherwise the next file that is opened gets the descriptor of a closed stream, and libraries print into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = cast(TextIO, ErrorRecordingStream(stdout))
    # A separate descriptor, so that progress can be shown while libraries are kept from descriptor 2.
    shown = open(os.dup(2), "w", 1, getattr(sys.stderr, "encoding", "utf-8"), "backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = cast(TextIO, ErrorRecordingStream(shown))


def lost_output(as_json: bool) -> OSError | None:
    """Return the write error of standard output; a broken pipe is an error only with ``--json``."""
    sys.stdout.flush()
    lost: OSError | None = getattr(sys.stdout, "lost", None)
    return None if lost is None or (lost.errno == errno.EPIPE and not as_json) else lost
