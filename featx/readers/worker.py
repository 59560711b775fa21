"""Read, hash and decode images in a reader process, within limits of time and memory for each image."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import select
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.children import reserve_stdout
from featx.errors import ImageError, NotDecodableHereError
from featx.files import NotRegularError, OutsideError
from featx.images import CostlyError, ShortOfMemoryError, brightest, may_be_deep, prepare
from featx.readers.ahead import ReadAhead
from featx.readers.files import read_file
from featx.readers.memory import open_memory
from featx.readers.messages import SIGNATURE_BYTES, SlotLayout, Task, receive, send, write_progress
from featx.source import LARGE_FILE, BrokenLinkError, OpenFile, Source, read_image, source_from

if sys.platform != "win32":
    import resource

SHORT_OF_MEMORY = 75
"""Exit code of a reader that has decoded images before and is short of memory; a new reader tries the image again."""

NEXT_RUN = "the next run tries again"
NOT_FOUND, BROKEN_LINK = "no such file", "broken link"
"""Reasons why an image was not found."""

_NO_MEMORY = f"not enough memory to decode the image; {NEXT_RUN}"
_PART_BYTES = 16_000_000
"""Files are read until they have more than this number of bytes together, and are then decoded."""

_NETWORK_BYTES = 1_000_000_000
"""Address space of the libraries for networks and their threads, and of the objects that are fetched in advance."""

_SLACK_SECONDS = 1.0
"""CPU time, in seconds, for which a time limit is not set again."""

_IDLE_SECONDS = 60.0
"""Time, in seconds, after which a reader without work ends (not on Windows)."""


def serve(cell: str, seconds: str) -> None:
    """Do the jobs that the parent process sends, until the parent closes the pipe or sends no job for a minute."""
    source, target = sys.stdin.buffer, reserve_stdout()
    if sys.platform != "win32":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.MAX_IMAGE_PIXELS = None  # the task contains the limit
    worker = _Worker(int(cell), float(seconds))
    with contextlib.suppress(EOFError, BrokenPipeError):
        while _has_work(source):
            for message in worker.run(receive(source), lambda: receive(source)):
                send(target, message)


def _has_work(source: Any) -> bool:
    """Wait for a job; return False if there is none for a minute."""
    if sys.platform == "win32":  # select supports only sockets there
        return True
    return bool(select.select([source], [], [], _IDLE_SECONDS)[0])


class _Worker:
    """Does jobs of one reader process.

    Parameters
    ----------
    cell : int
        Cell of this reader in the shared memory, for its progress.
    seconds : float
        Maximum CPU time for one image, in seconds.
    """

    def __init__(self, cell: int, seconds: float) -> None:
        self._cell = cell
        self._time_limit = _TimeLimit(seconds)
        self._own_bytes = _address_space()
        self._memory: mmap.mmap | None = None
        self._n_begun = 0
        self._is_limited = False
        self._megabytes = 0

    def run(self, job: dict[str, Any], ask: Any) -> Iterator[Any]:
        """Read the images of a job, ask which of them are wanted, and decode these.

        Parameters
        ----------
        job : dict
            ``task``; ``megabytes``, the memory limit; ``memory`` (key and size); ``layout``; ``slot``; ``row`` of the
            first decoded image; ``is_large``, whether large images are decoded, otherwise they are postponed;
            ``sources``; ``images`` (a list of number, index of the source, sample id, size, locator).
        ask : callable
            Returns the answer of the parent process to a message: for each image that was read, whether it is wanted.

        Yields
        ------
        dict
            For each part of the job, ``read``: the states of files; at the end, ``done``: the results of the images
            that were wanted, and ``postponed``: the numbers of large images.
        """
        task = Task(**job["task"])
        key, size = job["memory"]
        sources = [source_from(description) for description in job["sources"]]
        self._open(key, size, job["megabytes"], any(source.uses_network for source in sources))
        done: list[Any] = []
        postponed: list[int] = []
        decode = _Decode(task, self._memory, SlotLayout(*job["layout"]), job["slot"], job["row"], job["is_large"])
        for part in self._parts(job, sources, task, postponed):
            yield {"read": [state for _, state, _ in part]}
            for is_wanted in ask():
                number, _, data = part.pop(0)  # frees the memory of an image before the next one is decoded
                if is_wanted and data is not None:
                    self._n_begun += 1
                    self._begin(number, self._n_begun)
                    outcome = self._outcome(decode, data)
                    if outcome is None:
                        postponed.append(number)
                        self._n_begun -= 1  # nothing was decoded
                    else:
                        done.append([number, outcome])
                del data
        write_progress(self._memory, self._cell, 0, 0)
        yield {"done": done, "postponed": postponed}

    def _begin(self, number: int, n_begun: int = 0) -> None:
        write_progress(self._memory, self._cell, number + 1, n_begun)
        self._time_limit.begin()

    def _parts(
        self, job: dict[str, Any], sources: Sequence[Source], task: Task, postponed: list[int]
    ) -> Iterator[list[Any]]:
        """Yield lists of (number, state, bytes of the file); a list contains at most 16 MB, or one file."""
        part: list[Any] = []
        n_bytes = 0
        with ReadAhead(sources, job["images"], task.max_pixels, job["is_large"]) as ahead:
            for number, *_ in job["images"]:
                self._begin(number)
                try:
                    with ahead.open_next() as file:
                        if file.stamp().size > LARGE_FILE and not job["is_large"]:
                            postponed.append(number)
                            continue
                        data, state = _read(file, task)
                except OutsideError as error:
                    data, state = None, str(error.strerror)
                except OSError as error:
                    data, state = None, _unreadable(error)
                except MemoryError:
                    if self._n_begun:
                        _end(SHORT_OF_MEMORY)
                    data, state = None, _NO_MEMORY
                part.append((number, [number, state], data))
                n_bytes += 0 if data is None else len(data)
                del data
                if n_bytes > _PART_BYTES:
                    yield part
                    n_bytes = 0
        if part:
            yield part

    def _outcome(self, decode: _Decode, data: bytes) -> dict[str, Any] | None:
        """Return the description of a decoded image, or the reason why it is skipped; None if it is postponed."""
        try:
            return decode(data)
        except CostlyError:
            return None
        except (ShortOfMemoryError, MemoryError):
            if self._n_begun > 1:
                _end(SHORT_OF_MEMORY)
            if self._is_limited:
                return {"reason": f"decoding needs more than {self._megabytes:,} MB of memory"}
            return {"reason": _NO_MEMORY, "is_passing": True}
        except NotDecodableHereError as error:
            return {"reason": str(error), "is_passing": True}
        except ImageError as error:
            return {"reason": str(error)}
        except Exception as error:
            return {"reason": f"the pixels cannot be used: {error}"}

    def _open(self, key: str, size: int, megabytes: int, uses_network: bool) -> None:
        if self._memory is None or len(self._memory) != size:
            self._memory = open_memory(key, size)
        self._megabytes = megabytes
        self._is_limited = _limit_memory(self._own_bytes + size + megabytes * 1_000_000 + uses_network * _NETWORK_BYTES)


class _Decode:
    """Decodes one image after the other into the rows of a slot, or measures their brightness."""

    def __init__(
        self, task: Task, memory: mmap.mmap | None, layout: SlotLayout, slot: int, row: int, is_large: bool
    ) -> None:
        self.task = task
        self._is_large = is_large
        self._row = row
        if task.do == "decode":
            assert memory is not None
            shape = (layout.n_images, layout.pixel_bytes)
            self._pixels = _rows(memory, layout.pixels(slot), shape)
            self._signatures = _rows(memory, layout.signatures(slot), (layout.n_images, SIGNATURE_BYTES))

    def __call__(self, data: bytes) -> dict[str, Any]:
        """Return the description of an image."""
        task = self.task
        if task.do == "brightness":
            known = brightest(data, max_pixels=task.max_pixels, allow_large=self._is_large)
            return {} if known is None else known._asdict()
        made = prepare(
            data,
            task.size,
            task.resize,
            white=task.white,
            page=task.page,
            max_pixels=task.max_pixels,
            allow_large=self._is_large,
        )
        row = self._row
        self._pixels[row, : made.pixels.size] = made.pixels.reshape(-1)
        self._signatures[row] = made.signature.reshape(-1)
        self._row += 1
        return {
            "row": row,
            "width": made.width,
            "height": made.height,
            "note": made.note,
            "shape": made.pixels.shape[:2],
        }


def _rows(memory: mmap.mmap, at: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    return np.frombuffer(memory, np.uint8, shape[0] * shape[1], at).reshape(shape)


def _read(file: OpenFile, task: Task) -> tuple[bytes | None, Any]:
    """Return the bytes of a file if they are needed later, and its state as plain values."""
    if task.do == "brightness":
        is_deep = may_be_deep(file.stream)
        file.stream.seek(0)
        return (read_image(file, task.max_pixels) if is_deep else None), None
    data, state = read_file(file, task.max_pixels)
    plain = [state.size, state.mtime_ns, state.content_hash.hex(), state.camera, state.day, state.inode, state.ctime_ns]
    return (None if task.do == "hash" else data), plain


def _unreadable(error: OSError) -> str:
    if isinstance(error, BrokenLinkError):
        return BROKEN_LINK
    if isinstance(error, FileNotFoundError):
        return NOT_FOUND
    if isinstance(error, NotRegularError):
        return str(error.strerror)
    return f"cannot be read: {error.strerror or error}"


def _end(code: int) -> NoReturn:
    os._exit(code)


def _address_space() -> int:
    """Return the size of the address space of this process in bytes; 0 if it is unknown."""
    with contextlib.suppress(OSError), open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _limit_memory(n_bytes: int) -> bool:
    """Limit the address space of this process; return whether the limit is set."""
    if sys.platform != "linux":  # macOS accepts the limit but does not enforce it
        return False
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, hard))
        return True
    return False  # the user's own limit is lower


class _TimeLimit:
    """Limit of the CPU time for one image; beyond the limit, this process ends with SIGXCPU.

    Setting the limit takes 60 µs, so it is set at most once per second of CPU time, and is up to two seconds longer.

    Parameters
    ----------
    seconds : float
        Maximum CPU time for one image, in seconds.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_set_until = 0.0

    def begin(self) -> None:
        """Allow this process to use CPU time for a further image."""
        now = time.process_time()
        if sys.platform == "win32" or now < self._is_set_until:
            return
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = math.ceil(now + self._seconds + _SLACK_SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
        self._is_set_until = now + _SLACK_SECONDS
