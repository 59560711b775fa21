"""All that is known of the accuracy of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from featx.evaluation.records.contest import Contest
from featx.evaluation.records.fields import Fields
from featx.evaluation.records.findings import LearningCurve, Reliability, SourceAccuracy, ViewsWorth
from featx.evaluation.records.scores import CrossValidation, HeldOut, Interval, judge_baseline


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
        What makes the groups: numbers of copies, near-copies, takes and their frames, augmented versions and their
        originals, named groups; ``group_by`` that named them, and the first and the last name as ``examples``.
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
    def from_dict(cls, values: Any) -> Evaluation:
        """Read what :meth:`to_dict` gave; whatever is accepted can be shown.

        Raises
        ------
        ClassifierError
            A value is missing or wrong, or contradicts another one; the message names it.
        """
        fields = Fields(values, "evaluation")
        classes = fields.texts("classes")
        baseline = fields.part("baseline")
        read = cls(
            fields.text("head"),
            fields.plain("params"),
            classes,
            fields.count("n_images", 1),
            fields.count("n_groups", 1),
            _groups(fields.part("groups")),
            CrossValidation.from_fields(fields.part("cv"), classes) if "cv" in fields else None,
            fields.text("cv_reason"),
            Interval.from_fields(fields.part("naive_cv").part("accuracy")) if "naive_cv" in fields else None,
            tuple(SourceAccuracy.from_fields(source) for source in fields.parts("sources")),
            Reliability.from_fields(fields.part("reliability")) if "reliability" in fields else None,
            LearningCurve.from_fields(fields.part("learning_curve")) if "learning_curve" in fields else None,
            baseline.share("accuracy"),
            baseline.one_of("class", classes),
            HeldOut.from_fields(fields.part("val"), classes) if "val" in fields else None,
            HeldOut.from_fields(fields.part("test"), classes) if "test" in fields else None,
            fields.texts("notes"),
            _calibrated_on(fields),
            {stage: _fits(fields.part("fits").part(stage)) for stage in _stages(fields)},
            _made(fields.part("made")) if "made" in fields else {},
            fields.number("seconds", 0),
            Contest.from_fields(fields.part("finetuning")) if "finetuning" in fields else None,
            ViewsWorth.from_fields(fields.part("views")) if "views" in fields else None,
        )
        if read.n_groups > read.n_images:
            raise fields.contradicts(f"{read.n_images:,} pictures are in {read.n_groups:,} groups")
        n_tested = 0 if read.cv is None else sum(map(sum, read.cv.confusion))
        if n_tested > read.n_images:
            raise fields.contradicts(f"{n_tested:,} of {read.n_images:,} pictures were tested")
        return read

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


_GROUPS = (
    *("n_groups", "n_copies", "n_near_copies", "n_takes", "n_frames", "n_versions", "n_originals", "n_named"),
    "n_conflicts",
)
_CALIBRATED_ON = ("out of fold", "val", "nothing")


def _groups(fields: Fields) -> dict[str, Any]:
    for name in _GROUPS:
        if name in fields:
            fields.count(name)
    for name in ("too_alike", "examples"):
        if name in fields:
            fields.texts(name)
    if "group_by" in fields:
        fields.text("group_by")
    pairs = [Fields({"conflicts": pair}, fields.place).texts("conflicts") for pair in fields.entries("conflicts")]
    if any(len(pair) != 2 for pair in pairs):
        raise fields.contradicts("a conflict is not between two pictures")
    kept = {
        name: value for name, value in fields.values.items() if name in (*_GROUPS, "too_alike", "examples", "group_by")
    }
    return {**kept, "conflicts": [list(pair) for pair in pairs]}


def _calibrated_on(fields: Fields) -> str:
    if "calibrated_on" in fields:
        return fields.one_of("calibrated_on", _CALIBRATED_ON)
    return "out of fold" if "cv" in fields else "nothing"


def _stages(fields: Fields) -> list[str]:
    return list(fields.part("fits").values) if "fits" in fields else []


def _fits(fields: Fields) -> dict[str, int]:
    return {name: fields.count(name) for name in ("n", "n_not_converged")}


def _made(fields: Fields) -> dict[str, Any]:
    if fields.values:
        fields.text("date")
        fields.text("data")
        fields.count("n_skipped")
    return Fields({"made": fields.values}, "evaluation").plain("made")
