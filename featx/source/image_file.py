"""An image file: a sample and the source that has its bytes."""

from __future__ import annotations

from dataclasses import dataclass

from featx.source.source import OpenFile, Source
from featx.table import Sample, Stamp


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image of a source.

    Parameters
    ----------
    sample : Sample
    source : Source
        It has a file of the sample's id.
    size, mtime_ns : int
        As the source says; -1 if it was not or could not be asked.
    inode, ctime_ns : int
        See :class:`featx.table.Stamp`.
    reason : str
        Why it is skipped without a look at it: it is a folder that cannot be read, or has to be exported first; empty
        for other files.
    """

    sample: Sample
    source: Source
    size: int = -1
    mtime_ns: int = -1
    inode: int = 0
    ctime_ns: int = 0
    reason: str = ""

    @property
    def stamp(self) -> Stamp:
        """What tells whether the file has changed."""
        return Stamp(self.size, self.mtime_ns, self.inode, self.ctime_ns)

    @property
    def address(self) -> str:
        """The path by which people, and tables of predictions, name it."""
        return self.source.address(self.sample.sample_id)

    def open(self) -> OpenFile:
        """Open it for reading; see :meth:`featx.source.Source.open`."""
        return self.source.open(self.sample.sample_id)
