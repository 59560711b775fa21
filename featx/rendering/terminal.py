"""Plain lines for a terminal, from the same dictionaries that --json prints."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from featx.contrast import indistinct_notes
from featx.rendering.facts import Fact, evaluation_facts, judged_part, report_facts, skipped_facts

_FIRST = 10
_FEW = 4
_WIDEST_MATRIX = 12
_MATRIX_WIDTH = 100
"""Characters that a matrix may take where names are short enough."""


def line(label: str, *parts: str) -> str:
    """Return one labelled line."""
    return f"{label:<10} {'   '.join(parts)}"


def fact_lines(facts: Iterable[Fact]) -> list[str]:
    """Return facts as lines."""
    return [line(label, *parts) for label, parts in facts]


def evaluation_lines(evaluation: Mapping[str, Any], to_group: Callable[[str], str] | None = None) -> list[str]:
    """Say how good a classifier is; see :func:`featx.rendering.facts.evaluation_facts`."""
    return fact_lines(evaluation_facts(evaluation, to_group))


def extraction_lines(extraction: Mapping[str, Any]) -> list[str]:
    """Say what an extraction did; ``extraction`` is that of ``featx extract --json``."""
    views = extraction["views"]
    n_new, seconds = extraction["n_computed"], extraction["seconds"] - (views["seconds"] if views else 0)
    speed = f" ({n_new / seconds:,.0f} a second)" if n_new and seconds > 0 else ""
    lines = [line("images", f"{extraction['n_cached']:,} cached, {n_new:,} new in {seconds:.1f} s{speed}")]
    lines += _indistinct_lines(extraction)
    if views is not None:
        lines.append(line("views", _views(views)))
    if extraction["cut_away"] is not None:
        share = f"{100 * extraction['cut_away']:.0f} % of the average image; --resize pad or squash keep all"
        lines.append(line("crop cuts", share))
    lines += [
        line("note", f"{count:,} {'image' if count == 1 else 'images'}: {note}")
        for note, count in sorted(extraction["notes"].items())
    ]
    lines += fact_lines(skipped_facts(extraction["skipped"]))
    lines += _ignored_lines(extraction)
    lines.append(line("features", f"{extraction['n_features']:,} an image, in {extraction['store']}"))
    return lines


def _views(views: Mapping[str, Any]) -> str:
    n_new, seconds = views["n_computed"], views["seconds"]
    speed = f" ({n_new / seconds:,.0f} a second)" if n_new and seconds else ""
    done = f"{views['n_cached']:,} cached, {n_new:,} new in {seconds:.1f} s{speed}"
    return f"{views['n']:,} of each image to learn from ({views['policy']}): {done}"


def inspection_lines(inspection: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with a data set, worst first; ``inspection`` is that of ``featx inspect --json``."""
    lines = [line("images", f"{inspection['n_images']:,} usable, looked at in {inspection['seconds']:.1f} s")]
    lines += _indistinct_lines(inspection)
    if inspection["dark"]:
        lines.append(line("too dark", inspection["dark"]))
    lines += [line("labels", remark) for remark in inspection["remarks"]]
    lines += _group_lines("conflict", inspection["conflicts"], "copies with different labels")
    lines += _group_lines("leak", inspection["across_splits"], "copies in different splits")
    lines += fact_lines(skipped_facts(inspection["unreadable"], "unreadable"))
    lines += _group_lines("copies", inspection["duplicates"], "the same bytes")
    lines += _group_lines("near", inspection["near_duplicates"], "nearly the same")
    lines += _group_lines("versions", inspection["versions"], "of one image by their names")
    lines += [
        line("recording", f"{len(recording):,} frames of one recording: {recording[0]} .. {recording[-1]}")
        for recording in inspection["recordings"][:_FIRST]
    ]
    if len(inspection["recordings"]) > _FIRST:
        lines.append(line("recording", f"{len(inspection['recordings']) - _FIRST:,} more; --json lists them all"))
    if inspection["too_alike"]:
        classes = ", ".join(inspection["too_alike"])
        lines.append(line("too alike", f"{classes}: near-copies cannot be told there; only the same bytes are"))
    if not inspection["was_compared"]:
        lines.append(line("note", "more than 200,000 images: near-copies were not looked for"))
    for name in inspection["tiny"]:
        lines.append(line("tiny", f"{name}: {inspection['classes'][name]:,} images, too few for an honest number"))
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
        "unreadable",
        "duplicates",
        "near_duplicates",
        "recordings",
        "versions",
        "tiny",
    )
    return lines if any(inspection[name] for name in problems) else [*lines, line("problems", "none found")]


def _indistinct_lines(found: Mapping[str, Any]) -> list[str]:
    return [line("blank" if "contrast" in note else "equal", note) for note in indistinct_notes(found)]


def _group_lines(label: str, groups: Sequence[Sequence[str]], what: str) -> list[str]:
    """List groups of images, the first ten by name."""
    lines = [line(label, f"{what}: {_some(group)}") for group in groups[:_FIRST]]
    rest = len(groups) - _FIRST
    return [*lines, line(label, f"{rest:,} more groups; --json lists them all")] if rest > 0 else lines


def _some(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:_FEW])
    return shown if len(paths) <= _FEW else f"{shown} and {len(paths) - _FEW:,} more"


def full_lines(summary: Mapping[str, Any]) -> list[str]:
    """Say all that is known of a classifier; ``summary`` is that of ``featx report --json``."""
    features = summary["features"]
    taken = f"layer {features['layer']}" if features["layer"] else "last layer"
    lines = [line("model", summary["model"])] if summary["model"] else []
    lines += [
        line(
            "features",
            f"{features['backbone']}, {taken}, {features['pooling']}: {features['n_features']:,} an image",
        ),
        line("pixels", f"{features['size']} x {features['size']} by {features['resize']}"),
        line("engine", f"{features['engine']} {features['precision']}"),
        line("learnt on", f"{summary['n_images']:,} images in {summary['n_groups']:,} groups"),
        *fact_lines(report_facts(summary)),
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
    lines.append(line("images", counts))
    lines += _ignored_lines(prediction)
    if prediction["n_seen"]:
        lines.append(
            line(
                "warning",
                f"{prediction['n_seen']:,} of {prediction['n_images']:,} images were used to fit this model; "
                "their scores say nothing about new images",
            )
        )
    return lines


def _ignored_lines(result: Mapping[str, Any]) -> list[str]:
    n = result["n_ignored"] - sum(folder["n_files"] for folder in result["own_folders"])  # they are named already
    return [line("ignored", _ignored(n))] if n else []


def _ignored(n: int) -> str:
    return "1 file that is no image" if n == 1 else f"{n:,} files that are no images"


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
