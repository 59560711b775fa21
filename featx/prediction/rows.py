"""Turn the features of images into the rows of a table of predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from featx.extraction import BlockFeatures
from featx.galleries import Status
from featx.model import Classifier
from featx.prediction.writing import CONTENT_HASH, Row, Values

COLUMNS = ("path", "label", "confidence", "status", "seen", "reason")
"""First columns of every table."""


class RowMaker:
    """Makes the rows of a table of predictions.

    Parameters
    ----------
    classifier : Classifier
    top_k : int
        Number of classes that are listed for each image.
    reject_rate : float or None
    has_hashes : bool
        Whether the table has the column ``content_hash``.

    Attributes
    ----------
    columns : tuple of str
        Columns of the table.
    """

    def __init__(self, classifier: Classifier, top_k: int, reject_rate: float | None, has_hashes: bool) -> None:
        self._classifier = classifier
        self._top_k = top_k
        self._reject_rate = reject_rate
        self._has_hashes = has_hashes
        classes = classifier.classes_
        further = [column for k in range(2, top_k + 1) for column in (f"label_{k}", f"confidence_{k}")]
        hashes = [CONTENT_HASH] if has_hashes else []
        self.columns = (*COLUMNS, *(f"p_{name}" for name in classes), *further, *hashes)
        self._empty = (None,) * (len(classes) + len(further))

    def chunks(self, block: BlockFeatures) -> Iterator[list[Row]]:
        """Yield the rows of a block in chunks, including skipped images, in the order of the images."""
        table, states = block.table, block.states
        skipped = [
            (
                image.position,
                Row(image.path, "", None, "skipped", None, image.reason, self._skipped(block, image.position)),
            )
            for image in table.extraction.skipped
        ]
        skipped.reverse()
        ok = np.flatnonzero(states.are("ok"))
        position = 0
        for start, X in table.chunks():
            rows: list[Row] = []
            for row in self._rows(block, start, X, ok):
                while skipped and skipped[-1][0] == position:
                    rows.append(skipped.pop()[1])
                    position += 1
                rows.append(row)
                position += 1
            yield rows
        if skipped:
            yield [row for _, row in reversed(skipped)]

    def _skipped(self, block: BlockFeatures, position: int) -> Values:
        if not self._has_hashes:
            return self._empty
        content = block.states.content_hashes[position]
        return (*self._empty, content.tobytes().hex() if content.any() else "")

    def _rows(self, block: BlockFeatures, start: int, X: Any, ok: Any) -> Iterator[Row]:
        classifier, table = self._classifier, block.table
        chosen = slice(start, start + len(X))
        probabilities = classifier.probabilities(X)
        order = classifier.targets.ranked(probabilities, self._top_k)
        seen = classifier.seen(table.content_hashes[chosen]).tolist()
        rejected = [False] * len(X)
        if self._reject_rate is not None:
            rejected = classifier.rejected(X, probabilities, self._reject_rate).tolist()
        hashes: Sequence[Values] = [()] * len(X)
        if self._has_hashes:
            hashes = [(content.tobytes().hex(),) for content in block.states.content_hashes[ok[chosen]]]
        samples = table.samples[chosen]
        columns = zip(samples, probabilities.tolist(), order.tolist(), seen, rejected, hashes, strict=True)
        for sample, p, best, known, out, content in columns:
            further = [value for k in best[1:] for value in (classifier.classes_[k], p[k])]
            status: Status = "rejected" if out else "ok"
            label = "" if out else classifier.classes_[best[0]]
            reason = (
                f"not similar to the training images; the most probable class is {classifier.classes_[best[0]]}"
                if out
                else ""
            )
            yield Row(sample.sample_id, label, p[best[0]], status, known, reason, (*p, *further, *content))
