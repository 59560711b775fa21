"""The report of a classifier: one plain summary for terminal, JSON and pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.classifier import Classifier
from featx.reporting.terminal import full_lines


@dataclass(frozen=True)
class Report:
    """What is known of a classifier.

    Parameters
    ----------
    summary : dict
        Plain values.
    """

    summary: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx report --json``."""
        return self.summary

    def __str__(self) -> str:
        return "\n".join(full_lines(self.summary))


def report(model: Classifier | str | Path) -> Report:
    """Return the report of a classifier.

    Parameters
    ----------
    model : Classifier or path

    Raises
    ------
    ClassifierError
        No usable model file.
    """
    classifier = model if isinstance(model, Classifier) else Classifier.load(model)
    name = None if isinstance(model, Classifier) else str(model)
    spec = classifier.spec
    return Report(
        {
            "model": name,
            **classifier.evaluation.to_dict(),
            "features": {
                "backbone": classifier.title,
                "feature_dim": int(classifier.probes.shape[1]),
                "layer": spec.layer,
                "pooling": spec.pooling,
                "size": spec.size,
                "resize": spec.resize,
                "engine": spec.engine,
                "precision": spec.precision,
                "weights": spec.weights,
            },
            "versions": dict(classifier.versions),
        }
    )
