"""Distribute images in chunks over reader processes, in order and in bounded memory."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.images import memory_for
from featx.readers.chunk import Chunk
from featx.readers.job import IsKnown, Job, Wanted
from featx.readers.messages import N_CELLS, SIGNATURE_BYTES, SlotLayout, Task
from featx.readers.run import Run
from featx.readers.team import give_back, take_team
from featx.runtime import Runtime
from featx.source import ImageFile
from featx.table import SIGNATURE_SHAPE

if sys.platform != "win32":
    import resource

_SECONDS = 60.0
"""Maximum CPU time for decoding an image, and also for reading its file, in seconds."""

_SLOT_BYTES = 16_000_000
"""Maximum size of the pixels in a slot, in bytes; a larger image has a slot of its own."""

_CHUNK_WITHOUT_PIXELS = 256
"""Maximum number of images in a chunk if no pixels are needed."""

_ROUND = 8
"""Chunks that are smaller than the batch size contain a multiple of this number of images, because engines execute
batches of 4 or 8 images."""

_BYTES_A_READER = 8_000_000
_LEAST_BYTES = 16_000
_USUAL_BYTES = 100_000
"""One reader is used for each 8 MB of files. A file counts at least 16 kB, and 100 kB if its size is unknown. Starting
a reader takes about as long as decoding 8 MB of JPEG files."""

_MORE_SLOTS = 4
"""Number of slots for the chunks that the engine works on, in addition to two slots for each reader."""

_DESCRIPTORS_A_READER = 3
_DESCRIPTORS_LEFT = 32
"""Number of file descriptors of this process that are not used for readers."""


class ReaderPool:
    """Reads images in reader processes.

    The processes are started when they are needed, and used again by the next pool of this process. When the context
    is left, unfinished work is abandoned.

    Parameters
    ----------
    task : Task
    images : sequence of ImageFile
        Images that are read. Their number and sizes determine how many processes are used.
    runtime : Runtime
    seconds : float
        Maximum CPU time for decoding an image, and also for reading its file, in seconds; on Windows, wall time.
    megabytes : int, optional
        Maximum memory for one image, in megabytes, in addition to the memory of the process itself; by default enough
        for ``max_pixels``. The limit is enforced only on Linux.
    """

    def __init__(
        self,
        task: Task,
        images: Sequence[ImageFile],
        runtime: Runtime,
        seconds: float = _SECONDS,
        megabytes: int | None = None,
    ) -> None:
        self._task = task
        self._images = images
        self._runtime = runtime
        self._seconds = seconds
        self._megabytes = memory_for(task.max_pixels) if megabytes is None else megabytes
        self._n_readers = _n_readers(images, runtime.n_workers)

    def __enter__(self) -> Self:
        self._team = take_team(self._seconds)
        if self._images:
            with contextlib.suppress(OSError):  # reported when the process is needed
                self._team.process(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        give_back(self._team)

    def read(
        self, images: Sequence[ImageFile] | None = None, is_known: IsKnown | None = None, *, once: bool = True
    ) -> Generator[Chunk, None, None]:
        """Yield images in order, in chunks.

        Parameters
        ----------
        images : sequence of ImageFile, optional
            Some of the images of the pool; by default all.
        is_known : callable, optional
            Function of content hashes that returns for each whether the content is known. Images with known contents
            are read but not decoded. By default, no content is known.
        once : bool
            Whether images with the same content are decoded only once.

        Yields
        ------
        Chunk
            The consumer releases a chunk when it does not need the pixels any more. It may keep several chunks.

        Raises
        ------
        ReaderError
            If no process can be started.
        """
        images = self._images if images is None else images
        layout = self._layout(len(images))
        most_kept = layout.n_slots - self._n_readers
        free: deque[int] = deque(range(layout.n_slots))
        jobs: deque[Job] = deque()
        position = 0
        with Run(
            self._team,
            {"task": self._task.to_dict(), "megabytes": self._megabytes},
            layout,
            Wanted(is_known, once),
            self._n_readers,
        ) as run:
            while True:
                while position < len(images) and free:
                    some = images[position : position + layout.n_images]
                    jobs.append(Job(free.popleft(), position, some))
                    position += len(some)
                    run.submit(jobs[-1])
                if not jobs:
                    return
                job = jobs.popleft()
                job.wait()
                chunk = self._chunk(job, layout, free)
                # The consumer never holds so many slots that the readers have none.
                if layout.n_slots - len(free) - len(jobs) > most_kept:
                    chunk = chunk.copied()
                yield chunk

    def _layout(self, n_images: int) -> SlotLayout:
        """Return a layout with a chunk size such that all readers have work, and with bounded memory."""
        pixel_bytes = self._task.pixel_bytes
        most = min(self._runtime.batch_size, _SLOT_BYTES // pixel_bytes) if pixel_bytes else _CHUNK_WITHOUT_PIXELS
        fair = -(-n_images // (2 * self._n_readers * _ROUND)) * _ROUND
        return SlotLayout(pixel_bytes, max(1, min(most, fair)), 2 * self._n_readers + _MORE_SLOTS)

    def _chunk(self, job: Job, layout: SlotLayout, free: deque[int]) -> Chunk:
        memory = self._team.memory.content
        pixels = signatures = np.empty((0, 0), np.uint8)
        if layout.pixel_bytes:
            pixels = _rows(memory, layout.pixels(job.slot), job.n_rows, layout.pixel_bytes)
            signatures = _rows(memory, layout.signatures(job.slot), job.n_rows, SIGNATURE_BYTES)
        slot = job.slot
        return Chunk(
            job.images,
            job.outcomes,
            pixels,
            signatures.reshape(-1, *SIGNATURE_SHAPE),
            self._task.size,
            lambda: free.append(slot),
        )


def start_first_reader() -> None:
    """Start a reader process in advance, which the next pool uses; that pool reports errors."""
    with contextlib.suppress(OSError):
        team = take_team(_SECONDS)
        try:
            team.process(0)
        finally:
            give_back(team)


def _n_readers(images: Sequence[ImageFile], n_workers: int) -> int:
    """Return a number of processes for which the work is worth their start."""
    most = min(n_workers, N_CELLS, max(1, _spare_descriptors() // _DESCRIPTORS_A_READER))
    n_bytes = 0
    for image in images:
        n_bytes += max(image.size, _LEAST_BYTES) if image.size >= 0 else _USUAL_BYTES
        if n_bytes >= most * _BYTES_A_READER:
            break
    return min(most, 1 + n_bytes // _BYTES_A_READER)


def _rows(memory: Any, at: int, n: int, width: int) -> NDArray[np.uint8]:
    return np.frombuffer(memory, np.uint8, n * width, at).reshape(n, width)


def _spare_descriptors() -> int:
    """Return the number of files that this process may open for readers."""
    if sys.platform == "win32":
        return _DESCRIPTORS_A_READER * N_CELLS
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most == resource.RLIM_INFINITY:
        return _DESCRIPTORS_A_READER * N_CELLS
    try:
        n_open = len(os.listdir("/dev/fd"))
    except OSError:
        n_open = _DESCRIPTORS_LEFT
    return most - n_open - _DESCRIPTORS_LEFT
