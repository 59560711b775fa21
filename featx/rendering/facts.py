"""What terminal and page say of a classifier, as facts made from the dictionaries that --json prints."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

_FIRST = 10


class Fact(NamedTuple):
    """Something that is known.

    Parameters
    ----------
    label : str
        What it is about; empty where it goes on with the fact before.
    parts : tuple of str
        What there is to say, the most important first.
    """

    label: str
    parts: tuple[str, ...]


def fact(label: str, *parts: str) -> Fact:
    """Return a fact; empty parts are left out."""
    return Fact(label, tuple(part for part in parts if part))


def evaluation_facts(evaluation: Mapping[str, Any], to_group: Callable[[str], str] | None = None) -> list[Fact]:
    """Say how good a classifier is; ``evaluation`` is that of ``featx fit --json``.

    ``to_group`` returns the command that groups by what is given; by default a new fit of the set extracted last.
    """
    baseline = f'always "{evaluation["baseline"]["class"]}": {evaluation["baseline"]["accuracy"]:.3f}'
    cv = evaluation["cv"]
    facts = _conflict_facts(evaluation["groups"])
    if evaluation["finetuning"] is not None:
        facts += [*contest_facts(evaluation["finetuning"]), fact("baseline", baseline)]
    elif cv is None:
        facts += [fact("accuracy", f"no honest number: {evaluation['cv_reason']}", baseline)]
    else:
        facts += [fact("accuracy", interval_text(cv["accuracy"]), baseline)]
    if evaluation["verdict"]:
        facts.append(fact("verdict", evaluation["verdict"]))
    facts += _ungrouped_facts(evaluation) + _worth_facts(evaluation["views"])
    for part in ("val", "test") if evaluation["finetuning"] is None else ():
        facts += _held_out_facts(part, evaluation[part])
    if cv is not None:
        facts.append(fact("valid for", _valid_for(evaluation)))
        facts += _source_facts(evaluation, to_group)
        facts += _weakest_facts(cv["per_class"])
    params = ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in evaluation["params"].items()
    )
    how = "" if cv is None else f"; {_folds(cv)}, tuned inside each"
    facts.append(fact("head", f"{evaluation['head']} ({params or 'as given'}){how}"))
    return facts + [fact("note", note) for note in evaluation["notes"]]


def _conflict_facts(groups: Mapping[str, Any]) -> list[Fact]:
    """Say that the same image has two labels: it makes every other number worse."""
    conflicts = groups.get("conflicts")
    if not conflicts:
        return []
    one, other = conflicts[0]
    pairs = _count(groups.get("n_conflicts", len(conflicts)), "pair", "pairs")
    text = f"{pairs} of duplicates or near-duplicates with different labels, the first {one} and {other}"
    return [fact("conflict", f"{text}; featx inspect FOLDER lists them all")]


def contest_facts(contest: Mapping[str, Any]) -> list[Fact]:
    """Say how the frozen and the fine-tuned network fared on the same held-out images."""
    whose = "of the test part" if contest["is_own_test"] else "held out"
    facts = []
    if contest["frozen"] is not None:
        facts.append(fact("frozen", interval_text(contest["frozen"]["accuracy"])))
    tuned = interval_text(contest["finetuned"]["accuracy"])
    facts.append(fact("finetuned", tuned, f"{contest['n_held_out']:,} images {whose}; {contest['unfrozen']}"))
    if contest["difference"] is not None:
        facts.append(fact("difference", change_text(contest["difference"]), _verdict(contest)))
    return facts


def _verdict(contest: Mapping[str, Any]) -> str:
    if contest["kept"] == "frozen":
        return "no gain: the frozen network is kept; featx fit trains its head on all images"
    if contest["difference"]["low"] <= 0:
        return "better, but that may be chance; the fine-tuned network is kept"
    return "better; the fine-tuned network is kept"


def report_facts(summary: Mapping[str, Any]) -> list[Fact]:
    """Say how good a classifier is, in all figures that are not of single classes or images."""
    facts = evaluation_facts(summary) + _outside_facts(summary["on"])
    cv = summary["cv"]
    if cv is None:
        return facts
    facts.append(fact("balanced", interval_text(cv["balanced_accuracy"]), "every class counting alike"))
    facts.append(fact("by fold", "  ".join(f"{score:.3f}" for score in cv["per_fold"])))
    reliability = summary["reliability"]
    if reliability is not None:
        facts.append(fact("reliable", f"Brier {reliability['brier']:.3f}, calibration error {reliability['ece']:.3f}"))
    return facts + _learning_facts(summary["learning_curve"])


def _learning_facts(curve: Mapping[str, Any] | None) -> list[Fact]:
    if curve is None or not curve["points"]:
        return []
    text = ", ".join(f"{one['accuracy']['mean']:.3f} with {one['n']:,}" for one in curve["points"])
    facts = [fact("learning", text)]
    if curve["outlook"] is not None:
        facts.append(fact("more?", curve["outlook"]["sentence"]))
    return facts + [fact("", f"not from {one['n']:,} images: {one['reason']}") for one in curve["left_out"]]


def _outside_facts(on: Mapping[str, Any] | None) -> list[Fact]:
    if on is None:
        return []
    known = on["n_seen"] + on["n_near"]
    copies = f" or near-copies of ({on['n_near']:,})" if on["n_near"] else ""
    apart = f"without {known:,} that it was fitted on{copies} (with them {on['as_given']:.3f})" if known else ""
    if on["accuracy"] is None:
        facts = [fact("on", f"{on['data']}: all {known:,} images were used to fit this model{copies}")]
    else:
        always = f'always "{on["baseline"]["class"]}": {on["baseline"]["accuracy"]:.3f}'
        is_grouped = on["n_groups"] < on["n"]
        groups = f" in {_count(on['n_groups'], 'group', 'groups')}" if is_grouped else ""
        n = f"{_count(on['n'], 'image', 'images')}{groups}"
        facts = [fact("on", f"{on['data']}: {interval_text(on['accuracy'])}", always, n, apart)]
        if on["verdict"]:
            facts.append(fact("", on["verdict"]))
        facts.append(
            fact("", "recall " + ", ".join(f"{c['class']} {c['recall']:.2f}" for c in on["per_class"] if c["n"]))
        )
        facts += [
            fact("mistake", f"{one['path']}: {one['predicted']} {one['confidence']:.2f}, not {one['label']}")
            for one in on["mistakes"][:_FIRST]
        ]
        more = len(on["mistakes"]) - _FIRST
        facts += [fact("mistake", f"{more:,} more; --json lists them all")] if more > 0 else []
    return [*facts, *(fact("note", note) for note in on["notes"]), *skipped_facts(on["skipped"])]


def skipped_facts(skipped: Sequence[Mapping[str, str]], label: str = "skipped") -> list[Fact]:
    """List the images that could not be used, the first ten by name, the rest by reason."""
    facts = [fact(label, f"{s['path']}: {s['reason']}") for s in skipped[:_FIRST]]
    rest = Counter(s["reason"] for s in skipped[_FIRST:])
    facts += [fact(label, f"{count:,} more: {reason}") for reason, count in rest.most_common(_FIRST)]
    hidden = sum(rest.values()) - sum(count for _, count in rest.most_common(_FIRST))
    return facts + ([fact(label, f"{hidden:,} more; --json lists them all")] if hidden else [])


def judged_part(summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what has classes and confusions: the cross-validation, else a held-out part; None if neither has."""
    if summary["cv"] is not None:
        return summary["cv"]  # type: ignore[no-any-return]
    test = summary["test"]
    return test if test is not None and test["confusion"] else None


