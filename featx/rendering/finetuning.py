"""Lines about fine-tuning, from the dictionary that --json prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.rendering.facts import contest_facts
from featx.rendering.terminal import fact_lines, line


def finetuning_lines(result: Mapping[str, Any]) -> list[str]:
    """Say whether fine-tuning paid; ``result`` is that of ``featx finetune --json``."""
    baseline = result["baseline"]
    return [
        *fact_lines(contest_facts(result)),
        line("baseline", f'always "{baseline["class"]}": {baseline["accuracy"]:.3f}'),
        *_course_lines(result),
        *(line("note", note) for note in result["notes"]),
    ]


def _course_lines(result: Mapping[str, Any]) -> list[str]:
    per_epoch = result["seconds_per_epoch"]
    taken = f", {per_epoch:.1f} s each" if per_epoch is not None else ""
    best = (
        "the network before training was best" if not result["best_epoch"] else f"the best was {result['best_epoch']}"
    )
    lines = [line("epochs", f"{result['epochs']}{taken}; by the validation part {best}")]
    zero = result["step_zero"]
    if zero["frozen_val_accuracy"] is not None:
        told = f"{zero['val_accuracy']:.3f} on the validation part (the frozen head {zero['frozen_val_accuracy']:.3f})"
        lines.append(line("step 0", told))
    return lines
