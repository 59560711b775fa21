"""Facts about a classifier for the terminal and the HTML page, from the dictionaries that ``--json`` prints."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

_FIRST = 10


class Fact(NamedTuple):
    """A labelled result.

    Parameters
    ----------
    label : str
        Label; empty if the fact continues the preceding fact.
    parts : tuple of str
        Texts, the most important first.
    """

    label: str
    parts: tuple[str, ...]


def fact(label: str, *parts: str) -> Fact:
    """Return a fact without empty parts."""
    return Fact(label, tuple(part for part in parts if part))


def evaluation_facts(evaluation: Mapping[str, Any], to_group: Callable[[str], str] | None = None) -> list[Fact]:
    """Return facts about the accuracy of a classifier, to be shown after :func:`verdict_facts`.

    Parameters
    ----------
    evaluation : mapping
        Result of ``featx fit --json``.
    to_group : callable, optional
        Function that returns the command to fit again with a given value of ``--group-by``. If not given, the
        command is ``featx fit`` on the data set that was extracted last.
    """
    baseline = majority_text(evaluation["baseline"])
    cv = evaluation["cv"]
    facts = _conflict_facts(evaluation["groups"])
    if evaluation["finetuning"] is not None:
        facts += [*finetune_facts(evaluation["finetuning"]), fact("baseline", baseline)]
    elif cv is None:
        facts += [fact("accuracy", f"not estimated: {evaluation['cv_reason']}", baseline)]
    else:
        how = "" if cv["n_folds"] > 1 else ", on one test part"
        doubt = "cross-validated; too high: see verdict" if is_refuted(evaluation) else ""
        facts += [fact("accuracy", f"{interval_text(cv['accuracy'])}{how}", baseline, doubt)]
    facts += _ungrouped_facts(evaluation) + _worth_facts(evaluation["views"])
    for part in ("val", "test") if evaluation["finetuning"] is None else ():
        facts += _held_out_facts(part, evaluation[part])
    if cv is not None:
        if evaluation["valid_for"]:
            facts.append(fact("valid for", evaluation["valid_for"]))
        facts += _group_hint_facts(evaluation, to_group)
        facts += _weakest_facts(cv["per_class"])
    facts += _version_facts(evaluation["groups"])
    params = ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in evaluation["params"].items()
    )
    tuning = (
        ""
        if cv is None
        else f", fitted on all training images; for the accuracy, tuned and fitted in each of {_folds(cv)}"
    )
    facts.append(fact("head", f"{evaluation['head']} ({params or 'as given'}){tuning}"))
    return facts + [fact("note", note) for note in evaluation["notes"]]


def verdict_facts(evaluation: Mapping[str, Any]) -> list[Fact]:
    """Return the sentences of the verdict: which accuracy to trust and why; empty if no figure contradicts another."""
    trust = evaluation["trust"]
    sentences = [] if trust is None else trust["sentences"]
    return [fact("" if number else "verdict", sentence) for number, sentence in enumerate(sentences)]


def is_refuted(evaluation: Mapping[str, Any]) -> bool:
    """Return whether another accuracy is to be trusted instead of the cross-validated accuracy."""
    return evaluation["cv"] is not None and evaluation["trust"]["figure"] != "cv"


CONFLICTS = {
    "duplicate_conflicts": "duplicates (the same bytes) with different labels",
    "near_duplicate_conflicts": "near-duplicates (similar images) with different labels",
}
"""Descriptions of the two kinds of conflicts by their JSON key, the certain kind first."""


def _conflict_facts(groups: Mapping[str, Any]) -> list[Fact]:
    """Return facts about duplicates and near-duplicates with different labels, which lower all accuracies."""
    facts = []
    for name, description in CONFLICTS.items():
        pairs = groups.get(name)
        if pairs:
            first, second = pairs[0]
            n = _count(groups.get(f"n_{name}", len(pairs)), "pair", "pairs")
            text = f"{n} of {description}, for example {first} and {second}"
            facts.append(fact("conflict", f"{text}; featx inspect FOLDER --json lists all pairs"))
    return facts


def finetune_facts(comparison: Mapping[str, Any]) -> list[Fact]:
    """Return the accuracies of the frozen backbone and the fine-tuned network on the same held-out images."""
    images = "images of the test part" if comparison["is_own_test"] else "held-out images"
    facts = []
    if comparison["frozen"] is not None:
        facts.append(fact("frozen", interval_text(comparison["frozen"]["accuracy"])))
    tuned = interval_text(comparison["finetuned"]["accuracy"])
    trained = f"{comparison['n_held_out']:,} {images}; trained: {comparison['unfrozen']}"
    facts.append(fact("fine-tuned", tuned, trained))
    if comparison["difference"] is not None:
        facts.append(fact("difference", change_text(comparison["difference"]), _verdict(comparison)))
    return facts


def _verdict(comparison: Mapping[str, Any]) -> str:
    if comparison["kept"] == "frozen":
        return "no gain: the frozen backbone is kept. To fit its head on all images: featx fit"
    if comparison["difference"]["low"] <= 0:
        return "better, but the difference may be due to chance; the fine-tuned network is kept"
    return "better; the fine-tuned network is kept"


def report_facts(summary: Mapping[str, Any]) -> list[Fact]:
    """Return all facts about a classifier, except :func:`verdict_facts` and facts about single classes and images."""
    facts = evaluation_facts(summary) + _outside_facts(summary["on"])
    cv = summary["cv"]
    if cv is None:
        return facts
    balanced = f"accuracy {interval_text(cv['balanced_accuracy'])}, the mean recall of the classes"
    caveat = CAVEAT if is_refuted(summary) else ""
    facts.append(fact("balanced", balanced, caveat))
    facts.append(fact("by fold", "accuracy " + ", ".join(f"{score:.3f}" for score in cv["per_fold"])))
    reliability = summary["reliability"]
    if reliability is not None:
        calibration = f"Brier score {reliability['brier']:.3f}, expected calibration error {reliability['ece']:.3f}"
        facts.append(fact("calibrated", calibration, caveat))
    return facts + _learning_facts(summary["learning_curve"], caveat)


CAVEAT = "only for images like the training images: see verdict"
"""Limitation of cross-validated figures if another accuracy is to be trusted."""


def _learning_facts(curve: Mapping[str, Any] | None, caveat: str) -> list[Fact]:
    if curve is None or not curve["points"]:
        return []
    text = ", ".join(f"{point['accuracy']['mean']:.3f} with {point['n']:,}" for point in curve["points"])
    facts = [fact("learning", f"accuracy {text} training images", caveat)]
    if curve["outlook"] is not None:
        facts.append(fact("more data?", curve["outlook"]["sentence"], caveat))
    return facts + [
        fact("", f"no accuracy with {point['n']:,} images: {point['reason']}") for point in curve["left_out"]
    ]


def _outside_facts(on: Mapping[str, Any] | None) -> list[Fact]:
    if on is None:
        return []
    known = on["n_seen"] + on["n_near"]
    near = f" or near-duplicates of these ({on['n_near']:,})" if on["n_near"] else ""
    training = _count(known, "training image", "training images")
    left_out = f"without {training}{near} (with these: {on['as_given']:.3f})" if known else ""
    if on["accuracy"] is None:
        facts = [
            fact(
                "on",
                f"{on['data']}: not evaluated, because all {known:,} images are training images of this model{near}",
            )
        ]
    else:
        is_grouped = on["n_groups"] < on["n"]
        groups = f" in {_count(on['n_groups'], 'group', 'groups')}" if is_grouped else ""
        n = f"{_count(on['n'], 'image', 'images')}{groups}"
        accuracy = f"{on['data']}: {interval_text(on['accuracy'])}"
        facts = [fact("on", accuracy, majority_text(on["baseline"]), n, left_out)]
        if on["verdict"]:
            facts.append(fact("", on["verdict"]))
        facts.append(fact("", f"balanced accuracy {interval_text(on['balanced_accuracy'])}"))
        facts += [
            fact(
                "mistake",
                f"{row['path']}: label {row['label']}, "
                f"predicted {row['predicted']} (probability {row['confidence']:.2f})",
            )
            for row in on["mistakes"][:_FIRST]
        ]
        more = len(on["mistakes"]) - _FIRST
        facts += [fact("mistake", f"{more:,} more mistakes; --json lists all")] if more > 0 else []
    return [*facts, *(fact("note", note) for note in on["notes"]), *skipped_facts(on["skipped"])]


def skipped_facts(skipped: Sequence[Mapping[str, str]], label: str = "skipped") -> list[Fact]:
    """Return facts about skipped images: the first ten by name, and the number of the others for each reason."""
    facts = [fact(label, f"{s['path']}: {s['reason']}") for s in skipped[:_FIRST]]
    rest = Counter(s["reason"] for s in skipped[_FIRST:])
    facts += [fact(label, f"{count:,} more: {reason}") for reason, count in rest.most_common(_FIRST)]
    hidden = sum(rest.values()) - sum(count for _, count in rest.most_common(_FIRST))
    return facts + ([fact(label, f"{hidden:,} more files; --json lists all")] if hidden else [])


def judged_part(summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the results of the cross-validation, or else of a test part with a confusion matrix, or else None."""
    if summary["cv"] is not None:
        return summary["cv"]  # type: ignore[no-any-return]
    test = summary["test"]
    return test if test is not None and test["confusion"] else None


