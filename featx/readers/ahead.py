"""Open the images of a job in order, and fetch the next ones over the network while earlier ones are decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from featx.source import LARGE_FILE, OpenFile, Source, most_bytes

if TYPE_CHECKING:
    from concurrent.futures import Future

_MOST_REQUESTS = 32
_MOST_BYTES = 64_000_000
"""Maximum size of the objects that are requested and not yet read, in bytes; at least one object is requested."""

_USUAL_BYTES = 1_000_000
"""Size that an object is assumed to have if it is unknown."""


class _Wanted(NamedTuple):
    source: Source
    sample_id: str
    size: int
    locator: str


class _Requested(NamedTuple):
    n_bytes: int
    future: Future[OpenFile] | None


class ReadAhead:
    """Open the images of a job one after the other.

    Parameters
    ----------
    sources : sequence of Source
    images : sequence of lists
        Number, index of the source, sample id, size and locator of each image.
    max_pixels : int
        Maximum number of pixels, which limits the size of the files.
    is_large : bool
        Whether large files are read; otherwise they are opened, but not fetched.
    """

    def __init__(self, sources: Sequence[Source], images: Sequence[Any], max_pixels: int, is_large: bool) -> None:
        self._images = [
            _Wanted(sources[source], sample_id, size, locator) for _, source, sample_id, size, locator in images
        ]
        self._most = most_bytes(max_pixels) if is_large else LARGE_FILE
        self._requested: deque[_Requested] = deque()
        self._opened = 0
        self._n_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for request in self._requested:
            if request.future is not None:
                request.future.cancel()

    def open_next(self) -> OpenFile:
        """Open the next image.

        Raises
        ------
        OSError
            If the image cannot be opened or fetched.
        """
        self._request()
        request = self._requested.popleft()
        image = self._images[self._opened]
        self._opened += 1
        self._n_bytes -= request.n_bytes
        if request.future is None:
            return image.source.open_at(image.sample_id, image.locator)
        return request.future.result()

    def _request(self) -> None:
        """Request images until enough are under way; those that are opened directly need no request."""
        while True:
            at = self._opened + len(self._requested)
            if at == len(self._images) or len(self._requested) == _MOST_REQUESTS:
                return
            source, sample_id, size, locator = self._images[at]
            n_bytes = min(size if size >= 0 else _USUAL_BYTES, self._most)
            if self._requested and self._n_bytes + n_bytes > _MOST_BYTES:
                return
            self._n_bytes += n_bytes
            self._requested.append(_Requested(n_bytes, source.request(sample_id, locator, size, self._most)))
