"""Plain lines for a terminal, from the same dictionaries that --json prints."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from featx.contrast import indistinct_notes

_FIRST = 10
_FEW = 4
_WIDEST_MATRIX = 12
_MATRIX_WIDTH = 100
"""Characters that a matrix may take where names are short enough."""


class Line(str):
    """A labelled line of a terminal that remembers its parts, for pages.

    Parameters
    ----------
    label, text : str
    """

    label: str
    text: str

    def __new__(cls, label: str, text: str) -> Line:
        made = super().__new__(cls, f"{label:<10} {text}")
        made.label, made.text = label, text
        return made


def line(label: str, text: str) -> str:
    """Return one labelled line."""
    return Line(label, text)


def line_parts(text: str) -> tuple[str, str]:
    """Return label and text of a line."""
    return (text.label, text.text) if isinstance(text, Line) else ("", text)


def extraction_lines(extraction: Mapping[str, Any]) -> list[str]:
    """Say what an extraction did; ``extraction`` is that of ``featx extract --json``."""
    views = extraction["views"]
    n_new, seconds = extraction["n_computed"], extraction["seconds"] - (views["seconds"] if views else 0)
    speed = f" ({n_new / seconds:,.0f} a second)" if n_new and seconds > 0 else ""
    lines = [line("pictures", f"{extraction['n_cached']:,} cached, {n_new:,} new in {seconds:.1f} s{speed}")]
    lines += _indistinct_lines(extraction)
    if views is not None:
        lines.append(line("views", _views(views)))
    if extraction["cut_away"] is not None:
        share = f"{100 * extraction['cut_away']:.0f} % of the average picture; --resize pad or squash keep all"
        lines.append(line("crop cuts", share))
    lines += [
        line("note", f"{count:,} {'picture' if count == 1 else 'pictures'}: {note}")
        for note, count in sorted(extraction["notes"].items())
    ]
    lines += skipped_lines(extraction["skipped"])
    lines += _ignored_lines(extraction)
    lines.append(line("features", f"{extraction['feature_dim']:,} a picture, in {extraction['store']}"))
    return lines


def _views(views: Mapping[str, Any]) -> str:
    n_new, seconds = views["n_computed"], views["seconds"]
    speed = f" ({n_new / seconds:,.0f} a second)" if n_new and seconds else ""
    done = f"{views['n_cached']:,} cached, {n_new:,} new in {seconds:.1f} s{speed}"
    return f"{views['n']:,} of each picture to learn from ({views['policy']}): {done}"


def inspection_lines(inspection: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with a data set, worst first; ``inspection`` is that of ``featx inspect --json``."""
    lines = [line("pictures", f"{inspection['n_images']:,} usable, looked at in {inspection['seconds']:.1f} s")]
    lines += _indistinct_lines(inspection)
    if inspection["dark"]:
        lines.append(line("too dark", inspection["dark"]))
    lines += [line("labels", remark) for remark in inspection["remarks"]]
    lines += _group_lines("conflict", inspection["conflicts"], "copies with different labels")
    lines += _group_lines("leak", inspection["across_splits"], "copies in different splits")
    lines += skipped_lines(inspection["unreadable"], "unreadable")
    lines += _group_lines("copies", inspection["duplicates"], "the same bytes")
    lines += _group_lines("near", inspection["near_duplicates"], "nearly the same")
    lines += _group_lines("versions", inspection["versions"], "of one image by their names")
    lines += [
        line("take", f"{len(take):,} frames of one recording: {take[0]} .. {take[-1]}")
        for take in inspection["takes"][:_FIRST]
    ]
    if len(inspection["takes"]) > _FIRST:
        lines.append(line("take", f"{len(inspection['takes']) - _FIRST:,} more; --json lists them all"))
    if inspection["too_alike"]:
        classes = ", ".join(inspection["too_alike"])
        lines.append(line("too alike", f"{classes}: near-copies cannot be told there; only the same bytes are"))
    if not inspection["was_compared"]:
        lines.append(line("note", "more than 200,000 pictures: near-copies were not looked for"))
    for name in inspection["tiny"]:
        lines.append(line("tiny", f"{name}: {inspection['classes'][name]:,} pictures, too few for an honest number"))
    lines += [
        line("note", f"{count:,} {'picture' if count == 1 else 'pictures'}: {note}")
        for note, count in sorted(inspection["notes"].items())
    ]
    if inspection["ignored"]:
        lines.append(line("ignored", _ignored(len(inspection["ignored"]))))
    problems = (
        "blank",
        "dark",
        "remarks",
        "too_alike",
        "conflicts",
        "across_splits",
        "unreadable",
        "duplicates",
        "near_duplicates",
        "takes",
        "versions",
        "tiny",
    )
    return lines if any(inspection[name] for name in problems) else [*lines, line("problems", "none found")]