def majority_text(baseline: Mapping[str, Any]) -> str:
    """Return the name of the majority class, and the accuracy of always predicting this class."""
    return f'majority class "{baseline["class"]}": {baseline["accuracy"]:.3f}'


def interval_text(values: Mapping[str, float], name: str = "95 % CI ") -> str:
    """Return a value and the limits of its confidence interval, with ``name`` before the limits."""
    return f"{values['mean']:.3f} ({name}{values['low']:.3f} to {values['high']:.3f})"


def change_text(values: Mapping[str, float], name: str = "95 % CI ") -> str:
    """Return a difference and the limits of its confidence interval, all with a sign."""
    mean, low, high = (round(values[key], 3) + 0.0 for key in ("mean", "low", "high"))  # -0.000 is 0
    return f"{mean:+.3f} ({name}{low:+.3f} to {high:+.3f})"


def _folds(cv: Mapping[str, Any]) -> str:
    repeats = f", {cv['repeats']} times" if cv["repeats"] > 1 else ""
    return f"{cv['n_folds']} folds{repeats} ({cv['splitter']})"


def _ungrouped_facts(evaluation: Mapping[str, Any]) -> list[Fact]:
    n_images, n_groups, ungrouped = evaluation["n_images"], evaluation["n_groups"], evaluation["ungrouped_cv"]
    if ungrouped is None or n_groups == n_images:
        return []
    kinds, total = _group_counts(evaluation)
    members = _enumerated(kinds) or "images of one group"
    if evaluation["val"] is not None or evaluation["test"] is not None:  # the members are those of the whole data set
        members = "images of one group"
    accuracy, cv = ungrouped["accuracy"]["mean"], evaluation["cv"]
    effect = "optimistic" if cv is None or accuracy > cv["accuracy"]["mean"] else "without groups"
    reason = f"{effect}: {members} would be split between training and test ({total})"
    return [fact("ungrouped", f"{accuracy:.3f}  {reason}")]