def interval_text(values: Mapping[str, float]) -> str:
    """Return a figure with its interval."""
    return f"{values['mean']:.3f} ({values['low']:.3f} to {values['high']:.3f})"


def change_text(values: Mapping[str, float]) -> str:
    """Return a difference with its interval, each with its sign."""
    mean, low, high = (round(values[name], 3) + 0.0 for name in ("mean", "low", "high"))  # -0.000 is 0
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def _folds(cv: Mapping[str, Any]) -> str:
    repeats = f", {cv['repeats']} times" if cv["repeats"] > 1 else ""
    return f"{cv['n_folds']} folds{repeats} ({cv['splitter']})"


def _valid_for(evaluation: Mapping[str, Any]) -> str:
    """Name what new images may differ in from those that were learnt from: the groups in force."""
    groups = evaluation["groups"]
    if not groups.get("n_named"):
        return "new images from the same sources"
    by = groups.get("group_by") or "the column group"
    ends = "..".join(dict.fromkeys(groups.get("examples", ())))
    return f"new images from groups not learnt from, by {by} ({groups['n_named']:,} so far: {ends})"


def _ungrouped_facts(evaluation: Mapping[str, Any]) -> list[Fact]:
    n_images, n_groups, naive = evaluation["n_images"], evaluation["n_groups"], evaluation["ungrouped_cv"]
    if naive is None or n_groups == n_images:
        return []
    return [fact("ungrouped", f"{naive['accuracy']['mean']:.3f}  ({groups_text(evaluation)})")]