def _indistinct_lines(found: Mapping[str, Any]) -> list[str]:
    return [line("blank" if "contrast" in note else "equal", note) for note in indistinct_notes(found)]


def _group_lines(label: str, groups: Sequence[Sequence[str]], what: str) -> list[str]:
    """List groups of pictures, the first ten by name."""
    lines = [line(label, f"{what}: {_some(group)}") for group in groups[:_FIRST]]
    rest = len(groups) - _FIRST
    return [*lines, line(label, f"{rest:,} more groups; --json lists them all")] if rest > 0 else lines


def _some(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:_FEW])
    return shown if len(paths) <= _FEW else f"{shown} and {len(paths) - _FEW:,} more"


def skipped_lines(skipped: Sequence[Mapping[str, str]], label: str = "skipped") -> list[str]:
    """List the pictures that could not be used, the first ten by name, the rest by reason."""
    lines = [line(label, f"{s['path']}: {s['reason']}") for s in skipped[:_FIRST]]
    rest = Counter(s["reason"] for s in skipped[_FIRST:])
    lines += [line(label, f"{count:,} more: {reason}") for reason, count in rest.most_common(_FIRST)]
    hidden = sum(rest.values()) - sum(count for _, count in rest.most_common(_FIRST))
    return lines + ([line(label, f"{hidden:,} more; --json lists them all")] if hidden else [])


def evaluation_lines(evaluation: Mapping[str, Any], to_group: Callable[[str], str] | None = None) -> list[str]:
    """Say how good a classifier is; ``evaluation`` is that of ``featx fit --json``.

    ``to_group`` returns the command that groups by what is given; by default a new fit of the set extracted last.
    """
    baseline = f'always "{evaluation["baseline"]["class"]}": {evaluation["baseline"]["accuracy"]:.3f}'
    cv = evaluation["cv"]
    lines = _conflict_lines(evaluation["groups"])
    if evaluation["finetuning"] is not None:
        lines += [*contest_lines(evaluation["finetuning"]), line("baseline", baseline)]
    elif cv is None:
        lines += [line("accuracy", f"no honest number: {evaluation['cv_reason']}   {baseline}")]
    else:
        lines += [line("accuracy", f"{interval_text(cv['accuracy'])}   {baseline}")]
    if evaluation["verdict"]:
        lines.append(line("verdict", evaluation["verdict"]))
    lines += _ungrouped_lines(evaluation) + _worth_lines(evaluation["views"])
    for part in ("val", "test") if evaluation["finetuning"] is None else ():
        lines += _held_out_lines(part, evaluation[part])
    if cv is not None:
        lines.append(line("valid for", _valid_for(evaluation)))
        lines += _source_lines(evaluation, to_group)
        lines += _weakest_lines(cv["per_class"])
    params = ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in evaluation["params"].items()
    )
    how = "" if cv is None else f"; {_folds(cv)}, tuned inside each"
    lines.append(line("head", f"{evaluation['head']} ({params or 'as given'}){how}"))
    return lines + [line("note", note) for note in evaluation["notes"]]


def _conflict_lines(groups: Mapping[str, Any]) -> list[str]:
    """Say that the same image has two labels: it makes every other number worse."""
    conflicts = groups.get("conflicts")
    if not conflicts:
        return []
    one, other = conflicts[0]
    pairs = _count(groups.get("n_conflicts", len(conflicts)), "pair", "pairs")
    text = f"{pairs} of duplicates or near-duplicates with different labels, the first {one} and {other}"
    return [line("conflict", f"{text}; featx inspect FOLDER lists them all")]


def contest_lines(contest: Mapping[str, Any]) -> list[str]:
    """Say how the frozen and the fine-tuned network fared on the same held-out pictures."""
    whose = "of the test part" if contest["is_own_test"] else "held out"
    lines = []
    if contest["frozen"] is not None:
        lines.append(line("frozen", interval_text(contest["frozen"]["accuracy"])))
    tuned = interval_text(contest["finetuned"]["accuracy"])
    lines.append(line("finetuned", f"{tuned}   {contest['n_held_out']:,} pictures {whose}; {contest['unfrozen']}"))
    if contest["difference"] is not None:
        lines.append(line("difference", f"{change_text(contest['difference'])}   {_verdict(contest)}"))
    return lines


