"""All that is known of the accuracy of a classifier: by cross-validation, or of a fine-tuned one by a held-out part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from featx.evaluation.records.contest import Contest
from featx.evaluation.records.fields import Fields
from featx.evaluation.records.findings import GroupHintAccuracy, LearningCurve, Reliability, ViewsGain
from featx.evaluation.records.scores import ByClass, CrossValidation, HeldOut, Interval, judge_baseline

CalibratedOn = Literal["out of fold", "val", "nothing"]
"""Which images the temperature of the probabilities was found on."""


@dataclass(frozen=True, kw_only=True)
class ModelEvaluation(ABC):
    """What is known of any classifier's accuracy, however it was measured.

    Parameters
    ----------
    head : str
    params : dict
        Chosen on all training images.
    classes : tuple of str
    n_images : int
        Training images.
    n_groups : int
        Groups of them that splits keep together.
    groups : dict
        What makes the groups: numbers of duplicates, near-duplicates, recordings and their frames, views and their
        originals, named groups; ``group_by`` that named them, and the first and the last name as ``examples``.
    baseline : float
        Accuracy of always naming the largest class, on the images that the accuracy counts.
    baseline_class : str
    notes : tuple of str
        What a reader must know: images not grouped, classes not tested, fits that did not converge.
    calibrated_on : {"out of fold", "val", "nothing"}
        Which images the temperature of the probabilities was found on.
    made : dict
        How it was made: date (UTC), data, images skipped, seed, folds and repeats asked for, class weights.
    seconds : float
        Wall time of tuning, training and evaluation.
    """

    head: str
    params: dict[str, Any]
    classes: tuple[str, ...]
    n_images: int
    n_groups: int
    groups: dict[str, Any]
    baseline: float
    baseline_class: str
    notes: tuple[str, ...]
    calibrated_on: CalibratedOn
    made: dict[str, Any]
    seconds: float

    @property
    @abstractmethod
    def accuracy(self) -> Interval | None:
        """The accuracy to expect on new images; None where there is none."""

    @property
    @abstractmethod
    def judged(self) -> CrossValidation | HeldOut | None:
        """What has the figures of each class: of the images that the heads judged had not seen."""

    @property
    def verdict(self) -> str:
        """A sentence where the accuracy is not surely above the baseline; empty where it is, or where there is none."""
        accuracy = self.accuracy
        return "" if accuracy is None else judge_baseline(accuracy, self.baseline, self.baseline_class)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx fit --json``, but for ``model``; what this kind has not is empty."""
        every = {
            "head": self.head,
            "params": self.params,
            "classes": list(self.classes),
            "n_images": self.n_images,
            "n_groups": self.n_groups,
            "groups": dict(self.groups),
            "cv": None,
            "cv_reason": "",
            "ungrouped_cv": None,
            "group_hints": [],
            "reliability": None,
            "learning_curve": None,
            "baseline": {"accuracy": self.baseline, "class": self.baseline_class},
            "verdict": self.verdict,
            "val": None,
            "test": None,
            "views": None,
            "notes": list(self.notes),
            "calibrated_on": self.calibrated_on,
            "made": dict(self.made),
            "fits": {},
            "seconds": round(self.seconds, 3),
            "finetuning": None,
        }
        return every | self._own()

    @abstractmethod
    def _own(self) -> dict[str, Any]:
        """Return the values that only this kind has."""

    def _said(self, text: str) -> str:
        return f"{text}; {self.verdict}" if self.verdict else text


