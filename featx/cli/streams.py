"""Standard streams that may be closed, full, or left by their reader, and never end a command for that."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Any, TextIO, cast


class PatientStream:
    """A text stream that takes whatever is written; ``lost`` says why some of it did not arrive.

    Parameters
    ----------
    stream : text stream
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write text, or nothing if that fails."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Hand on what was written, or nothing if that fails."""
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: OSError) -> None:
        self.lost = self.lost or error
        with contextlib.suppress(OSError, ValueError):  # what is left in its buffer would fail again at the end
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, self._stream.fileno())
            os.close(sink)


def secure_streams() -> None:
    """Open what is closed of the standard streams, and let writing to them never fail.

    Otherwise the next file that is opened takes the number of a closed one, and gets what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest free number
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = cast(TextIO, PatientStream(stdout))
    # On a descriptor of its own: libraries are kept off number 2 while they load, and progress is shown meanwhile.
    shown = open(os.dup(2), "w", 1, getattr(sys.stderr, "encoding", "utf-8"), "backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = cast(TextIO, PatientStream(shown))


def lost_output(as_json: bool) -> OSError | None:
    """Return why standard output was lost, if that matters: a reader of lines who left has seen enough."""
    sys.stdout.flush()
    lost: OSError | None = getattr(sys.stdout, "lost", None)
    return None if lost is None or (lost.errno == errno.EPIPE and not as_json) else lost