def _worth_facts(views: Mapping[str, Any] | None) -> list[Fact]:
    if views is None:
        return []
    count = f"{_count(views['k'], 'view', 'views')} for each training image ({views['policy']})"
    difference = views["difference"]
    if difference is None:
        return [fact("views", f"{count}; the effect on the accuracy is unknown")]
    effect = "is better" if difference["low"] > 0 else "is worse" if difference["high"] < 0 else "may be due to chance"
    without = f"accuracy {interval_text(views['without']['accuracy'])} without them"
    return [fact("views", f"{count}: accuracy difference {change_text(difference)}, which {effect}", without)]


def groups_text(evaluation: Mapping[str, Any]) -> str:
    """Return the numbers of groups and of their members, as ``412 near-duplicates; 1,399 images in 1,283 groups``."""
    kinds, total = _group_counts(evaluation)
    return "; ".join([", ".join(kinds), total] if kinds else [total])


def _group_counts(evaluation: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the numbers of images for each reason to group them, and the numbers of images and groups."""
    counted = ("n_duplicates", "n_near_duplicates", "n_frames", "n_recordings", "n_versions", "n_originals", "n_named")
    groups = {**dict.fromkeys(counted, 0), **evaluation["groups"]}
    kinds = [
        _count(groups["n_duplicates"], "duplicate", "duplicates"),
        _count(groups["n_near_duplicates"], "near-duplicate", "near-duplicates"),
        _count(groups["n_frames"], "frame", "frames")
        + (f" of {_count(groups['n_recordings'], 'recording', 'recordings')}" if groups["n_recordings"] else ""),
        f"{groups['n_versions']:,} versions of {_count(groups['n_originals'], 'image', 'images')}"
        if groups["n_versions"]
        else "",
        _count(groups["n_named"], "named group", "named groups"),
    ]
    kinds = [kind for kind in kinds if kind]
    total = f"{evaluation['n_images']:,} images in {evaluation['n_groups']:,} groups"
    if kinds and (evaluation["val"] is not None or evaluation["test"] is not None):
        total = f"the training part has {total}; the whole data set has {_enumerated(kinds)}"
    return kinds, total


def _enumerated(kinds: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(kinds[:-1]), *kinds[-1:]]))


def _count(n: int, singular: str, plural: str) -> str:
    return "" if not n else f"{n:,} {singular if n == 1 else plural}"


def _group_hint_facts(evaluation: Mapping[str, Any], to_group: Callable[[str], str] | None) -> list[Fact]:
    def fit_again(group_by: str) -> str:
        return f"featx fit --head {shlex.quote(evaluation['head'])} --group-by {shlex.quote(group_by)} --overwrite"

    facts = []
    for hint in evaluation["group_hints"]:
        ends = f"{hint['examples'][0]} to {hint['examples'][-1]}"
        if hint["name"] == "name":
            number = hint["group_by"].removeprefix("word:")
            word = f"word {number}" if number != hint["group_by"] else "a word"
            examples = " and ".join(dict.fromkeys((hint["examples"][0], hint["examples"][-1])))
            grouped, values = f"{word} of the file name ({hint['n_values']:,} words, such as {examples})", "words"
        else:
            grouped, values = f"{hint['name']} ({hint['n_values']:,} values, {ends})", "values"
        text = (
            f"accuracy {hint['accuracy']['mean']:.3f} if images are grouped by {grouped}. If these {values} name "
            f"persons, days or other sources, use: {(to_group or fit_again)(hint['group_by'])}"
        )
        facts.append(fact(f"by {hint['name']}", text))
    return facts


def _held_out_facts(part: str, values: Mapping[str, Any] | None) -> list[Fact]:
    if values is None:
        return []
    images = f"images of the {'validation' if part == 'val' else part} part"
    as_given = f"accuracy on all {values['n_as_given']:,} {images}: {values['as_given']:.3f}"
    if values["accuracy"] is None:
        return [fact(part, f"not estimated: every image shares a group with a training image ({as_given})")]
    accuracy = interval_text({"mean": values["accuracy"], "low": values["low"], "high": values["high"]})
    shared = values["n_as_given"] - values["n"]
    text = f"{accuracy} on the {values['n']:,} {images}"
    if not shared:
        return [fact(part, text)]
    return [fact(part, f"{text} that share no group with a training image", as_given)]


def _version_facts(groups: Mapping[str, Any]) -> list[Fact]:
    """Return by which names versions of one image were recognised, since names may mislead."""
    if not groups.get("group_versions", True):
        return [fact("versions", "not recognised by file names, as requested")]
    if not groups.get("n_versions") or not groups.get("version_examples"):
        return []
    count = f"{groups['n_versions']:,} versions of {_count(groups['n_originals'], 'image', 'images')}"
    examples = "; ".join(" and ".join(names) for names in groups["version_examples"])
    override = "If these are different images, use: --no-group-versions"
    return [fact("versions", f"{count}, recognised by names such as {examples}", override)]


def _weakest_facts(per_class: Sequence[Mapping[str, Any]]) -> list[Fact]:
    weakest = min((c for c in per_class if c["n"]), key=lambda c: c["recall"])
    images = _count(weakest["n"], "image", "images")
    return [fact("weakest", f'class "{weakest["class"]}": recall {weakest["recall"]:.2f} ({images})')]