def _verdict(contest: Mapping[str, Any]) -> str:
    if contest["kept"] == "frozen":
        return "no gain: the frozen network is kept; featx fit trains its head on all pictures"
    if contest["difference"]["low"] <= 0:
        return "better, but that may be chance; the fine-tuned network is kept"
    return "better; the fine-tuned network is kept"


def full_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say all that is known of a classifier; ``summary`` is that of ``featx report --json``."""
    features = summary["features"]
    taken = f"layer {features['layer']}" if features["layer"] else "last layer"
    lines = [line("model", summary["model"])] if summary["model"] else []
    lines += [
        line(
            "features",
            f"{features['backbone']}, {taken}, {features['pooling']}: {features['feature_dim']:,} a picture",
        ),
        line("pixels", f"{features['size']} x {features['size']} by {features['resize']}"),
        line("engine", f"{features['engine']} {features['precision']}"),
        line("learnt on", f"{summary['n_images']:,} pictures in {summary['n_groups']:,} groups"),
        *fact_lines(summary),
        *_missing_lines(summary),
    ]
    judged = judged_part(summary)
    if judged is None:
        return lines
    lines += _suspect_lines(summary)
    if summary["cv"] is None:
        lines += ["", f"of the {judged['n']:,} images held out:"]
    tables = [*_class_table(judged["per_class"]), "", *_confusion_table(summary["classes"], judged["confusion"])]
    on = summary["on"]
    if on is not None and on["confusion"]:
        tables += ["", f"on {on['data']}:", *_confusion_table(summary["classes"], on["confusion"])]
    return [*lines, "", *tables]


def judged_part(summary: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what has classes and confusions: the cross-validation, else a held-out part; None if neither has."""
    if summary["cv"] is not None:
        return summary["cv"]  # type: ignore[no-any-return]
    test = summary["test"]
    return test if test is not None and test["confusion"] else None