def _worth_facts(views: Mapping[str, Any] | None) -> list[Fact]:
    if views is None:
        return []
    what = f"{views['k']:,} of each image to learn from ({views['policy']})"
    difference = views["difference"]
    if difference is None:
        return [fact("views", f"{what}; whether they help is not known")]
    told = "they help" if difference["low"] > 0 else "they harm" if difference["high"] < 0 else "may be chance"
    without = interval_text(views["without"]["accuracy"])
    return [fact("views", f"{change_text(difference)}: {told}", f"{without} without", what)]


def groups_text(evaluation: Mapping[str, Any]) -> str:
    """Say what was grouped, as ``412 near-copies; 1,399 images in 1,283 groups``."""
    counted = ("n_duplicates", "n_near_duplicates", "n_frames", "n_recordings", "n_versions", "n_originals", "n_named")
    groups = {**dict.fromkeys(counted, 0), **evaluation["groups"]}
    kinds = [
        _count(groups["n_duplicates"], "copy", "copies"),
        _count(groups["n_near_duplicates"], "near-copy", "near-copies"),
        _count(groups["n_frames"], "frame", "frames")
        + (f" of {_count(groups['n_recordings'], 'recording', 'recordings')}" if groups["n_recordings"] else ""),
        f"{groups['n_versions']:,} versions of {_count(groups['n_originals'], 'image', 'images')}"
        if groups["n_versions"]
        else "",
        _count(groups["n_named"], "named group", "named groups"),
    ]
    total = f"{evaluation['n_images']:,} images in {evaluation['n_groups']:,} groups"
    return "; ".join([", ".join(filter(None, kinds)), total] if any(kinds) else [total])


def _count(n: int, one: str, many: str) -> str:
    return "" if not n else f"{n:,} {one if n == 1 else many}"


def _source_facts(evaluation: Mapping[str, Any], to_group: Callable[[str], str] | None) -> list[Fact]:
    def fit_again(group_by: str) -> str:
        return f"featx fit --head {shlex.quote(evaluation['head'])} --group-by {shlex.quote(group_by)} --overwrite"

    facts = []
    for source in evaluation["group_hints"]:
        what = "names contain" if source["name"] == "name" else f"{source['n_sources']:,} of them,"
        text = (
            f"{source['accuracy']['mean']:.3f}  {what} {source['examples'][0]}..{source['examples'][-1]}; "
            f"if these are sources: {(to_group or fit_again)(source['group_by'])}"
        )
        facts.append(fact(f"by {source['name']}", text))
    return facts


def _held_out_facts(part: str, values: Mapping[str, Any] | None) -> list[Fact]:
    if values is None:
        return []
    as_given = f"as given {values['as_given']:.3f} on {values['n_as_given']:,} images"
    if values["accuracy"] is None:
        return [fact(part, f"no honest number: every image is grouped with a training image ({as_given})")]
    own = f"{values['accuracy']:.3f} ({values['low']:.3f} to {values['high']:.3f})"
    shared = values["n_as_given"] - values["n"]
    apart = f", without {shared:,} grouped with training images ({as_given})" if shared else ""
    return [fact(part, own, f"{values['n']:,} images{apart}")]


def _weakest_facts(per_class: Sequence[Mapping[str, Any]]) -> list[Fact]:
    weakest = min((c for c in per_class if c["n"]), key=lambda c: c["recall"])
    return [fact("weakest", f"{weakest['class']}: recall {weakest['recall']:.2f} ({weakest['n']:,} images)")]
