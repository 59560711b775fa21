"""Render results as text lines for a terminal, from the dictionaries that ``--json`` prints."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from featx.contrast import indistinct_notes
from featx.rendering.facts import (
    CONFLICTS,
    Fact,
    evaluation_facts,
    judged_part,
    report_facts,
    skipped_facts,
    verdict_facts,
)

_FIRST = 10
_FEW = 4
_WIDEST_MATRIX = 12
_MATRIX_WIDTH = 100
"""Maximum width of a confusion matrix in characters; longer class names are shortened."""

_POOLINGS = {"avg": "average pooling", "max": "maximum pooling", "flatten": "no pooling (flatten)"}


def line(label: str, *parts: str) -> str:
    """Return a line with a label, padded to 10 characters, and the parts of the text."""
    return f"{label:<10} {'   '.join(parts)}"


def fact_lines(facts: Iterable[Fact]) -> list[str]:
    """Return the facts as lines."""
    return [line(label, *parts) for label, parts in facts]


def evaluation_lines(evaluation: Mapping[str, Any], to_group: Callable[[str], str] | None = None) -> list[str]:
    """Return lines about the accuracy of a classifier; see :func:`featx.rendering.facts.evaluation_facts`."""
    return fact_lines([*verdict_facts(evaluation), *evaluation_facts(evaluation, to_group)])


def extraction_lines(extraction: Mapping[str, Any]) -> list[str]:
    """Return lines about an extraction; ``extraction`` is the result of ``featx extract --json``."""
    views = extraction["views"]
    n_new, seconds = extraction["n_computed"], extraction["seconds"] - (views["seconds"] if views else 0)
    speed = f" ({n_new / seconds:,.0f} per second)" if n_new and seconds > 0 else ""
    n_duplicates = extraction["n_duplicates"]
    counts = f"{extraction['n_cached'] - n_duplicates:,} cached, {n_new:,} computed in {seconds:.1f} s{speed}"
    more = "more image is a duplicate" if n_duplicates == 1 else "more images are duplicates"
    lines = [line("images", counts + (f"; {n_duplicates:,} {more} of these" if n_duplicates else ""))]
    lines += _indistinct_lines(extraction)
    if views is not None:
        lines.append(line("views", _views(views)))
    if extraction["cut_away"] is not None:
        share = f"on average {100 * extraction['cut_away']:.0f} % of each image is cut off"
        lines.append(line("crop", f"{share}; --resize pad and --resize squash keep the whole image"))
    lines += [
        line("note", f"{count:,} {'image' if count == 1 else 'images'}: {note}")
        for note, count in sorted(extraction["notes"].items())
    ]
    lines += fact_lines(skipped_facts(extraction["skipped"]))
    lines += _ignored_lines(extraction)
    lines.append(line("features", f"{extraction['n_features']:,} per image, stored in {extraction['store']}"))
    return lines


def _views(views: Mapping[str, Any]) -> str:
    n_new, seconds = views["n_computed"], views["seconds"]
    speed = f" ({n_new / seconds:,.0f} per second)" if n_new and seconds else ""
    counts = f"{views['n_cached']:,} cached, {n_new:,} computed in {seconds:.1f} s{speed}"
    return f"{views['n']:,} for each training image ({views['policy']}): {counts}"


def inspection_lines(inspection: Mapping[str, Any]) -> list[str]:
    """Return lines about problems of a data set, the most severe first.

    Parameters
    ----------
    inspection : mapping
        Result of ``featx inspect --json``.
    """
    lines = [line("images", f"{inspection['n_images']:,} usable, inspected in {inspection['seconds']:.1f} s")]
    lines += _indistinct_lines(inspection)
    if inspection["dark"]:
        lines.append(line("too dark", inspection["dark"]))
    lines += [line("labels", remark) for remark in inspection["remarks"]]
    for name, description in CONFLICTS.items():
        lines += _group_lines("conflict", inspection[name], description)
    lines += _group_lines("leak", inspection["across_splits"], "duplicates or near-duplicates in different splits")
    lines += fact_lines(skipped_facts(inspection["invalid"], "invalid"))
    lines += _group_lines("duplicates", inspection["duplicates"], "files with the same bytes")
    lines += _group_lines("similar", inspection["near_duplicates"], "near-duplicates")
    lines += _group_lines("versions", inspection["versions"], "versions of one image, recognised by their names")
    lines += [
        line("recording", f"{len(recording):,} frames of one recording: {recording[0]} to {recording[-1]}")
        for recording in inspection["recordings"][:_FIRST]
    ]
    if len(inspection["recordings"]) > _FIRST:
        lines.append(line("recording", f"{len(inspection['recordings']) - _FIRST:,} more recordings; --json lists all"))
    if inspection["too_alike"]:
        classes = ", ".join(inspection["too_alike"])
        text = f"{classes}: images of these classes are so similar that only duplicates, not near-duplicates, are found"
        lines.append(line("too alike", text))
    for name in inspection["tiny"]:
        n = inspection["classes"][name]
        lines.append(line("tiny", f"{name}: {n:,} {'image' if n == 1 else 'images'}, too few for an accuracy estimate"))
    lines += [
        line("note", f"{count:,} {'image' if count == 1 else 'images'}: {note}")
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
        "invalid",
        "duplicates",
        "near_duplicates",
        "recordings",
        "versions",
        "tiny",
    )
    return lines if any(inspection[name] for name in problems) else [*lines, line("problems", "none found")]


def _indistinct_lines(result: Mapping[str, Any]) -> list[str]:
    return [line("blank" if "contrast" in note else "equal", note) for note in indistinct_notes(result)]


def _group_lines(label: str, groups: Sequence[Sequence[str]], description: str) -> list[str]:
    """Return lines that list the images of the first ten groups, and the number of further groups."""
    lines = [line(label, f"{description}: {_some(group)}") for group in groups[:_FIRST]]
    rest = len(groups) - _FIRST
    return [*lines, line(label, f"{rest:,} more groups; --json lists all groups")] if rest > 0 else lines


def _some(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:_FEW])
    return shown if len(paths) <= _FEW else f"{shown} and {len(paths) - _FEW:,} more"


def report_lines(summary: Mapping[str, Any]) -> list[str]:
    """Return all lines of a report; ``summary`` is the result of ``featx report --json``."""
    features = summary["features"]
    layer = f"layer {features['layer']}" if features["layer"] else "last layer"
    pooling = _POOLINGS.get(features["pooling"], features["pooling"])
    lines = [line("model", summary["model"])] if summary["model"] else []
    lines += [
        *fact_lines(verdict_facts(summary)),
        line(
            "features",
            f"{features['backbone']}, {layer}, {pooling}: {features['n_features']:,} per image",
        ),
        line("input", f"{features['size']} x {features['size']} pixels, resized by {features['resize']}"),
        line("engine", f"{features['engine']}, {features['precision']}"),
        line("fitted on", f"{summary['n_images']:,} images in {summary['n_groups']:,} groups"),
        *fact_lines(report_facts(summary)),
        *_missing_lines(summary),
    ]
    judged, on = judged_part(summary), summary["on"]
    if judged is not None:
        lines += _suspect_lines(summary)
        if summary["cv"] is None:
            lines += ["", f"on {judged['n']:,} held-out images:"]
        lines += ["", *_tables(summary["classes"], judged)]
    if on is not None and on["confusion"]:
        lines += ["", f"on {on['data']}:", "", *_tables(summary["classes"], on)]
    return lines


def _tables(classes: Sequence[str], judged: Mapping[str, Any]) -> list[str]:
    return [*_class_table(judged["per_class"]), "", *_confusion_table(classes, judged["confusion"])]


def _missing_lines(summary: Mapping[str, Any]) -> list[str]:
    images = summary["images"]
    if images is None or not images["n_missing"]:
        return []
    where = f"in {images['data']}" if images["data"] else f"the folder {summary['made'].get('data')} no longer exists"
    text = f"{images['n_missing']:,} of the {images['n']:,} images of the page are missing or have changed ({where})"
    return [line("warning", f"{text}; state their location with --data FOLDER")]


def _suspect_lines(summary: Mapping[str, Any]) -> list[str]:
    lines = [
        line("conflict", f"{description}: {', '.join(pair)}")
        for name, description in CONFLICTS.items()
        for pair in summary["groups"][name][:5]
    ]
    lines += [
        line(
            "suspect",
            f"{row['path']}: label {row['label']}, predicted {row['suggested']} (probability {row['p_suggested']:.2f})",
        )
        for row in summary["suspects"][:5]
    ]
    more = summary["n_suspects"] - 5
    if more > 0:
        command = f"featx report {shlex.quote(summary['model'] or 'MODEL')} --suspects suspects.csv"
        lines.append(line("suspect", f"{more:,} more images; to list all: {command}"))
    if summary["suspects"]:
        lines.append(
            line(
                "",
                "If a label is wrong, move the image to the correct folder, or correct the manifest. Then fit again.",
            )
        )
    return lines


def prediction_lines(prediction: Mapping[str, Any]) -> list[str]:
    """Return lines about a prediction; ``prediction`` is the result of ``featx predict --json``."""
    lines = []
    rows = prediction.get("rows", ())[: 2 * _FIRST]
    width = max((len(f"class {row['label']}") for row in rows), default=0)
    for row in rows:
        if row["status"] != "ok":
            lines.append(line(row["status"], f"{row['path']}: {row['reason']}"))
        else:
            seen = "  (training image)" if row["seen"] else ""
            label = f"class {row['label']}"
            lines.append(f"{label:<{max(10, width)}} {row['confidence']:.3f}  {row['path']}{seen}")
    more = len(prediction.get("rows", ())) - 2 * _FIRST
    if more > 0:
        lines.append(line("...", f"{more:,} more images; -o scores.csv writes all"))
    rate = prediction["images_per_second"]
    speed = f" in {prediction['seconds']:.1f} s ({rate:,.0f} per second)" if rate else ""
    may_reject = prediction["n_rejected"] or prediction.get("reject_rate") is not None
    rejected = f"{prediction['n_rejected']:,} rejected, " if may_reject else ""
    counts = f"{prediction['n_predicted']:,} predicted, {rejected}{prediction['n_skipped']:,} skipped{speed}"
    lines.append(line("images", counts))
    if prediction["n_kept"]:
        new = f"{prediction['n_new']:,} new" if prediction["n_new"] else "no new images"
        lines.append(line("table has", f"{new}; {prediction['n_kept']:,} rows were kept"))
    lines += _ignored_lines(prediction)
    if prediction["n_seen"]:
        lines.append(
            line(
                "warning",
                f"{prediction['n_seen']:,} of {prediction['n_images']:,} images were used to fit this model; "
                "their probabilities are usually higher than those of new images",
            )
        )
    return lines


def _ignored_lines(result: Mapping[str, Any]) -> list[str]:
    n_named = sum(folder["n_files"] for folder in result["own_folders"])  # notices have already reported these folders
    n = result["n_ignored"] - n_named
    return [line("ignored", _ignored(n))] if n else []


def _ignored(n: int) -> str:
    return "1 file that is not an image" if n == 1 else f"{n:,} files that are not images"


def _class_table(per_class: Sequence[Mapping[str, Any]]) -> list[str]:
    width = max(5, *(len(c["class"]) for c in per_class))
    lines = [f"{'class':<{width}}  precision  recall     f1  images"]
    for c in per_class:
        lines.append(f"{c['class']:<{width}}  {c['precision']:9.3f}  {c['recall']:6.3f}  {c['f1']:5.3f}  {c['n']:8,}")
    return lines


def _confusion_table(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    if len(classes) > _WIDEST_MATRIX:
        return _worst_confusions(classes, confusion)
    names = _shortened(classes)
    width = max(5, *(len(name) for name in names), *(len(f"{n:,}") for row in confusion for n in row))
    lines = [
        "true class (rows), predicted class (columns)",
        " " * width + "".join(f"  {name:>{width}}" for name in names),
    ]
    for name, row in zip(names, confusion, strict=True):
        lines.append(f"{name:<{width}}" + "".join(f"  {n:>{width},}" for n in row))
    return lines


def _shortened(classes: Sequence[str]) -> list[str]:
    """Return class names for a matrix; the middle of a long name is left out, because names differ at the ends."""
    room = max(12, _MATRIX_WIDTH // (len(classes) + 1) - 2)
    half = room // 2
    return [name if len(name) <= room else f"{name[: room - half]}…{name[1 - half :]}" for name in classes]


def _worst_confusions(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    pairs = [(n, classes[i], classes[j]) for i, row in enumerate(confusion) for j, n in enumerate(row) if i != j and n]
    worst = sorted(pairs, key=lambda pair: -pair[0])[:_FIRST]
    return ["most frequent confusions"] + [f"{n:>6,}  {true} predicted as {other}" for n, true, other in worst]
