"""Evaluate a classifier on labelled images that were not used for fitting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.dataset import scan
from featx.duplicates import feature_measure, find_near_duplicates, group_samples
from featx.errors import EvaluationError
from featx.evaluation import Contradiction, Evaluation
from featx.evaluation.procedures import judge_part, measure_new_images
from featx.group_hints import read_groups
from featx.model import Classifier
from featx.options import DatasetOptions
from featx.runtime import Runtime
from featx.source import Place
from featx.store import FeatureStore, keys_of
from featx.table import CHUNK, FeatureTable, coarse


def new_images_summary(
    classifier: Classifier,
    data: str | Place,
    options: DatasetOptions,
    group_by: str | None,
    weights: str | Path | None,
    runtime: Runtime,
) -> tuple[dict[str, Any], Contradiction | None]:
    """Evaluate a classifier on labelled images.

    Parameters
    ----------
    classifier : Classifier
        Classifier that can read images, as returned by :func:`featx.load`.
    data : path
        Folder or manifest of labelled images; the labels must be classes of the model.
    options : DatasetOptions
        Options that define how the folder or manifest is read.
    group_by : str, optional
        As for :func:`featx.fit`.
    weights : path, optional
        As for :func:`featx.predict`.
    runtime : Runtime
        Cache folder, number of workers and callbacks.

    Returns
    -------
    dict
        Value of ``on`` in ``featx report --json``.
    Contradiction or None
        Contradiction between the cross-validated accuracy and the accuracy on the new images.

    Raises
    ------
    DatasetError
        If ``group_by`` is invalid, or gives no image a group.
    EvaluationError
        If the images have no labels, a label is not a class of the model, or no image can be used.
    """
    dataset = scan(data, **vars(options))
    labelled = {image.address: image.sample for image in dataset.images if image.sample.label is not None}
    labels = {path: str(sample.label) for path, sample in labelled.items()}
    if not labels:
        raise EvaluationError(
            f"`on={data}`: the images have no labels; put the images into class folders, or give a manifest with labels"
        )
    targets = classifier.targets
    unknown = sorted(set(labels.values()) - set(targets.classes))
    if unknown:
        known = ", ".join(targets.classes)
        raise EvaluationError(f"`on={data}`: the model has no class {', '.join(unknown)}; its classes are {known}")
    table = classifier.features_of(list(labels), weights=weights, runtime=runtime)
    classifier.check(table)
    y = targets.encode(labels[sample.sample_id] for sample in table.samples)
    if not len(y):
        raise EvaluationError(f"`on={data}`: no image can be used; featx inspect lists the reasons")
    scores = np.concatenate([classifier.scores(X) for _, X in table.chunks()])
    samples = [
        replace(labelled[sample.sample_id], others=labelled[sample.sample_id].others + sample.others)
        for sample in table.samples
    ]
    named = [sample.group for sample in samples] if group_by is None else read_groups(samples, group_by)
    group_versions = classifier.evaluation.groups.get("group_versions", True)
    with runtime.stage("finding near-duplicates") as advance:
        grouping = group_samples(table, named, progress=advance, group_versions=group_versions)
    seen = classifier.seen(table.content_hashes)
    near, note = _near_training(classifier, table, runtime)
    predicted, is_new = targets.predicted(scores), ~seen & ~near
    scored = measure_new_images(targets, y, predicted, seen, near, grouping.numbers)
    summary = {
        "data": str(data),
        **scored.to_dict(),
        "n_groups": len(np.unique(grouping.numbers[is_new])),
        "mistakes": _mistakes(classifier, table, y, predicted, is_new),
        "notes": [*dataset.remarks, *grouping.notes(), *([note] if note else [])],
        "skipped": [{"path": image.path, "reason": image.reason} for image in table.extraction.skipped],
    }
    evaluation = classifier.evaluation
    if not isinstance(evaluation, Evaluation) or evaluation.accuracy is None or scored.accuracy is None:
        return summary, None
    return summary, judge_part("on", evaluation.accuracy, scored.accuracy, str(data))


def _mistakes(
    classifier: Classifier,
    table: FeatureTable,
    y: NDArray[np.int64],
    predicted: NDArray[np.int64],
    is_new: NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Return the new images with wrong predictions, the most confident prediction first."""
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
        {"path": table.samples[i].sample_id, "label": label, "predicted": prediction, "confidence": round(p, 4)}
        for i, label, prediction, p in columns
    ]


def _near_training(
    classifier: Classifier, table: FeatureTable, runtime: Runtime
) -> tuple[NDArray[np.bool_], str | None]:
    """Return whether each image is a near-duplicate of a training image, and a note if the search is incomplete.

    Training images whose features are not in the cache are not compared.
    """
    stored = FeatureStore(runtime.cache, classifier.spec.unbundled).snapshot()
    keys = keys_of(classifier.content_hashes)
    here = stored.contains(keys)
    near = np.zeros(len(table), np.bool_)
    n_train = int(here.sum())
    if n_train:
        known, blocks = keys[here], range(0, n_train, CHUNK)
        shown = [coarse(stored.rows(known[start : start + CHUNK]).signatures) for start in blocks]
        signatures = np.concatenate([*shown, table.read_coarse_signatures()])
        read_new = table.opened(0)

        def read(at: NDArray[np.int64]) -> NDArray[np.float32]:
            of_training = stored.rows(known[at[at < n_train]]).features
            return np.concatenate([of_training, read_new(at[at >= n_train] - n_train)])

        agree = feature_measure(len(signatures), read)
        is_new = (np.arange(len(signatures)) >= n_train).astype(np.int64)
        with runtime.stage("comparing with the training images") as advance:
            pairs = find_near_duplicates(signatures, agree, advance, marks=[is_new]).pairs
        near[[other - n_train for one, other in pairs if one < n_train <= other]] = True
    n_missing = len(keys) - n_train
    if n_missing:
        return near, f"{n_missing:,} training images are not in the cache: their near-duplicates were not searched for"
    return near, None
