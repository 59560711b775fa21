"""Make the rows of blocks of images, and write them to a file, a folder of parts or a table that is extended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.errors import OutputError
from featx.extraction import BlockFeatures, Featurizer, ImageBlock
from featx.galleries import Gallery, Tile
from featx.lookup import skipped_error
from featx.model import Classifier
from featx.output import OutputFile
from featx.prediction.counts import Tally
from featx.prediction.parts import PartsFolder, digest_of
from featx.prediction.record import TableRecord
from featx.prediction.rows import RowMaker
from featx.prediction.selection import Selection
from featx.prediction.sorting import Sorter
from featx.prediction.table_file import TableFile
from featx.prediction.writing import Row, Values, open_table
from featx.source import place_of


class Job:
    """One prediction: makes the rows of blocks of images, and passes them to the outputs.

    Parameters
    ----------
    classifier : Classifier
    featurizer : Featurizer
    maker : RowMaker
    record : TableRecord
        Record of a new table of this run.
    strict : bool
        Whether a skipped image is an error, after all other images are processed.
    discards : bool
        Whether the features of a block are deleted after its rows are made.

    Attributes
    ----------
    tally : Tally
    """

    def __init__(
        self,
        classifier: Classifier,
        featurizer: Featurizer,
        maker: RowMaker,
        record: TableRecord,
        *,
        strict: bool,
        discards: bool,
    ) -> None:
        self._classifier = classifier
        self._featurizer = featurizer
        self._maker = maker
        self._runtime = featurizer.runtime
        self._record = record
        self._strict = strict
        self._discards = discards
        self.tally = Tally()

    def write_rows(
        self, blocks: Iterable[ImageBlock], target: OutputFile | None, sheet: Gallery | None, sorter: Sorter | None
    ) -> list[Values]:
        """Write the rows of all images to a file, or return them without a file.

        With a gallery or a folder to sort into, the features of all images are computed first.
        """
        if sheet is not None or sorter is not None:
            return self._write_whole(blocks, target, sheet, sorter)
        return _collected(target, self._maker.columns, self._checked(self._rows(blocks)))

    def _rows(self, blocks: Iterable[ImageBlock]) -> Iterator[list[Row]]:
        for block in blocks:
            self.tally.begin(block)
            yield from self._rows_of(self._featurizer.fill(block))

    def _checked(self, chunks: Iterable[list[Row]]) -> Iterator[list[Row]]:
        """Yield rows; if an image was skipped and ``strict`` is true, an error is raised after the last row."""
        yield from chunks
        self._check_strict()

    def _write_whole(
        self, blocks: Iterable[ImageBlock], target: OutputFile | None, sheet: Gallery | None, sorter: Sorter | None
    ) -> list[Values]:
        computed = []
        for block in blocks:
            self.tally.begin(block)
            computed.append(self._featurizer.fill(block))
        skipped = [image for features in computed for image in features.table.extraction.skipped]
        if self._strict and skipped:
            raise skipped_error(len(skipped), f"{skipped[0].path}: {skipped[0].reason}")
        for features in computed:
            self._classifier.check(features.table)
        used = [features.table.samples for features in computed]
        if sheet is not None:
            sheet.refuse_inputs(Path(sample.sample_id) for samples in used for sample in samples)
        if sorter is not None:
            sorter.begin(sample.sample_id for samples in used for sample in samples)
        n_images = sum(len(features.states) for features in computed)
        chunks = (rows for features in computed for rows in self._maker.chunks(features))
        with self._runtime.stage("predicting" if sorter is None else "sorting the images into folders") as advance:
            return _collected(target, self._maker.columns, self._sorted(chunks, sheet, sorter, n_images, advance))

    def write_parts(
        self, blocks: Iterable[ImageBlock], target: PartsFolder, *, only_new: bool, overwrite: bool
    ) -> None:
        """Write a part for each block, without those of a stopped run, or extend a complete table."""
        record = target.record
        if record is not None and not overwrite:
            record.check(self._record, target.path, same_inputs=not target.is_complete)
            if target.is_complete and not only_new:
                raise OutputError(
                    f"{target.path} exists and is complete; add `only_new=True` to append the images that it lacks, "
                    "`overwrite=True` to start again, or choose another folder"
                )
            if target.is_complete:
                selection = Selection(self._featurizer, self.tally, record.folder)
                with self._runtime.stage("reading the table"):
                    target.read(selection.known, record)
                target.extend(record, self._checked(self._new_rows(blocks, selection)), selection.removal)
                return
            if record.folder != self._record.folder:
                record = replace(record, folder=self._record.folder)
        fresh = record is None or overwrite
        selection = Selection(self._featurizer, self.tally, self._record.folder)
        number = 0
        for block in blocks:
            self.tally.begin(block)
            if fresh:
                target.begin(self._record)
                fresh = False
            at = selection.first(block) if only_new else None
            if at is not None and not len(at):
                continue
            self._write_part(target, number, block, at)
            number += 1
        self._check_strict()
        if number:
            target.finish(number)

    def _write_part(self, target: PartsFolder, number: int, block: ImageBlock, at: NDArray[np.int64] | None) -> None:
        digest = digest_of(self._record, block, at)
        kept = target.kept(number, digest)
        if kept is not None:
            self.tally.keep(kept)
            return
        if number in target.numbers:
            self._runtime.notice(f"part {number} of {target.path}: its images have changed, and are predicted again")
        target.write(number, self._maker.columns, digest, self._rows_of(self._featurizer.fill(block, at)))
        counts = self.tally.counts
        if not block.is_last:
            self._runtime.notice(f"part {number} of {target.path} is complete: {counts.n_images:,} images so far")

    def extend_file(self, blocks: Iterable[ImageBlock], target: TableFile) -> None:
        """Append the rows of images that a table lacks."""
        record = target.record(self._record)
        selection = Selection(self._featurizer, self.tally, record.folder)
        with self._runtime.stage("reading the table"):
            target.read(selection.known, record)
        target.extend(record, self._checked(self._new_rows(blocks, selection)), selection.removal)

    def _new_rows(self, blocks: Iterable[ImageBlock], selection: Selection) -> Iterator[list[Row]]:
        for block in blocks:
            self.tally.begin(block)
            at = selection.choose(block)
            if len(at):
                features = self._featurizer.fill(block, at)
                selection.note(block, features.states)
                yield from self._rows_of(features)
            else:
                selection.note(block, None)
        if selection.n_changed:
            files = "1 file has" if selection.n_changed == 1 else f"{selection.n_changed:,} files have"
            self._runtime.notice(f"{files} changed since the last run; the rows are replaced")

    def _rows_of(self, features: BlockFeatures) -> Iterator[list[Row]]:
        self._classifier.check(features.table)
        with self._runtime.stage("predicting") as advance:
            n = 0
            for rows in self._maker.chunks(features):
                self.tally.add(rows)
                n += len(rows)
                advance(n - 1, len(features.states))  # the caller writes these rows before it requests the next chunk
                yield rows
        if self._discards:
            self._featurizer.discard()

    def _sorted(
        self,
        chunks: Iterable[list[Row]],
        sheet: Gallery | None,
        sorter: Sorter | None,
        n_images: int,
        advance: Callable[[int, int], None],
    ) -> Iterator[list[Row]]:
        n = 0
        for rows in chunks:
            self.tally.add(rows)
            if sheet is not None:
                sheet.add([Tile(*row[:-1]) for row in rows])
            for row in rows:
                if sorter is not None and row.status == "ok":
                    sorter.place(place_of(row.path), row.label)
                    advance(n, n_images)
                n += 1
            advance(n - 1, n_images)
            yield rows

    def _check_strict(self) -> None:
        if self._strict and self.tally.first_skipped:
            raise skipped_error(self.tally.n_new_skipped, self.tally.first_skipped)


def _collected(target: OutputFile | None, columns: Sequence[str], chunks: Iterable[list[Row]]) -> list[Values]:
    """Write the rows to a file; without a file, return the rows."""
    if target is None:
        return [row.values for rows in chunks for row in rows]

    def write(temporary: Path) -> None:
        writer = open_table(temporary, target.suffix, columns)
        try:
            for rows in chunks:
                writer.write([row.values for row in rows])
        finally:
            writer.close()

    target.write(write)
    return []