def fact_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say how good a classifier is, in all figures that are not of single classes or pictures."""
    lines = evaluation_lines(summary) + _outside_lines(summary["on"])
    cv = summary["cv"]
    if cv is None:
        return lines
    lines.append(line("balanced", f"{interval_text(cv['balanced_accuracy'])}   every class counting alike"))
    lines.append(line("by fold", "  ".join(f"{score:.3f}" for score in cv["per_fold"])))
    reliability = summary["reliability"]
    if reliability is not None:
        lines.append(line("reliable", f"Brier {reliability['brier']:.3f}, calibration error {reliability['ece']:.3f}"))
    return lines + _learning_lines(summary["learning_curve"])


def _learning_lines(curve: Mapping[str, Any] | None) -> list[str]:
    if curve is None or not curve["points"]:
        return []
    text = ", ".join(f"{one['accuracy']['mean']:.3f} with {one['n']:,}" for one in curve["points"])
    lines = [line("learning", text)]
    if curve["outlook"] is not None:
        lines.append(line("more?", curve["outlook"]["sentence"]))
    return lines + [line("", f"not from {one['n']:,} pictures: {one['reason']}") for one in curve["left_out"]]


def _outside_lines(on: Mapping[str, Any] | None) -> list[str]:
    if on is None:
        return []
    known = on["n_seen"] + on["n_near"]
    copies = f" or near-copies of ({on['n_near']:,})" if on["n_near"] else ""
    apart = f"   without {known:,} that it was fitted on{copies} (with them {on['as_given']:.3f})" if known else ""
    if on["accuracy"] is None:
        lines = [line("on", f"{on['data']}: all {known:,} pictures were used to fit this model{copies}")]
    else:
        always = f'always "{on["baseline"]["class"]}": {on["baseline"]["accuracy"]:.3f}'
        is_grouped = on["n_groups"] < on["n"]
        groups = f" in {_count(on['n_groups'], 'group', 'groups')}" if is_grouped else ""
        n = f"{_count(on['n'], 'picture', 'pictures')}{groups}"
        lines = [line("on", f"{on['data']}: {interval_text(on['accuracy'])}   {always}   {n}{apart}")]
        if on["verdict"]:
            lines.append(line("", on["verdict"]))
        lines.append(
            line("", "recall " + ", ".join(f"{c['class']} {c['recall']:.2f}" for c in on["per_class"] if c["n"]))
        )
        lines += [
            line("mistake", f"{one['path']}: {one['predicted']} {one['confidence']:.2f}, not {one['label']}")
            for one in on["mistakes"][:_FIRST]
        ]
        more = len(on["mistakes"]) - _FIRST
        lines += [line("mistake", f"{more:,} more; --json lists them all")] if more > 0 else []
    return [*lines, *(line("note", note) for note in on["notes"]), *skipped_lines(on["skipped"])]


def _missing_lines(summary: Mapping[str, Any]) -> list[str]:
    images = summary["images"]
    if images is None or not images["n_missing"]:
        return []
    where = f"in {images['data']}" if images["data"] else f"the folder {summary['made'].get('data')} is gone"
    text = f"{images['n_missing']:,} of the {images['n']:,} images of the page are not as they were ({where})"
    return [line("warning", f"{text}; --data FOLDER says where they are")]


def _suspect_lines(summary: Mapping[str, Any]) -> list[str]:
    lines = [
        line("conflict", f"copies, labels differ: {', '.join(pair)}") for pair in summary["groups"]["conflicts"][:5]
    ]
    lines += [
        line("suspect", f"{one['path']}: {one['suggested']} {one['p_suggested']:.2f}, not {one['label']}?")
        for one in summary["suspects"][:5]
    ]
    more = summary["n_suspects"] - 5
    if more > 0:
        command = f"featx report {shlex.quote(summary['model'] or 'MODEL')} --suspects suspects.csv"
        lines.append(line("suspect", f"{more:,} more; {command} lists them all"))
    if summary["suspects"]:
        lines.append(
            line(
                "", "if a label is wrong: move the image into the folder of its class, or correct the manifest, and fit"
            )
        )
    return lines


def prediction_lines(prediction: Mapping[str, Any]) -> list[str]:
    """Say what predict did; ``prediction`` is that of ``featx predict --json``."""
    lines = []
    rows = prediction.get("rows", ())[: 2 * _FIRST]
    width = max((len(row["label"]) for row in rows), default=0)
    for row in rows:
        if row["status"] != "ok":
            lines.append(line(row["status"], f"{row['path']}: {row['reason']}"))
        else:
            seen = "  (seen)" if row["seen"] else ""
            lines.append(f"{row['label']:<{max(10, width)}} {row['confidence']:.3f}  {row['path']}{seen}")
    more = len(prediction.get("rows", ())) - 2 * _FIRST
    if more > 0:
        lines.append(line("...", f"{more:,} more; -o scores.csv writes them all"))
    rate = prediction["images_per_second"]
    speed = f" in {prediction['seconds']:.1f} s ({rate:,.0f} a second)" if rate else ""
    rejected = f"{prediction['n_rejected']:,} rejected, " if prediction["n_rejected"] else ""
    counts = f"{prediction['n_predicted']:,} predicted, {rejected}{prediction['n_skipped']:,} skipped{speed}"
    lines.append(line("pictures", counts))
    lines += _ignored_lines(prediction)
    if prediction["n_seen"]:
        lines.append(
            line(
                "warning",
                f"{prediction['n_seen']:,} of {prediction['n_images']:,} pictures were used to fit this model; "
                "their scores say nothing about new pictures",
            )
        )
    return lines


def _ignored_lines(result: Mapping[str, Any]) -> list[str]:
    n = result["n_ignored"] - sum(folder["n_files"] for folder in result["left_out"])  # they are named already
    return [line("ignored", _ignored(n))] if n else []


def _ignored(n: int) -> str:
    return "1 file that is no picture" if n == 1 else f"{n:,} files that are no pictures"


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


def _ungrouped_lines(evaluation: Mapping[str, Any]) -> list[str]:
    n_images, n_groups, naive = evaluation["n_images"], evaluation["n_groups"], evaluation["naive_cv"]
    if naive is None or n_groups == n_images:
        return []
    return [line("ungrouped", f"{naive['accuracy']['mean']:.3f}  ({groups_text(evaluation)})")]


def _worth_lines(views: Mapping[str, Any] | None) -> list[str]:
    if views is None:
        return []
    what = f"{views['k']:,} of each picture to learn from ({views['policy']})"
    difference = views["difference"]
    if difference is None:
        return [line("views", f"{what}; whether they help is not known")]
    told = "they help" if difference["low"] > 0 else "they harm" if difference["high"] < 0 else "may be chance"
    without = interval_text(views["without"]["accuracy"])
    return [line("views", f"{change_text(difference)}: {told}   {without} without   {what}")]


def groups_text(evaluation: Mapping[str, Any]) -> str:
    """Say what was grouped, as ``412 near-copies; 1,399 pictures in 1,283 groups``."""
    counted = ("n_copies", "n_near_copies", "n_frames", "n_takes", "n_versions", "n_originals", "n_named")
    groups = {**dict.fromkeys(counted, 0), **evaluation["groups"]}
    kinds = [
        _count(groups["n_copies"], "copy", "copies"),
        _count(groups["n_near_copies"], "near-copy", "near-copies"),
        _count(groups["n_frames"], "frame", "frames")
        + (f" of {_count(groups['n_takes'], 'take', 'takes')}" if groups["n_takes"] else ""),
        f"{groups['n_versions']:,} versions of {_count(groups['n_originals'], 'image', 'images')}"
        if groups["n_versions"]
        else "",
        _count(groups["n_named"], "named group", "named groups"),
    ]
    total = f"{evaluation['n_images']:,} pictures in {evaluation['n_groups']:,} groups"
    return "; ".join([", ".join(filter(None, kinds)), total] if any(kinds) else [total])


def _count(n: int, one: str, many: str) -> str:
    return "" if not n else f"{n:,} {one if n == 1 else many}"


def _source_lines(evaluation: Mapping[str, Any], to_group: Callable[[str], str] | None) -> list[str]:
    def fit_again(group_by: str) -> str:
        return f"featx fit --head {shlex.quote(evaluation['head'])} --group-by {shlex.quote(group_by)} --overwrite"

    lines = []
    for source in evaluation["sources"]:
        what = "names contain" if source["name"] == "name" else f"{source['n_sources']:,} of them,"
        text = (
            f"{source['accuracy']['mean']:.3f}  {what} {source['examples'][0]}..{source['examples'][-1]}; "
            f"if these are sources: {(to_group or fit_again)(source['group_by'])}"
        )
        lines.append(line(f"by {source['name']}", text))
    return lines


def _held_out_lines(part: str, values: Mapping[str, Any] | None) -> list[str]:
    if values is None:
        return []
    as_given = f"as given {values['as_given']:.3f} on {values['n_as_given']:,} pictures"
    if values["accuracy"] is None:
        return [line(part, f"no honest number: every picture is grouped with a training picture ({as_given})")]
    own = f"{values['accuracy']:.3f} ({values['low']:.3f} to {values['high']:.3f})   {values['n']:,} pictures"
    shared = values["n_as_given"] - values["n"]
    return [line(part, f"{own}, without {shared:,} grouped with training pictures ({as_given})" if shared else own)]


def _weakest_lines(per_class: Sequence[Mapping[str, Any]]) -> list[str]:
    weakest = min((c for c in per_class if c["n"]), key=lambda c: c["recall"])
    return [line("weakest", f"{weakest['class']}: recall {weakest['recall']:.2f} ({weakest['n']:,} pictures)")]


def _class_table(per_class: Sequence[Mapping[str, Any]]) -> list[str]:
    width = max(5, *(len(c["class"]) for c in per_class))
    lines = [f"{'class':<{width}}  precision  recall     f1  pictures"]
    for c in per_class:
        lines.append(f"{c['class']:<{width}}  {c['precision']:9.3f}  {c['recall']:6.3f}  {c['f1']:5.3f}  {c['n']:8,}")
    return lines


def _confusion_table(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    if len(classes) > _WIDEST_MATRIX:
        return _worst_confusions(classes, confusion)
    names = _shortened(classes)
    width = max(5, *(len(name) for name in names), *(len(f"{n:,}") for row in confusion for n in row))
    lines = ["true class (rows) taken for (columns)", " " * width + "".join(f"  {name:>{width}}" for name in names)]
    for name, row in zip(names, confusion, strict=True):
        lines.append(f"{name:<{width}}" + "".join(f"  {n:>{width},}" for n in row))
    return lines


def _shortened(classes: Sequence[str]) -> list[str]:
    """Return names of classes for a matrix: whole where there is room, else with both ends, which tell them apart."""
    room = max(12, _MATRIX_WIDTH // (len(classes) + 1) - 2)
    half = room // 2
    return [name if len(name) <= room else f"{name[: room - half]}…{name[1 - half :]}" for name in classes]


def _worst_confusions(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    pairs = [(n, classes[i], classes[j]) for i, row in enumerate(confusion) for j, n in enumerate(row) if i != j and n]
    worst = sorted(pairs, key=lambda pair: -pair[0])[:_FIRST]
    return ["most frequent confusions"] + [f"{n:>6,}  {true} taken for {taken}" for n, true, taken in worst]
