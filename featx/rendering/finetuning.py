"""Text lines about fine-tuning, from the dictionary that ``--json`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.rendering.facts import finetune_facts, majority_text
from featx.rendering.terminal import fact_lines, line


def finetuning_lines(result: Mapping[str, Any]) -> list[str]:
    """Return lines about the gain of fine-tuning; ``result`` is the result of ``featx finetune --json``."""
    return [
        *fact_lines(finetune_facts(result)),
        line("baseline", majority_text(result["baseline"])),
        *_epoch_lines(result),
        *(line("note", note) for note in result["notes"]),
    ]


def _epoch_lines(result: Mapping[str, Any]) -> list[str]:
    per_epoch = result["seconds_per_epoch"]
    duration = f", {per_epoch:.1f} s each" if per_epoch is not None else ""
    best = f"in epoch {result['best_epoch']}" if result["best_epoch"] else "before training (no epoch reduced it)"
    lines = [line("epochs", f"{result['epochs']}{duration}; lowest validation loss: {best}")]
    zero = result["step_zero"]
    if zero["frozen_val_accuracy"] is not None:
        frozen = f"the head from which they were made: {zero['frozen_val_accuracy']:.3f}"
        lines.append(
            line("start", f"validation accuracy {zero['val_accuracy']:.3f} with the initial dense layers ({frozen})")
        )
    return lines
