"""Lines about fine-tuning, from the dictionary that --json prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.reporting.terminal import line


def finetuning_lines(result: Mapping[str, Any]) -> list[str]:
    """Say whether fine-tuning paid; ``result`` is that of ``featx finetune --json``."""
    return [*contest_lines(result), *_course_lines(result), *(line("note", note) for note in result["notes"])]


def contest_lines(contest: Mapping[str, Any]) -> list[str]:
    """Say how the frozen and the fine-tuned network fared on the same held-out pictures."""
    whose = "of the test part" if contest["is_own_test"] else "held out"
    lines = []
    if contest["frozen"] is not None:
        lines.append(line("frozen", _interval(contest["frozen"]["accuracy"])))
    tuned = _interval(contest["finetuned"]["accuracy"])
    lines.append(line("finetuned", f"{tuned}   {contest['n_held_out']:,} pictures {whose}; {contest['unfrozen']}"))
    if contest["difference"] is not None:
        lines.append(line("difference", f"{_signed(contest['difference'])}   {_verdict(contest)}"))
    return lines


def _verdict(contest: Mapping[str, Any]) -> str:
    if contest["kept"] == "frozen":
        return "no gain: the frozen network is kept; featx fit trains its head on all pictures"
    if contest["difference"]["low"] <= 0:
        return "better, but that may be chance; the fine-tuned network is kept"
    return "better; the fine-tuned network is kept"


def _course_lines(result: Mapping[str, Any]) -> list[str]:
    per_epoch = result["seconds_per_epoch"]
    taken = f", {per_epoch:.1f} s each" if per_epoch is not None else ""
    best = "the network before training was best" if not result["best_epoch"] else f"the best was {result['best_epoch']}"
    lines = [line("epochs", f"{result['epochs']}{taken}; by the validation part {best}")]
    zero = result["step_zero"]
    if zero["frozen_val_accuracy"] is not None:
        told = f"{zero['val_accuracy']:.3f} on the validation part (the frozen head {zero['frozen_val_accuracy']:.3f})"
        lines.append(line("step 0", told))
    return lines


def _interval(values: Mapping[str, float]) -> str:
    return f"{values['mean']:.3f} ({values['low']:.3f} to {values['high']:.3f})"


def _signed(values: Mapping[str, float]) -> str:
    return f"{values['mean']:+.3f} ({values['low']:+.3f} to {values['high']:+.3f})"
