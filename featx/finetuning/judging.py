"""Frozen against fine-tuned on the same held-out pictures, and the classifier of the better one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifier import Folded, OutOfFold, Rejector, learn_subspace, library_versions, softmax
from featx.duplicates import find_conflicts
from featx.evaluation import ByClass, Contest, FinetuneEvaluation, Interval, Kept
from featx.evaluation.procedures import (
    HeldOutParts,
    difference_of_shares,
    find_temperature,
    share_of,
)
from featx.images import probe_files
from featx.model import Classifier
from featx.table import FeatureTable
from featx.training import SCRATCH, History, Material


@dataclass(frozen=True)
class Candidate:
    """One of the two.

    Parameters
    ----------
    table : FeatureTable
        Its features of the data set.
    estimator : fitted scikit-learn classifier
    folded : Folded or None
        The same as matrices.
    scores : ndarray of shape (n_samples, n_classes), float64
        Of all samples of the table.
    params : dict
        For people: what its head is.
    head : str
    """

    table: FeatureTable
    estimator: Any
    folded: Folded | None
    scores: NDArray[np.float64]
    head: str
    params: dict[str, Any]

    def hits(self, parts: HeldOutParts, at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which pictures at some positions it is right on; shape (n,)."""
        return parts.targets.hits(parts.targets.answers(self.scores[at]), parts.y[at])

    def temperature(self, parts: HeldOutParts) -> float:
        """Return what its scores are divided by, found on the validation part."""
        return find_temperature(self.scores[parts.val], parts.y[parts.val])

    def accuracy(self, parts: HeldOutParts, at: NDArray[np.int64]) -> float:
        """Return the share of these pictures."""
        return float(self.hits(parts, at).mean())


def judge(
    frozen: Candidate | None,
    finetuned: Candidate,
    parts: HeldOutParts,
    groups: NDArray[np.int64],
    unfrozen: str,
    history: History,
) -> Contest:
    """Compare both on the held-out part; the fine-tuned one is kept only if it is right more often."""
    of_test = groups[parts.test]
    hits = finetuned.hits(parts, parts.test)
    tuned_accuracy = share_of(hits, of_test)
    difference: Interval | None = None
    frozen_accuracy: Interval | None = None
    if frozen is not None:
        others = frozen.hits(parts, parts.test)
        frozen_accuracy = share_of(others, of_test)
        difference = difference_of_shares(hits, others, of_test)
    kept: Kept = "finetuned" if difference is None or difference.mean > 0 else "frozen"
    return Contest(
        kept=kept,
        frozen=frozen_accuracy,
        finetuned=tuned_accuracy,
        difference=difference,
        n=len(parts.test),
        is_own_test=parts.is_own_test,
        unfrozen=unfrozen,
        history=history.to_dict(),
    )


def make_classifier(
    candidate: Candidate, material: Material, contest: Contest, notes: tuple[str, ...], seconds: float
) -> Classifier:
    """Return a candidate as a classifier; its probabilities are calibrated on the validation part."""
    table, parts, groups = candidate.table, material.parts, material.groups
    y = parts.y
    temperature = candidate.temperature(parts)
    learnt = np.concatenate([parts.train, parts.val])
    known = _held_out(candidate, parts)
    baseline = parts.targets.baseline(y[parts.test], y[learnt])
    evaluation = FinetuneEvaluation(
        head=candidate.head,
        params=candidate.params,
        classes=parts.classes,
        n_images=len(learnt),
        n_groups=len(np.unique(groups[learnt])),
        groups={
            **material.grouping.to_dict(),
            "group_by": material.group_by,
            **find_conflicts(material.table, material.grouping, learnt),
        },
        baseline=baseline.accuracy,
        baseline_class=baseline.name,
        contest=contest,
        by_class=ByClass.of(parts.targets, known.predicted, known.y),
        notes=notes,
        calibrated_on="val",
        made={
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": table.root or table.name,
            "n_skipped": len(table.extraction.skipped),
            "seed": material.seed,
        },
        seconds=seconds,
    )
    return Classifier(
        spec=table.spec,
        title=_title(material, contest),
        classes_=parts.classes,
        evaluation=evaluation,
        temperature=temperature,
        estimator=lambda: candidate.estimator,
        folded=candidate.folded,
        content_hashes=np.unique(table.content_hashes[learnt], axis=0),
        out_of_fold=known,
        rejector=_rejector(candidate, parts, temperature, material.seed),
        probe_files=probe_files(),
        probes=table.probes,
        versions=library_versions(),
        graph=table.graph,
    )


def _held_out(candidate: Candidate, parts: HeldOutParts) -> OutOfFold:
    """Return what it says of the held-out part, which reports show as they show out-of-fold predictions."""
    at, table = parts.test, candidate.table
    scores = candidate.scores[at]
    return OutOfFold(
        sample_ids=tuple(table.samples[i].sample_id for i in at),
        y=parts.y[at],
        scores=scores,
        fold=np.zeros(len(at), np.int64),
        predicted=parts.targets.answers(scores),
        content_hashes=table.content_hashes[at],
    )


def _title(material: Material, contest: Contest) -> str:
    if contest.frozen is None:
        return f"{SCRATCH} (trained from random weights)"
    title = material.table.extraction.backbone
    return title if contest.kept == "frozen" else f"{title}, {contest.unfrozen} trained"


def _rejector(candidate: Candidate, parts: HeldOutParts, temperature: float, seed: int) -> Rejector:
    """Learn what is unlike the training pictures; those that were not trained on show how novel genuine ones are."""
    X = candidate.table.X
    subspace = learn_subspace(X[parts.train], parts.y[parts.train], len(parts.classes), seed)
    unseen = np.concatenate([parts.val, parts.test])
    probabilities = softmax(candidate.scores[unseen] / temperature)
    confidences = parts.targets.confidence(probabilities, parts.targets.answers(probabilities))
    return Rejector(subspace, subspace.novelty(X[unseen]), confidences)
