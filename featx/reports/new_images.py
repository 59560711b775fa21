"""A classifier on labelled images that it was not fitted on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.dataset import scan
from featx.duplicates import MOST_COMPARED, feature_measure, find_near_duplicates, group_samples
from featx.errors import EvaluationError
from featx.evaluation.procedures import measure_outside
from featx.group_hints import read_groups
from featx.model import Classifier
from featx.options import DatasetOptions
from featx.runtime import Runtime
from featx.store import FeatureStore, keys_of
from featx.table import FeatureTable


def outside_summary(
    classifier: Classifier,
    data: Path,
    options: DatasetOptions,
    group_by: str | None,
    weights: str | Path | None,
    runtime: Runtime,
) -> dict[str, Any]:
    """Return the value of ``on`` in ``featx report --json``.

    Parameters
    ----------
    classifier : Classifier
        One that can read images: :func:`featx.load` gives it.
    data : path
        Folder or manifest with the classes of the model.
    options : DatasetOptions
    group_by : str, optional
        As for :func:`featx.fit`.
    weights : path, optional
        As for :func:`featx.predict`.
    runtime : Runtime

    Raises
    ------
    DatasetError
        ``group_by`` matches no image.
    EvaluationError
        No labels, or one that the model does not know.
    """
    dataset = scan(data, **vars(options))
    labelled = {found.address: found.sample for found in dataset.images if found.sample.label is not None}
    labels = {path: str(sample.label) for path, sample in labelled.items()}
    if not labels:
        raise EvaluationError(f"`on={data}`: the images have no labels, so nothing says how good the model is on them")
    targets = classifier.targets
    unknown = sorted(set(labels.values()) - set(targets.classes))
    if unknown:
        known = ", ".join(targets.classes)
        raise EvaluationError(f"`on={data}`: the model does not know {', '.join(unknown)}; it knows {known}")
    table = classifier.features_of([Path(path) for path in labels], weights=weights, runtime=runtime)
    classifier.check(table)
    y = targets.encode(labels[sample.sample_id] for sample in table.samples)
    if not len(y):
        raise EvaluationError(f"`on={data}`: none of its images can be used")
    scores = np.concatenate([classifier.scores(X) for _, X in table.chunks()])
    samples = [
        replace(labelled[one.sample_id], others=labelled[one.sample_id].others + one.others) for one in table.samples
    ]
    named = [sample.group for sample in samples] if group_by is None else read_groups(samples, group_by)
    with runtime.stage("finding near-duplicates") as advance:
        grouping = group_samples(table, named, progress=advance)
    seen = classifier.seen(table.content_hashes)
    near, note = _near_training(classifier, table, runtime)
    predicted, is_new = targets.answers(scores), ~seen & ~near
    found = measure_outside(targets, y, predicted, seen, near, grouping.numbers)
    return {
        "data": str(data),
        **found.to_dict(),
        "n_groups": len(np.unique(grouping.numbers[is_new])),
        "mistakes": _mistakes(classifier, table, y, predicted, is_new),
        "notes": [*dataset.remarks, *grouping.notes(), *([note] if note else [])],
        "skipped": [{"path": one.path, "reason": one.reason} for one in table.extraction.skipped],
    }


def _mistakes(
    classifier: Classifier,
    table: FeatureTable,
    y: NDArray[np.int64],
    predicted: NDArray[np.int64],
    is_new: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Return the new images that are taken for another class, the most confident mistake first."""
    targets = classifier.targets
    at = np.flatnonzero(is_new & ~targets.hits(predicted, y))
    confidence = np.empty(len(y))
    for start, X in table.chunks():
        some = slice(start, start + len(X))
        confidence[some] = targets.confidence(classifier.probabilities(X), predicted[some])
    at = at[np.argsort(-confidence[at], kind="stable")]
    columns = zip(
        at.tolist(), targets.decode(y[at]), targets.decode(predicted[at]), confidence[at].tolist(), strict=True
    )
    return [
        {"path": table.samples[i].sample_id, "label": label, "predicted": answer, "confidence": round(p, 4)}
        for i, label, answer, p in columns
    ]


def _near_training(
    classifier: Classifier, table: FeatureTable, runtime: Runtime
) -> tuple[NDArray[np.bool_], str | None]:
    """Tell which images are near-copies of training images, as far as the cache has these; and what it lacks."""
    stored = FeatureStore(runtime.cache, classifier.spec.unbundled).snapshot()
    keys = keys_of(classifier.content_hashes)
    here = stored.contains(keys)
    near = np.zeros(len(table), np.bool_)
    n_train = int(here.sum())
    if n_train + len(table) > MOST_COMPARED:
        return near, "too many images: near-copies of training images were not looked for"
    if n_train:
        rows = stored.rows(keys[here])
        signatures = np.concatenate([rows.signatures, table.read_signatures(np.arange(len(table)))])
        agree = feature_measure(np.concatenate([rows.features, table.X]))
        is_new = (np.arange(len(signatures)) >= n_train).astype(np.int64)
        with runtime.stage("comparing with the training images") as advance:
            pairs = find_near_duplicates(signatures, agree, advance, marks=[is_new])
        near[[other - n_train for one, other in pairs if one < n_train <= other]] = True
    lacking = len(keys) - n_train
    if lacking:
        return near, f"{lacking:,} training images are not in the cache: their near-copies were not looked for"
    return near, None
