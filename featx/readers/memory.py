"""Memory that a process shares with its reader processes, without a file that others can open."""

from __future__ import annotations

import mmap
import os
import secrets
import sys
import tempfile


class SharedMemory:
    """Memory shared with child processes: an anonymous file on Linux, a deleted file on macOS, a mapping on Windows.

    It does not depend on the size of ``/dev/shm``, and the system frees it when the last process ends, however it ends.

    Attributes
    ----------
    content : mmap.mmap
        The current mapping of the memory; :meth:`grow` replaces it.
    descriptor : int or None
        File descriptor that child processes inherit; None on Windows.
    key : str
        Text with which a child process opens the memory; see :func:`open_memory`.
    """

    def __init__(self, size: int) -> None:
        self.descriptor = None if sys.platform == "win32" else _anonymous_file()
        self._map(size)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return len(self.content)

    def grow(self, size: int) -> None:
        """Increase the size to at least ``size`` bytes. Arrays on the previous content stay valid.

        Raises
        ------
        OSError
            If the system does not provide this memory.
        """
        if size > self.size:
            self._map(size)

    def close(self) -> None:
        """Close the file descriptor; the content is freed with the last array on it."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def _map(self, size: int) -> None:
        if sys.platform == "win32":
            self.key = f"featx-{secrets.token_hex(16)}"
            self.content = mmap.mmap(-1, size, tagname=self.key)
            return
        assert self.descriptor is not None
        os.ftruncate(self.descriptor, size)
        self.key = str(self.descriptor)
        self.content = mmap.mmap(self.descriptor, size)


def open_memory(key: str, size: int) -> mmap.mmap:
    """Return the content of the memory of the parent process; see :class:`SharedMemory`."""
    if sys.platform == "win32":
        return mmap.mmap(-1, size, tagname=key)
    return mmap.mmap(int(key), size)


def _anonymous_file() -> int:
    if sys.platform == "linux":
        try:
            return os.memfd_create("featx", os.MFD_CLOEXEC)
        except OSError:  # forbidden in some containers
            pass
    with tempfile.TemporaryFile(prefix="featx-") as file:
        return os.dup(file.fileno())
