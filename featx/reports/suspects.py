"""List images with doubtful labels according to the out-of-fold probabilities, as rows and as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from featx.classifier import rank_suspects
from featx.model import Classifier
from featx.output import OutputFile, csv_path, escape_formula

_COLUMNS = ("path", "label", "suggested", "p_label", "p_suggested")


def list_suspects(classifier: Classifier) -> list[dict[str, Any]]:
    """Return the images for which another class is more probable than the label, the most doubtful first."""
    probabilities, known = classifier.out_of_fold_probabilities(), classifier.out_of_fold
    if probabilities is None or known is None:
        return []
    targets = classifier.targets
    doubted = rank_suspects(probabilities, known.y)
    p, y = probabilities[doubted], known.y[doubted]
    suggested = targets.predicted(p)
    values = zip(
        [known.sample_ids[i] for i in doubted.tolist()],
        targets.decode(y),
        targets.decode(suggested),
        targets.confidence(p, y).tolist(),
        targets.confidence(p, suggested).tolist(),
        strict=True,
    )
    return [dict(zip(_COLUMNS, row, strict=True)) for row in values]


def write_suspects(output: OutputFile, rows: Sequence[dict[str, Any]]) -> None:
    """Write images with doubtful labels as a CSV file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(_COLUMNS)
            for row in rows:
                first, label, suggested, *numbers = row.values()
                writer.writerow(
                    [csv_path(first), escape_formula(label), escape_formula(suggested), *(f"{p:.4f}" for p in numbers)]
                )

    output.write(write)
