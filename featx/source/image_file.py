"""An image file: a sample, and the source of the bytes of the file."""

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
        Source that contains the file. The name of the file in the source is the id of the sample.
    size, mtime_ns : int
        Size in bytes and modification time, as given by the source; -1 if unknown.
    inode, ctime_ns : int
        See :class:`featx.table.Stamp`.
    reason : str
        Reason why the file is skipped without being opened: it is a folder that cannot be read, or a file that must be
        exported as an image first. Empty for other files.
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
        """Stamp that changes when the file changes."""
        return Stamp(self.size, self.mtime_ns, self.inode, self.ctime_ns)

    @property
    def address(self) -> str:
        """Path of the file in messages and in tables of predictions."""
        return self.source.address(self.sample.sample_id)

    def open(self) -> OpenFile:
        """Open the file for reading; see :meth:`featx.source.Source.open`."""
        return self.source.open(self.sample.sample_id)
