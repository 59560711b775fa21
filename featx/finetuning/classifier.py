"""Build the classifier from the better candidate: the frozen backbone or the fine-tuned network."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from featx.classifier import OutOfFold, Rejector, learn_subspace, library_versions, softmax
from featx.duplicates import find_conflicts
from featx.evaluation import ByClass, FinetuneComparison, FinetuneEvaluation
from featx.finetuning.held_out import JudgedHead
from featx.images import probe_files
from featx.model import Classifier
from featx.training import SCRATCH


def make_classifier(
    best: JudgedHead, comparison: FinetuneComparison, notes: tuple[str, ...], seconds: float
) -> Classifier:
    """Return a candidate as a classifier with probabilities calibrated on the validation part.

    Parameters
    ----------
    best : JudgedHead
        The candidate that is kept.
    comparison : FinetuneComparison
        Results of both candidates.
    notes : tuple of str
    seconds : float
        Wall time so far, in seconds.
    """
    table, split = best.table, best.data.split
    learnt = np.concatenate([split.train, split.val])
    known = _held_out(best)
    return Classifier(
        spec=table.spec,
        title=_title(best, comparison),
        classes_=split.classes,
        evaluation=_evaluation(best, comparison, known, learnt, notes, seconds),
        temperature=best.temperature,
        estimator=lambda: best.estimator,
        dense_head=best.dense_head,
        content_hashes=np.unique(table.content_hashes[learnt], axis=0),
        out_of_fold=known,
        rejector=_rejector(best),
        probe_files=probe_files(),
        probes=table.probes,
        versions=library_versions(),
        graph=table.graph,
    )


def _evaluation(
    best: JudgedHead,
    comparison: FinetuneComparison,
    known: OutOfFold,
    learnt: NDArray[np.int64],
    notes: tuple[str, ...],
    seconds: float,
) -> FinetuneEvaluation:
    data, table, split = best.data, best.table, best.data.split
    baseline = split.targets.baseline(split.y[split.test], split.y[learnt])
    return FinetuneEvaluation(
        head=best.head,
        params=best.params,
        classes=split.classes,
        n_images=len(learnt),
        n_groups=len(np.unique(data.groups[learnt])),
        groups={
            **data.grouping.to_dict(),
            "group_by": data.grouping.group_by,
            **find_conflicts(data.table, data.grouping, learnt),
        },
        baseline=baseline.accuracy,
        baseline_class=baseline.name,
        comparison=comparison,
        by_class=ByClass.of(split.targets, known.predicted, known.y),
        notes=notes,
        calibrated_on="val",
        made={
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": table.root or table.name,
            "n_skipped": len(table.extraction.skipped),
            "seed": data.seed,
        },
        seconds=seconds,
    )


def _held_out(best: JudgedHead) -> OutOfFold:
    """Return the predictions for the test part, which reports show like out-of-fold predictions."""
    at, table = best.data.split.test, best.table
    return OutOfFold(
        sample_ids=tuple(table.samples[i].sample_id for i in at),
        y=best.data.split.y[at],
        scores=best.test_scores,
        fold=np.zeros(len(at), np.int64),
        predicted=best.data.split.targets.predicted(best.test_scores),
        content_hashes=table.content_hashes[at],
    )


def _title(best: JudgedHead, comparison: FinetuneComparison) -> str:
    if comparison.frozen is None:
        return f"{SCRATCH} (trained from random weights)"
    title = best.data.table.extraction.backbone
    return title if comparison.kept == "frozen" else f"{title}, {comparison.unfrozen} trained"


def _rejector(best: JudgedHead) -> Rejector:
    """Fit the rejector of images that are not similar to the training images.

    The validation and test images give the reference values.
    """
    X, split = best.table.X, best.data.split
    subspace = learn_subspace(X[split.train], split.y[split.train], len(split.classes), best.data.seed)
    scores = np.concatenate([best.val_scores, best.test_scores])
    novelties = subspace.novelty(X[np.concatenate([split.val, split.test])])
    probabilities = softmax(scores / best.temperature)
    return Rejector(
        subspace, novelties, split.targets.confidence(probabilities, split.targets.predicted(probabilities))
    )
