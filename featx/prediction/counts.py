"""Count the images of a prediction: predicted, rejected, skipped, new and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from featx.extraction import ImageBlock
from featx.lookup import describe_unusable
from featx.prediction.writing import Row
from featx.table import OwnFolder

_MOST_REASONS = 1000


@dataclass
class RowCounts:
    """Numbers of rows.

    Parameters
    ----------
    n_images : int
        Number of all rows.
    n_rejected, n_skipped : int
    n_seen : int
        Number of training images of the model.
    """

    n_images: int = 0
    n_rejected: int = 0
    n_skipped: int = 0
    n_seen: int = 0

    @property
    def n_predicted(self) -> int:
        """Number of images that were neither rejected nor skipped."""
        return self.n_images - self.n_rejected - self.n_skipped

    def add(self, rows: Sequence[Row]) -> None:
        """Count some rows."""
        self.n_images += len(rows)
        for row in rows:
            self.n_seen += bool(row.seen)
            self.n_rejected += row.status == "rejected"
            self.n_skipped += row.status == "skipped"

    def join(self, other: RowCounts) -> None:
        """Add the numbers of other rows."""
        for name, n in asdict(other).items():
            setattr(self, name, getattr(self, name) + n)


class Tally:
    """Counts of one prediction.

    Attributes
    ----------
    counts : RowCounts
        Counts of all images, new and kept.
    n_kept : int
        Number of images whose rows the table had already.
    n_ignored : int
        Number of files that are not images.
    own_folders : list of OwnFolder
        Folders that were not scanned, because they contain output of featx.
    n_new_skipped : int
        Number of new images that were skipped.
    first_skipped : str
        Path and reason of the first of them; empty if there is none.
    """

    def __init__(self) -> None:
        self.counts = RowCounts()
        self.n_kept = 0
        self.n_new_skipped = 0
        self.n_ignored = 0
        self.own_folders: list[OwnFolder] = []
        self.first_skipped = ""
        self._reasons: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def begin(self, block: ImageBlock) -> None:
        """Count the files of a block that are not images."""
        self.n_ignored += len(block.ignored) + sum(folder.n_files for folder in block.own_folders)
        self.own_folders += block.own_folders

    def add(self, rows: Sequence[Row]) -> None:
        """Count new rows."""
        before = self.counts.n_skipped
        self.counts.add(rows)
        self.n_new_skipped += self.counts.n_skipped - before
        for row in rows if self.counts.n_images == self.counts.n_skipped or not self.first_skipped else ():
            if row.status == "skipped":
                self.first_skipped = self.first_skipped or f"{row.path}: {row.reason}"
                if len(self._reasons) < _MOST_REASONS or row.reason in self._reasons:
                    self._reasons[row.reason] += 1
                    self._first.setdefault(row.reason, row.path)

    def keep(self, counts: RowCounts) -> None:
        """Count rows that the table had already."""
        self.n_kept += counts.n_images
        self.counts.join(counts)

    @property
    def fault(self) -> str:
        """Reason why no image could be used; empty if an image could be used, or if there is none."""
        if self.counts.n_images > self.counts.n_skipped or not self._reasons:
            return ""
        return describe_unusable(self._reasons, self._first, "given")
