"""A chunk of images for one reader, and the choice of the images that are decoded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from featx.readers.chunk import Outcome
from featx.source import ImageFile
from featx.table import FileState

IsKnown = Callable[[Sequence[bytes]], Sequence[bool]]
"""Function of content hashes that returns for each whether the features of this content already exist."""


class Wanted:
    """Decides which images are decoded: those whose content is neither known nor decoded as another image."""

    def __init__(self, is_known: IsKnown | None, once: bool) -> None:
        self._is_known = is_known
        self._once = once
        self._first: dict[bytes, int] = {}
        self._lock = threading.Lock()

    def choose(self, read: Sequence[tuple[int, bytes]]) -> list[bool]:
        """Return whether each image, given by its number and its content hash, is wanted.

        The answer for an image is the same if it is read again in another process.
        """
        hashes = [content_hash for _, content_hash in read]
        known = [False] * len(hashes) if self._is_known is None else self._is_known(hashes)
        with self._lock:
            return [
                not is_known
                and (not (self._once and content_hash) or self._first.setdefault(content_hash, number) == number)
                for is_known, (number, content_hash) in zip(known, read, strict=True)
            ]


class Job:
    """A chunk of images for one reader, and its results."""

    def __init__(self, slot: int, first: int, images: Sequence[ImageFile]) -> None:
        self.slot = slot
        self.first = first
        self.images = images
        self.n_rows = 0
        self.error: BaseException | None = None
        self._is_done = threading.Event()
        self.outcomes = [Outcome(_not_read(image, image.reason)) for image in images]

    def wait(self) -> None:
        """Wait until the job is done, and raise its error."""
        self._is_done.wait()
        if self.error is not None:
            raise self.error

    def finish(self, error: BaseException | None = None) -> None:
        """Mark the job as done."""
        self.error = error
        self._is_done.set()

    @property
    def numbers(self) -> list[int]:
        """Numbers of the images that are read."""
        return [number for number, image in enumerate(self.images, self.first) if not image.reason]

    def message(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Return the part of a message that describes images."""
        images = [self.images[number - self.first] for number in numbers]
        sources = {id(image.source): image.source for image in images}
        index = {source: i for i, source in enumerate(sources)}
        return {
            "slot": self.slot,
            "row": self.n_rows,
            "sources": [source.describe() for source in sources.values()],
            "images": [
                (
                    number,
                    index[id(image.source)],
                    image.sample.sample_id,
                    image.size,
                    image.locate(),
                )
                for number, image in zip(numbers, images, strict=True)
            ],
        }

    def put_read(self, read: Sequence[Any]) -> list[tuple[int, bytes]]:
        """Store the states of files that were read; return the number and the content hash of each."""
        hashes: list[tuple[int, bytes]] = []
        for number, state in read:
            image = self.images[number - self.first]
            if state is None:  # only the brightness is measured
                known = FileState(image.size, image.mtime_ns)
            elif isinstance(state, str):
                known = _not_read(image, state)
            else:
                size, mtime_ns, content_hash, camera, day, inode, ctime_ns = state
                known = FileState(
                    size,
                    mtime_ns,
                    bytes.fromhex(content_hash),
                    camera=camera,
                    day=day,
                    inode=inode,
                    ctime_ns=ctime_ns,
                )
            self.outcomes[number - self.first] = Outcome(known)
            hashes.append((number, known.content_hash))
        return hashes

    def put_done(self, done: Sequence[Any]) -> None:
        """Store the results of the images that were wanted."""
        for number, outcome in done:
            if "reason" in outcome:
                self.skip(number, outcome["reason"], outcome.get("is_passing", False))
            elif "row" in outcome:
                state = self.outcomes[number - self.first].state
                state = replace(state, width=outcome["width"], height=outcome["height"])
                shape = outcome["shape"]
                self.outcomes[number - self.first] = Outcome(
                    state, outcome["row"], outcome["note"], (shape[0], shape[1])
                )
                self.n_rows = max(self.n_rows, outcome["row"] + 1)
            else:
                self.outcomes[number - self.first] = Outcome(
                    self.outcomes[number - self.first].state, brightness=outcome
                )

    def skip(self, number: int, reason: str, is_passing: bool) -> None:
        """Store that an image is skipped; if the cause is not in the image, the next run tries it again."""
        state = replace(self.outcomes[number - self.first].state, status="skipped", reason=reason)
        self.outcomes[number - self.first] = Outcome(replace(state, mtime_ns=-1) if is_passing else state)


def _not_read(image: ImageFile, reason: str) -> FileState:
    return FileState(image.size, -1, b"", "skipped", reason)
