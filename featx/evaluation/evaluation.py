"""All that is known of the accuracy of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from featx.evaluation.contest import Contest
from featx.evaluation.findings import LearningCurve, Reliability, SourceAccuracy, ViewsWorth
from featx.evaluation.scores import CrossValidation, HeldOut, Interval, judge_baseline


@dataclass(frozen=True)
class Evaluation:
    """What is known of a classifier's accuracy.

    Parameters
    ----------
    head : str
    params : dict
        Chosen on all training pictures.
    classes : tuple of str
    n_images : int
        Training pictures.
    n_groups : int
        Groups of them that folds keep together.
    groups : dict
        What makes the groups: numbers of copies, near-copies, takes and their frames, named groups; ``group_by`` that
        named them, and the first and the last name as ``examples``.
    cv : CrossValidation or None
        None where no honest number exists.
    cv_reason : str
        Why there is none.
    naive_accuracy : Interval or None
        What the same cross-validation gives without groups, as is commonly reported.
    sources : tuple of SourceAccuracy
        What it gives grouped by what may be the images' sources.
    reliability : Reliability or None
    learning : LearningCurve or None
        Both None where there was no cross-validation.
    baseline : float
        Accuracy of always naming the largest class, on the images that the accuracy counts.
    baseline_class : str
    val, test : HeldOut or None
    notes : tuple of str
        What a reader must know: pictures not grouped, classes not tested, fits that did not converge.
    calibrated_on : {"out of fold", "val", "nothing"}
        Which pictures the temperature of the probabilities was found on.
    fits : dict
        Fits, and those that did not converge, by what they were for.
    made : dict
        How it was made: date (UTC), data, pictures skipped, seed, folds and repeats asked for, class weights.
    seconds : float
        Wall time of tuning, cross-validation and fitting.
    finetuning : Contest, optional
        Frozen against fine-tuned, where the classifier comes from fine-tuning.
    views : ViewsWorth or None
        None where no augmented views were learnt from.
    """

    head: str
    params: dict[str, Any]
    classes: tuple[str, ...]
    n_images: int
    n_groups: int
    groups: dict[str, Any]
    cv: CrossValidation | None
    cv_reason: str
    naive_accuracy: Interval | None
    sources: tuple[SourceAccuracy, ...]
    reliability: Reliability | None
    learning: LearningCurve | None
    baseline: float
    baseline_class: str
    val: HeldOut | None
    test: HeldOut | None
    notes: tuple[str, ...]
    calibrated_on: str
    fits: dict[str, dict[str, int]]
    made: dict[str, Any]
    seconds: float
    finetuning: Contest | None = None
    views: ViewsWorth | None = None

    @property
    def verdict(self) -> str:
        """A sentence where the accuracy is not surely above the baseline; empty where it is, or where there is none."""
        if self.finetuning is not None:
            return judge_baseline(self.finetuning.accuracy, self.baseline, self.baseline_class)
        return "" if self.cv is None else judge_baseline(self.cv.accuracy, self.baseline, self.baseline_class)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx fit --json``, but for ``model``."""
        naive = self.naive_accuracy
        return {
            "head": self.head,
            "params": self.params,
            "classes": list(self.classes),
            "n_images": self.n_images,
            "n_groups": self.n_groups,
            "groups": dict(self.groups),
            "cv": None if self.cv is None else self.cv.to_dict(),
            "cv_reason": self.cv_reason,
            "naive_cv": None if naive is None else {"accuracy": naive.to_dict()},
            "sources": [source.to_dict() for source in self.sources],
            "reliability": None if self.reliability is None else self.reliability.to_dict(),
            "learning_curve": None if self.learning is None else self.learning.to_dict(),
            "baseline": {"accuracy": self.baseline, "class": self.baseline_class},
            "verdict": self.verdict,
            "val": None if self.val is None else self.val.to_dict(),
            "test": None if self.test is None else self.test.to_dict(),
            "views": None if self.views is None else self.views.to_dict(),
            "notes": list(self.notes),
            "calibrated_on": self.calibrated_on,
            "made": dict(self.made),
            "fits": {stage: dict(counts) for stage, counts in self.fits.items()},
            "seconds": round(self.seconds, 3),
            "finetuning": None if self.finetuning is None else self.finetuning.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Evaluation:
        """Read what :meth:`to_dict` gave."""
        cv, naive = values["cv"], values["naive_cv"]
        return cls(
            str(values["head"]),
            dict(values["params"]),
            tuple(str(name) for name in values["classes"]),
            int(values["n_images"]),
            int(values["n_groups"]),
            dict(values["groups"]),
            None if cv is None else CrossValidation.from_dict(cv),
            str(values["cv_reason"]),
            None if naive is None else Interval.from_dict(naive["accuracy"]),
            tuple(SourceAccuracy.from_dict(source) for source in values["sources"]),
            None if values["reliability"] is None else Reliability.from_dict(values["reliability"]),
            None if values["learning_curve"] is None else LearningCurve.from_dict(values["learning_curve"]),
            float(values["baseline"]["accuracy"]),
            str(values["baseline"]["class"]),
            HeldOut.from_dict(values["val"]),
            HeldOut.from_dict(values["test"]),
            tuple(str(note) for note in values["notes"]),
            str(values.get("calibrated_on", "out of fold" if cv is not None else "nothing")),
            {str(stage): dict(counts) for stage, counts in values.get("fits", {}).items()},
            dict(values.get("made", {})),
            float(values["seconds"]),
            None if values.get("finetuning") is None else Contest.from_dict(values["finetuning"]),
            ViewsWorth.from_dict(values.get("views")),
        )

    def __str__(self) -> str:
        if self.finetuning is not None:
            held_out = self.finetuning.accuracy
            said = (
                f"accuracy {held_out.mean:.3f} ({held_out.low:.3f} to {held_out.high:.3f}) on "
                f"{self.finetuning.n:,} held-out pictures, {self.finetuning.kept}"
            )
            return f"{said}; {self.verdict}" if self.verdict else said
        if self.cv is None:
            return f"no cross-validated accuracy: {self.cv_reason}"
        a = self.cv.accuracy
        said = (
            f"accuracy {a.mean:.3f} ({a.low:.3f} to {a.high:.3f}), "
            f'always "{self.baseline_class}": {self.baseline:.3f}, '
            f"{self.cv.n_folds} folds of {self.n_images:,} pictures in {self.n_groups:,} groups"
        )
        return f"{said}; {self.verdict}" if self.verdict else said
