"""Evaluation of a classifier: by cross-validation or, for a fine-tuned network, on held-out images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from featx.errors import ClassifierError
from featx.evaluation.records.fields import Fields
from featx.evaluation.records.findings import GroupHintAccuracy, LearningCurve, Reliability, ViewsGain
from featx.evaluation.records.finetune_comparison import FinetuneComparison
from featx.evaluation.records.population import describe_population
from featx.evaluation.records.scores import ByClass, CrossValidation, HeldOut, Interval
from featx.evaluation.records.verdict import (
    Contradiction,
    Figure,
    TrustedAccuracy,
    explain_trust,
    judge_baseline,
    most_trusted,
)

CalibratedOn = Literal["out of fold", "val", "nothing"]
"""Images on which the temperature of the probabilities was fitted."""


@dataclass(frozen=True, kw_only=True)
class ModelEvaluation(ABC):
    """Evaluation of a classifier; the base class of both kinds of evaluation.

    Parameters
    ----------
    head : str
        Name of the head.
    params : dict
        Hyper-parameters, chosen on all training images.
    classes : tuple of str
        Class names.
    n_images : int
        Number of training images.
    n_groups : int
        Number of groups of training images that every split keeps together.
    groups : dict
        Composition of the groups: numbers of duplicates, of near-duplicates, of recordings and their frames, of
        versions and their originals, and of named groups; ``group_versions``, and the names of two versions for each
        form of names as ``version_examples``; the ``group_by`` that named them; the first and
        the last name as ``examples``.
    baseline : float
        Accuracy of always predicting the majority class, on the images on which the accuracy is measured.
    baseline_class : str
        Name of the majority class.
    notes : tuple of str
        Limitations of the evaluation: images that were not grouped, untested classes, fits that did not converge.
    calibrated_on : {"out of fold", "val", "nothing"}
        Images on which the temperature of the probabilities was fitted.
    made : dict
        Provenance: date (UTC), data, skipped images, seed, requested folds and repeats, class weights.
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
        """Accuracy estimate for new images; None if there is no estimate."""

    @property
    @abstractmethod
    def judged(self) -> CrossValidation | HeldOut | None:
        """Results per class, on images that were not used for training; None if there are none."""

    @property
    @abstractmethod
    def trust(self) -> TrustedAccuracy | None:
        """The accuracy to trust; None if there is none."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences of the verdict: the accuracy to trust and why, and whether it exceeds that of the majority class.

        Empty if no accuracy contradicts another, and the confidence interval lies above the accuracy of always
        predicting the majority class.
        """
        accuracy = self.accuracy
        warning = "" if accuracy is None else judge_baseline(accuracy, self.baseline, self.baseline_class)
        return (warning,) if warning else ()

    @property
    def verdict(self) -> str:
        """The sentences of the verdict as one text; empty if there are none."""
        return "; ".join(self.sentences)

    @property
    def valid_for(self) -> str:
        """Images for which the accuracy is valid; empty if this is unknown."""
        return ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx fit --json`` except ``model``; keys that do not apply are empty."""
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
            "trust": None if self.trust is None else {**self.trust.to_dict(), "sentences": list(self.sentences)},
            "contradictions": [],
            "valid_for": self.valid_for,
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
        """Return the keys that are specific to this kind of evaluation."""

    def _with_verdict(self, text: str) -> str:
        return "; ".join((*self.sentences, text))


@dataclass(frozen=True, kw_only=True)
class Evaluation(ModelEvaluation):
    """Evaluation of a head on frozen features, by cross-validation and on held-out parts.

    Parameters
    ----------
    cv : CrossValidation or None
        Cross-validation; None if the groups do not allow it.
    cv_reason : str
        Reason why ``cv`` is None; empty otherwise.
    ungrouped_accuracy : Interval or None
        Accuracy of the same cross-validation with random folds that ignore the groups, as commonly reported.
    group_hints : tuple of GroupHintAccuracy
        Accuracy with folds grouped by each group hint.
    reliability : Reliability or None
        Reliability of the probabilities; None without cross-validation.
    learning : LearningCurve or None
        Learning curve; None without cross-validation.
    val, test : HeldOut or None
        Accuracy on the splits ``val`` and ``test`` of the data set; None if there is no such split.
    fits : dict
        Number of fits, and of fits that did not converge, for each stage.
    contradictions : tuple of Contradiction
        Accuracies that differ from the cross-validated accuracy by more than chance explains.
    views : ViewsGain or None
        Effect of augmented views; None if the head was trained without views.
    head, params, classes, n_images, n_groups, groups, baseline, baseline_class, notes, calibrated_on, made, seconds
        See :class:`ModelEvaluation`.

    Examples
    --------
    >>> import featx
    >>> evaluation = featx.load("digits.featx").evaluation
    >>> evaluation.cv.splitter, evaluation.cv.n_folds
    ('StratifiedGroupKFold', 5)
    >>> evaluation.baseline
    0.1
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
    contradictions: tuple[Contradiction, ...]
    views: ViewsGain | None = None

    @property
    def accuracy(self) -> Interval | None:
        """Cross-validated accuracy; None without cross-validation."""
        return None if self.cv is None else self.cv.accuracy

    @property
    def judged(self) -> CrossValidation | HeldOut | None:
        """The cross-validation or, without one, the test part."""
        return self.test if self.cv is None else self.cv

    @property
    def trust(self) -> TrustedAccuracy | None:
        """The cross-validated accuracy, or a lower one that contradicts it; without folds, that of a held-out part."""
        if self.cv is not None:
            return most_trusted(TrustedAccuracy("cv", self.cv.accuracy), self.contradictions)
        if self.test is not None and self.test.accuracy is not None:
            return TrustedAccuracy("test", self.test.accuracy)
        if self.val is not None and self.val.accuracy is not None:
            return TrustedAccuracy("val", self.val.accuracy)
        return None

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences of the verdict; see :attr:`ModelEvaluation.sentences`."""
        trust = self.trust
        if trust is None or self.cv is None:
            return ()
        majority = self._majority(trust.figure)
        warning = "" if majority is None else judge_baseline(trust.accuracy, *majority)
        return (*explain_trust(trust, self.contradictions), *([warning] if warning else []))

    def _majority(self, figure: Figure) -> tuple[float, str] | None:
        """Return the accuracy of always predicting the majority class, and its name; None if unknown."""
        if figure in ("cv", "group hint"):
            return self.baseline, self.baseline_class
        part = self.test if figure == "test" else self.val if figure == "val" else None
        if part is None or not part.per_class:
            return None
        largest = max(part.per_class, key=lambda one: one.n)
        return largest.n / part.n, largest.name

    @property
    def valid_for(self) -> str:
        """Images for which the cross-validated accuracy is valid; empty if another accuracy contradicts it.

        If the data set or the user names groups, a higher ungrouped accuracy is no contradiction in this sense: the
        named groups explain it.
        """
        is_named = bool(self.groups.get("n_named"))
        contradicts = any(one.kind != "ungrouped" or not is_named for one in self.contradictions)
        return "" if self.cv is None or contradicts else describe_population(self.groups, self.n_images)

    def _own(self) -> dict[str, Any]:
        ungrouped = self.ungrouped_accuracy
        return {
            "cv": None if self.cv is None else self.cv.to_dict(),
            "cv_reason": self.cv_reason,
            "ungrouped_cv": None if ungrouped is None else {"accuracy": ungrouped.to_dict()},
            "group_hints": [hint.to_dict() for hint in self.group_hints],
            "reliability": None if self.reliability is None else self.reliability.to_dict(),
            "learning_curve": None if self.learning is None else self.learning.to_dict(),
            "val": None if self.val is None else self.val.to_dict(),
            "test": None if self.test is None else self.test.to_dict(),
            "contradictions": [one.to_dict() for one in self.contradictions],
            "views": None if self.views is None else self.views.to_dict(),
            "fits": {stage: dict(counts) for stage, counts in self.fits.items()},
        }

    @classmethod
    def from_dict(cls, values: Any) -> Evaluation:
        """Read the output of :meth:`to_dict`; every accepted value can be displayed.

        Raises
        ------
        ClassifierError
            If a value is missing or invalid, or contradicts another value; the message names the value.
        """
        fields = Fields(values, "evaluation")
        if "finetuning" in fields:
            raise fields.contradicts("it describes a fine-tuned network, not a cross-validated head")
        classes = fields.texts("classes")
        read = cls(
            cv=CrossValidation.from_fields(fields.part("cv"), classes) if "cv" in fields else None,
            cv_reason=fields.text("cv_reason"),
            ungrouped_accuracy=Interval.from_fields(fields.part("ungrouped_cv").part("accuracy"))
            if "ungrouped_cv" in fields
            else None,
            group_hints=tuple(GroupHintAccuracy.from_fields(hint) for hint in fields.parts("group_hints")),
            reliability=Reliability.from_fields(fields.part("reliability")) if "reliability" in fields else None,
            learning=LearningCurve.from_fields(fields.part("learning_curve")) if "learning_curve" in fields else None,
            val=HeldOut.from_fields(fields.part("val"), classes) if "val" in fields else None,
            test=HeldOut.from_fields(fields.part("test"), classes) if "test" in fields else None,
            fits={stage: _fits(fields.part("fits").part(stage)) for stage in _stages(fields)},
            contradictions=_contradictions(fields),
            views=ViewsGain.from_fields(fields.part("views")) if "views" in fields else None,
            **_read_shared(fields),
        )
        n_tested = 0 if read.cv is None else sum(map(sum, read.cv.confusion))
        if n_tested > read.n_images:
            raise fields.contradicts(f"{n_tested:,} images were tested, but there are only {read.n_images:,} images")
        read._check_contradictions(fields)
        read._check_learning(fields)
        return read

    def _check_contradictions(self, fields: Fields) -> None:
        known: dict[tuple[str, str], Interval | None] = {
            ("group hint", hint.group_by): hint.accuracy for hint in self.group_hints
        }
        known |= {("ungrouped", ""): self.ungrouped_accuracy}
        known |= {(kind, ""): part.accuracy for kind, part in (("val", self.val), ("test", self.test)) if part}
        for one in self.contradictions:
            if one.accuracy != self.accuracy or one.other != known.get((one.kind, one.group_by)):
                raise fields.contradicts(
                    f"an accuracy of the contradiction {one.kind!r} is not an accuracy of the model"
                )

    def _check_learning(self, fields: Fields) -> None:
        if self.learning is None or not self.learning.points:
            return
        if self.cv is None or self.learning.points[-1].accuracy != self.cv.accuracy:
            raise fields.contradicts("the last point of its learning curve is not its accuracy")

    def __str__(self) -> str:
        if self.cv is None:
            return f"no cross-validated accuracy: {self.cv_reason}"
        a = self.cv.accuracy
        return self._with_verdict(
            f"accuracy {a.mean:.3f} ({a.low:.3f} to {a.high:.3f}), "
            f'majority class "{self.baseline_class}": {self.baseline:.3f}, '
            f"{self.cv.n_folds} folds of {self.n_images:,} images in {self.n_groups:,} groups"
        )


@dataclass(frozen=True, kw_only=True)
class FinetuneEvaluation(ModelEvaluation):
    """Evaluation, on held-out images, of a fine-tuned network or of the frozen backbone that was kept instead.

    Parameters
    ----------
    comparison : FinetuneComparison
        Comparison of the frozen backbone and the fine-tuned network on the held-out images.
    by_class : ByClass
        Scores of each class on the held-out images.
    head, params, classes, n_images, n_groups, groups, baseline, baseline_class, notes, calibrated_on, made, seconds
        See :class:`ModelEvaluation`.

    Examples
    --------
    >>> import featx
    >>> done = featx.finetune("data", "scratch-cnn", size=32, epochs=1)  # doctest: +SKIP
    >>> done.classifier.evaluation.comparison.kept  # doctest: +SKIP
    'finetuned'
    """

    comparison: FinetuneComparison
    by_class: ByClass

    cv_reason: ClassVar[str] = "the network was trained on these images; its accuracy is measured on held-out images"

    @property
    def accuracy(self) -> Interval:
        """Accuracy of the kept network on the held-out images."""
        return self.comparison.accuracy

    @property
    def trust(self) -> TrustedAccuracy:
        """Accuracy of the kept network on the held-out images."""
        return TrustedAccuracy("test", self.accuracy, "the held-out images")

    @property
    def judged(self) -> HeldOut:
        """Results on the held-out images."""
        accuracy, n = self.comparison.accuracy, self.comparison.n
        return HeldOut(accuracy, n, accuracy.mean, n, *self.by_class)

    def _own(self) -> dict[str, Any]:
        return {
            "cv_reason": self.cv_reason,
            "test": self.judged.to_dict(),
            "finetuning": self.comparison.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Any) -> FinetuneEvaluation:
        """Read the output of :meth:`to_dict`; every accepted value can be displayed.

        Raises
        ------
        ClassifierError
            If a value is missing or invalid, or contradicts another value; the message names the value.
        """
        fields = Fields(values, "evaluation")
        unexpected = [name for name in _CROSS_VALIDATED if fields.values.get(name)]
        if unexpected:
            raise fields.contradicts(f"it describes a fine-tuned network, but has {', '.join(unexpected)}")
        shared = _read_shared(fields)
        test = HeldOut.from_fields(fields.part("test"), shared["classes"])
        comparison = FinetuneComparison.from_fields(fields.part("finetuning"))
        read = cls(**shared, comparison=comparison, by_class=ByClass(test.per_class, test.confusion))
        if read.judged != test:
            raise fields.contradicts(
                f"its test part differs from the held-out results of the network that was kept ({comparison.kept})"
            )
        return read

    def __str__(self) -> str:
        a, n, kept = self.accuracy, self.comparison.n, self.comparison.kept
        return self._with_verdict(
            f"accuracy {a.mean:.3f} ({a.low:.3f} to {a.high:.3f}) on {n:,} held-out images, {kept}"
        )


def read_evaluation(values: Any) -> Evaluation | FinetuneEvaluation:
    """Read the evaluation of a model of either kind; see :meth:`Evaluation.from_dict`."""
    kind = FinetuneEvaluation if "finetuning" in Fields(values, "evaluation") else Evaluation
    return kind.from_dict(values)


_CROSS_VALIDATED = (
    *("cv", "ungrouped_cv", "group_hints", "reliability", "learning_curve", "val", "views", "fits"),
    "contradictions",
)
"""Keys that only a cross-validated evaluation fills."""


def _read_shared(fields: Fields) -> dict[str, Any]:
    """Read the fields of :class:`ModelEvaluation`."""
    baseline, classes = fields.part("baseline"), fields.texts("classes")
    n_images, n_groups = fields.count("n_images", 1), fields.count("n_groups", 1)
    if n_groups > n_images:
        raise fields.contradicts(f"{n_images:,} images cannot form {n_groups:,} groups")
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
    *("n_duplicate_conflicts", "n_near_duplicate_conflicts"),
)
_CONFLICTS = ("duplicate_conflicts", "near_duplicate_conflicts")


def _groups(fields: Fields) -> dict[str, Any]:
    for name in _GROUPS:
        if name in fields:
            fields.count(name)
    if "group_versions" in fields:
        fields.flag("group_versions")
    for name in ("too_alike", "examples"):
        if name in fields:
            fields.texts(name)
    if "group_by" in fields:
        fields.text("group_by")
    kept = {
        name: value
        for name, value in fields.values.items()
        if name in (*_GROUPS, "too_alike", "examples", "group_by", "group_versions")
    }
    if "version_examples" in fields:
        kept["version_examples"] = _pairs(fields, "version_examples", "an example of versions")
    return {**kept, **{name: _pairs(fields, name, f"an entry of {name}") for name in _CONFLICTS}}


def _pairs(fields: Fields, name: str, entry: str) -> list[list[str]]:
    pairs = [list(Fields({name: pair}, fields.place).texts(name)) for pair in fields.entries(name)]
    if any(len(pair) != 2 for pair in pairs):
        raise fields.contradicts(f"{entry} does not name two images")
    return pairs


def _contradictions(fields: Fields) -> tuple[Contradiction, ...]:
    if "contradictions" not in fields.values:
        raise ClassifierError(
            f"{fields.place} lacks contradictions: it is from an older featx, which did not compare accuracies; "
            "fit again"
        )
    return tuple(Contradiction.from_fields(one) for one in fields.parts("contradictions"))


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
