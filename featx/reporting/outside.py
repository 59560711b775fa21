"""A classifier on labelled pictures that it was not fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from featx.classifier import Classifier
from featx.dataset import scan
from featx.duplicates import group_samples
from featx.errors import EvaluationError
from featx.evaluate import measure_outside
from featx.runtime import Runtime


def outside_summary(classifier: Classifier, data: Path, label_by: str | None, runtime: Runtime) -> dict[str, Any]:
    """Return the value of ``on`` in ``featx report --json``.

    Parameters
    ----------
    classifier : Classifier
        One that can read pictures: :func:`featx.load` gives it.
    data : path
        Folder or manifest with the classes of the model.
    label_by : {"parent", "top"}, optional
        As for :func:`featx.extract`.
    runtime : Runtime

    Raises
    ------
    EvaluationError
        No labels, or one that the model does not know.
    """
    dataset = scan(data, label_by=label_by)
    labels = {found.path.as_posix(): found.sample.label for found in dataset.pictures if found.sample.label is not None}
    if not labels:
        raise EvaluationError(
            f"--on {data}: the pictures have no labels, so nothing says how good the model is on them"
        )
    unknown = sorted(set(labels.values()) - set(classifier.classes_))
    if unknown:
        known = ", ".join(classifier.classes_)
        raise EvaluationError(f"--on {data}: the model does not know {', '.join(unknown)}; it knows {known}")
    table = classifier.features_of([Path(path) for path in labels], runtime=runtime)
    classifier.check(table)
    numbers = {name: number for number, name in enumerate(classifier.classes_)}
    y = np.array([numbers[labels[sample.sample_id]] for sample in table.samples], np.int64)
    if not len(y):
        raise EvaluationError(f"--on {data}: none of its pictures can be used")
    scores = np.concatenate([classifier.scores(X) for _, X in table.chunks()])
    groups = group_samples(table).numbers
    found = measure_outside(
        y, scores.argmax(axis=1), classifier.seen(table.content_hashes), groups, classifier.classes_
    )
    skipped = [{"path": one.path, "reason": one.reason} for one in table.extraction.skipped]
    return {"data": str(data), **found.to_dict(), "n_groups": len(np.unique(groups)), "skipped": skipped}
