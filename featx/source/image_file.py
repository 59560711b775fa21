"""An image file: a sample, and the source of the bytes of the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.source.source import OpenFile, Source
from featx.table import Categorical, Column, Sample, Samples, Stamp, Texts


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image of a source.

    Parameters
    ----------
    sample : Sample
    source : Source
        Source that contains the file. The name of the file in the source is the id of the sample.
    size, mtime_ns : int
        Size in bytes and modification time, as given by the source; -1 if unknown.
    inode, ctime_ns : int
        See :class:`featx.table.Stamp`.
    reason : str
        Reason why the file is skipped without being opened: it is a folder that cannot be read, or a file that must be
        exported as an image first. Empty for other files.
    locator : str
        Locator that another process has found, see :meth:`featx.source.Source.locator`; empty if none is known.
    """

    sample: Sample
    source: Source
    size: int = -1
    mtime_ns: int = -1
    inode: int = 0
    ctime_ns: int = 0
    reason: str = ""
    locator: str = ""

    @property
    def stamp(self) -> Stamp:
        """Stamp that changes when the file changes."""
        return Stamp(self.size, self.mtime_ns, self.inode, self.ctime_ns)

    @property
    def address(self) -> str:
        """Path of the file in messages and in tables of predictions."""
        return self.source.address(self.sample.sample_id)

    def open(self) -> OpenFile:
        """Open the file for reading; see :meth:`featx.source.Source.open`."""
        if self.locator:
            return self.source.open_at(self.sample.sample_id, self.locator)
        return self.source.open(self.sample.sample_id)

    def locate(self) -> str:
        """Return the locator of the file; see :meth:`featx.source.Source.locator`."""
        return self.locator or self.source.locator(self.sample.sample_id)


@dataclass(frozen=True, eq=False, repr=False)
class ImageFiles(Column[ImageFile]):
    """The images of a data set as columns; an :class:`ImageFile` is made when it is read.

    Parameters
    ----------
    samples : Samples
    sources : Categorical
        Source of each image.
    stamps : ndarray of shape (n, 4), int64
        Size, modification time, inode and ctime of each file.
    reasons : Categorical
        Reason of each image, see :class:`ImageFile`.
    locators : Categorical, optional
        Locator of each image that another process has found; None if none are known.
    """

    samples: Samples
    sources: Categorical[Source]
    stamps: NDArray[np.int64]
    reasons: Categorical[str]
    locators: Categorical[str] | None = None

    @classmethod
    def of(cls, images: Iterable[ImageFile]) -> ImageFiles:
        """Return the columns of some images."""
        if isinstance(images, ImageFiles):
            return images
        rows = list(images)
        return cls(
            Samples.of(image.sample for image in rows),
            Categorical.of(image.source for image in rows),
            np.array([image.stamp for image in rows], np.int64).reshape(-1, 4),
            Categorical.of(image.reason for image in rows),
        )

    @classmethod
    def join(cls, parts: Sequence[ImageFiles]) -> ImageFiles:
        """Return the unlabelled images of several columns as one."""
        return cls(
            Samples.unlabelled(Texts.join([part.samples.sample_ids for part in parts])),
            Categorical.join([part.sources for part in parts]),
            np.concatenate([part.stamps for part in parts]),
            Categorical.join([part.reasons for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.stamps)

    def block(self, start: int, stop: int) -> list[ImageFile]:
        """Return some consecutive images."""
        stamps = self.stamps[start:stop].tolist()
        rows = zip(
            self.samples.block(start, stop),
            self.sources.block(start, stop),
            stamps,
            self.reasons.block(start, stop),
            [""] * len(stamps) if self.locators is None else self.locators.block(start, stop),
            strict=True,
        )
        return [
            ImageFile(sample, source, size, mtime_ns, inode, ctime_ns, reason, locator)
            for sample, source, (size, mtime_ns, inode, ctime_ns), reason, locator in rows
        ]

    def take(self, at: NDArray[np.int64]) -> ImageFiles:
        """Return the images at some positions."""
        locators = None if self.locators is None else self.locators.take(at)
        return ImageFiles(
            self.samples.take(at), self.sources.take(at), self.stamps[at], self.reasons.take(at), locators
        )