@dataclass(frozen=True, kw_only=True)
class Evaluation(ModelEvaluation):
    """What is known of the accuracy of a head on frozen features, mostly by cross-validation.

    Parameters
    ----------
    cv : CrossValidation or None
        None where the groups allow none.
    cv_reason : str
        Why there is none.
    ungrouped_accuracy : Interval or None
        What the same cross-validation gives without groups, as is commonly reported.
    group_hints : tuple of GroupHintAccuracy
        What it gives grouped by what may be the images' sources.
    reliability : Reliability or None
    learning : LearningCurve or None
        Both None where there was no cross-validation.
    val, test : HeldOut or None
    fits : dict
        Fits, and those that did not converge, by what they were for.
    views : ViewsGain or None
        None where no augmented views were learnt from.
    head, params, classes, n_images, n_groups, groups, baseline, baseline_class, notes, calibrated_on, made, seconds
        See :class:`ModelEvaluation`.
    """

    cv: CrossValidation | None
    cv_reason: str
    ungrouped_accuracy: Interval | None
    group_hints: tuple[GroupHintAccuracy, ...]
    reliability: Reliability | None
    learning: LearningCurve | None
    val: HeldOut | None
    test: HeldOut | None
    fits: dict[str, dict[str, int]]
    views: ViewsGain | None = None

    @property
    def accuracy(self) -> Interval | None:
        """That of the cross-validation."""
        return None if self.cv is None else self.cv.accuracy

    @property
    def judged(self) -> CrossValidation | HeldOut | None:
        """The cross-validation, or the test part where there is none."""
        return self.test if self.cv is None else self.cv

    def _own(self) -> dict[str, Any]:
        naive = self.ungrouped_accuracy
        return {
            "cv": None if self.cv is None else self.cv.to_dict(),
            "cv_reason": self.cv_reason,
            "ungrouped_cv": None if naive is None else {"accuracy": naive.to_dict()},
            "group_hints": [source.to_dict() for source in self.group_hints],
            "reliability": None if self.reliability is None else self.reliability.to_dict(),
            "learning_curve": None if self.learning is None else self.learning.to_dict(),
            "val": None if self.val is None else self.val.to_dict(),
            "test": None if self.test is None else self.test.to_dict(),
            "views": None if self.views is None else self.views.to_dict(),
            "fits": {stage: dict(counts) for stage, counts in self.fits.items()},
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
        if "finetuning" in fields:
            raise fields.contradicts("it is of a fine-tuned network, and is read as cross-validated")
        classes = fields.texts("classes")
        read = cls(
            cv=CrossValidation.from_fields(fields.part("cv"), classes) if "cv" in fields else None,
            cv_reason=fields.text("cv_reason"),
            ungrouped_accuracy=Interval.from_fields(fields.part("ungrouped_cv").part("accuracy"))
            if "ungrouped_cv" in fields
            else None,
            group_hints=tuple(GroupHintAccuracy.from_fields(source) for source in fields.parts("group_hints")),
            reliability=Reliability.from_fields(fields.part("reliability")) if "reliability" in fields else None,
            learning=LearningCurve.from_fields(fields.part("learning_curve")) if "learning_curve" in fields else None,
            val=HeldOut.from_fields(fields.part("val"), classes) if "val" in fields else None,
            test=HeldOut.from_fields(fields.part("test"), classes) if "test" in fields else None,
            fits={stage: _fits(fields.part("fits").part(stage)) for stage in _stages(fields)},
            views=ViewsGain.from_fields(fields.part("views")) if "views" in fields else None,
            **_read_shared(fields),
        )
        n_tested = 0 if read.cv is None else sum(map(sum, read.cv.confusion))
        if n_tested > read.n_images:
            raise fields.contradicts(f"{n_tested:,} of {read.n_images:,} images were tested")
        return read

    def __str__(self) -> str:
        if self.cv is None:
            return f"no cross-validated accuracy: {self.cv_reason}"
        a = self.cv.accuracy
        return self._said(
            f"accuracy {a.mean:.3f} ({a.low:.3f} to {a.high:.3f}), "
            f'always "{self.baseline_class}": {self.baseline:.3f}, '
            f"{self.cv.n_folds} folds of {self.n_images:,} images in {self.n_groups:,} groups"
        )


@dataclass(frozen=True, kw_only=True)
class FinetuneEvaluation(ModelEvaluation):
    """What is known of the accuracy of a fine-tuned network, or of the frozen one that was kept: by a held-out part.

    Parameters
    ----------
    contest : Contest
        Frozen against fine-tuned on the held-out part.
    by_class : ByClass
        How each class of that part fared.
    head, params, classes, n_images, n_groups, groups, baseline, baseline_class, notes, calibrated_on, made, seconds
        See :class:`ModelEvaluation`.
    """

    contest: Contest
    by_class: ByClass

    cv_reason: ClassVar[str] = "the network was trained on these images; held-out ones judge it"

    @property
    def accuracy(self) -> Interval:
        """That on the held-out part, of the network that is kept."""
        return self.contest.accuracy

    @property
    def judged(self) -> HeldOut:
        """The held-out part."""
        accuracy, n = self.contest.accuracy, self.contest.n
        return HeldOut(accuracy, n, accuracy.mean, n, *self.by_class)

    def _own(self) -> dict[str, Any]:
        return {
            "cv_reason": self.cv_reason,
            "test": self.judged.to_dict(),
            "finetuning": self.contest.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Any) -> FinetuneEvaluation:
        """Read what :meth:`to_dict` gave; whatever is accepted can be shown.

        Raises
        ------
        ClassifierError
            A value is missing or wrong, or contradicts another one; the message names it.
        """
        fields = Fields(values, "evaluation")
        idle = [name for name in _CROSS_VALIDATED if fields.values.get(name)]
        if idle:
            raise fields.contradicts(f"it is of a fine-tuned network, and has {', '.join(idle)}")
        shared = _read_shared(fields)
        test = HeldOut.from_fields(fields.part("test"), shared["classes"])
        contest = Contest.from_fields(fields.part("finetuning"))
        read = cls(**shared, contest=contest, by_class=ByClass(test.per_class, test.confusion))
        if read.judged != test:
            raise fields.contradicts(f"its test part is not the one that {contest.kept} was judged on")
        return read

    def __str__(self) -> str:
        a, contest = self.accuracy, self.contest
        return self._said(
            f"accuracy {a.mean:.3f} ({a.low:.3f} to {a.high:.3f}) on {contest.n:,} held-out images, {contest.kept}"
        )


def read_evaluation(values: Any) -> Evaluation | FinetuneEvaluation:
    """Read the evaluation of either kind of model; see :meth:`Evaluation.from_dict`."""
    kind = FinetuneEvaluation if "finetuning" in Fields(values, "evaluation") else Evaluation
    return kind.from_dict(values)


_CROSS_VALIDATED = ("cv", "ungrouped_cv", "group_hints", "reliability", "learning_curve", "val", "views", "fits")
"""Keys that only a cross-validated evaluation fills."""


def _read_shared(fields: Fields) -> dict[str, Any]:
    """Read the fields of :class:`ModelEvaluation`."""
    baseline, classes = fields.part("baseline"), fields.texts("classes")
    n_images, n_groups = fields.count("n_images", 1), fields.count("n_groups", 1)
    if n_groups > n_images:
        raise fields.contradicts(f"{n_images:,} images are in {n_groups:,} groups")
    return {
        "head": fields.text("head"),
        "params": fields.plain("params"),
        "classes": classes,
        "n_images": n_images,
        "n_groups": n_groups,
        "groups": _groups(fields.part("groups")),
        "baseline": baseline.share("accuracy"),
        "baseline_class": baseline.one_of("class", classes),
        "notes": fields.texts("notes"),
        "calibrated_on": _calibrated_on(fields),
        "made": _made(fields.part("made")) if "made" in fields else {},
        "seconds": fields.number("seconds", 0),
    }


_GROUPS = (
    *(
        "n_groups",
        "n_duplicates",
        "n_near_duplicates",
        "n_recordings",
        "n_frames",
        "n_versions",
        "n_originals",
        "n_named",
    ),
    "n_conflicts",
)


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
        raise fields.contradicts("a conflict is not between two images")
    kept = {
        name: value for name, value in fields.values.items() if name in (*_GROUPS, "too_alike", "examples", "group_by")
    }
    return {**kept, "conflicts": [list(pair) for pair in pairs]}


def _calibrated_on(fields: Fields) -> CalibratedOn:
    if "calibrated_on" in fields:
        return fields.one_of("calibrated_on", get_args(CalibratedOn))
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
