"""Read, hash and decode images in threads, in order and in bounded memory."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from featx.errors import ImageError, NotDecodableHereError
from featx.files import NotRegularError, OutsideError
from featx.images import MAX_PIXELS, Guard, Prepared, memory_for, read_origin
from featx.runtime import Runtime
from featx.source import BrokenLinkError, ImageFile, OpenFile, read_image
from featx.spec import FeatureSpec, Resize
from featx.table import FileState

_TRUST_NS = 2_000_000_000
"""Minimum age, in nanoseconds, of a modification time that is trusted. A file that was changed less than 2 s before
reading may change again without a new modification time."""

_AHEAD = 4
"""Number of images in progress per thread."""

Prepare = Callable[[bytes], Prepared]


@contextlib.contextmanager
def image_preparer(size: int, resize: Resize, white: int | None, page: int, runtime: Runtime) -> Iterator[Prepare]:
    """Provide a thread-safe function from file bytes to pixels; see :func:`featx.images.prepare`."""
    how: dict[str, Any] = {"size": size, "resize": resize, "white": white, "page": page}
    with Guard(megabytes=memory_for(runtime.max_pixels)) as guard:
        yield functools.partial(guard.prepare, **how, max_pixels=runtime.max_pixels)


def preparer_for(spec: FeatureSpec, runtime: Runtime) -> contextlib.AbstractContextManager[Prepare]:
    """Provide a thread-safe function from file bytes to the pixels of a feature spec."""
    return image_preparer(spec.size, spec.resize, spec.white, spec.page, runtime)


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of reading one image.

    Parameters
    ----------
    image : ImageFile
    state : FileState
        Content hash and other properties of the file, with the reason if the file could not be read or decoded.
    prepared : Prepared or None
        Pixels of the image; None if they are not needed, or if the image is skipped.
    """

    image: ImageFile
    state: FileState
    prepared: Prepared | None = None

    @property
    def decoded(self) -> Prepared:
        """Decoded image.

        Raises
        ------
        ValueError
            If the image was not decoded.
        """
        if self.prepared is None:
            raise ValueError(f"{self.image.sample.sample_id} was not decoded")
        return self.prepared


class Reader:
    """Read images in threads.

    Parameters
    ----------
    is_known : callable
        Function of a content hash that returns whether the features of this content already exist.
    prepare : callable or None
        Function from file bytes to pixels; None to read files without decoding them.
    workers : int
        Number of threads.
    ahead : int
        Number of finished images that may wait, in addition to the images in progress. With these, the next batch is
        read while the backbone processes the present batch.
    max_pixels : int
        Maximum number of pixels of an image, which determines the maximum size of the file.
    """

    def __init__(
        self,
        is_known: Callable[[bytes], bool],
        prepare: Prepare | None,
        workers: int,
        ahead: int = 0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self._is_known = is_known
        self._prepare = prepare
        self._workers = workers
        self._limit = ahead + _AHEAD * workers
        self._max_pixels = max_pixels
        self._claimed: set[bytes] = set()
        self._lock = threading.Lock()

    def read(self, images: Iterable[ImageFile]) -> Iterator[Reading]:
        """Yield a reading for each image, in order; files with the same content are decoded once."""
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="featx-read")
        waiting: deque[Future[Reading]] = deque()
        try:
            for image in images:
                waiting.append(pool.submit(self._read_one, image))
                if len(waiting) >= self._limit:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # stopping a run does not wait for a slow image

    def _read_one(self, image: ImageFile) -> Reading:
        if image.reason:
            return _not_read(image, image.reason)
        with contextlib.ExitStack() as stack:
            try:
                data, state = read_file(stack.enter_context(image.open()), self._max_pixels)
            except OutsideError as error:
                return _not_read(image, str(error.strerror))
            except OSError as error:
                return _not_read(image, _unreadable(error))
            return self._prepare_one(image, data, state)

    def _prepare_one(self, image: ImageFile, data: bytes, state: FileState) -> Reading:
        if self._prepare is None or self._is_known(state.content_hash) or not self._claim(state.content_hash):
            return Reading(image, state)
        try:
            prepared = self._prepare(data)
        except ImageError as error:
            if isinstance(error, NotDecodableHereError):
                state = replace(state, mtime_ns=-1)
            return Reading(image, replace(state, status="skipped", reason=str(error)))
        return Reading(image, replace(state, width=prepared.width, height=prepared.height), prepared)

    def _claim(self, content_hash: bytes) -> bool:
        with self._lock:
            new = content_hash not in self._claimed
            self._claimed.add(content_hash)
        return new


def read_images(
    images: Sequence[ImageFile], size: int, resize: Resize, white: int | None, page: int, runtime: Runtime
) -> Iterator[Reading]:
    """Read all images, and decode each content once; see :class:`Reader` and :func:`featx.images.prepare`."""
    with image_preparer(size, resize, white, page, runtime) as prepare:
        reader = Reader(lambda content_hash: False, prepare, runtime.n_workers, max_pixels=runtime.max_pixels)
        yield from reader.read(images)


def read_file(file: OpenFile, max_pixels: int = MAX_PIXELS) -> tuple[bytes, FileState]:
    """Read a file once and hash exactly the bytes that are returned.

    Parameters
    ----------
    file : OpenFile
        Open file, as returned by :meth:`featx.source.ImageFile.open`.
    max_pixels : int
        Maximum number of pixels of an image, which determines the maximum size of the file.

    Raises
    ------
    OSError
        If the file cannot be read or is too large.
    """
    stamp = file.stamp()
    data = read_image(file, max_pixels)
    changed = file.stamp() != stamp
    if changed or time.time_ns() - stamp.mtime_ns < _TRUST_NS:
        stamp = stamp._replace(mtime_ns=-1)
    camera, day = read_origin(data)
    content_hash = hashlib.sha256(data).digest()
    return data, FileState(
        len(data),
        stamp.mtime_ns,
        content_hash,
        camera=camera,
        day=day,
        inode=stamp.inode,
        ctime_ns=stamp.ctime_ns,
    )


def _not_read(image: ImageFile, reason: str) -> Reading:
    return Reading(image, FileState(image.size, -1, b"", "skipped", reason))


def _unreadable(error: OSError) -> str:
    if isinstance(error, BrokenLinkError):
        return "broken link"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, NotRegularError):
        return str(error.strerror)
    return f"cannot be read: {error.strerror or error}"
