"""Plain lines about captured pictures, and about the takes that a data set has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.reporting.terminal import line

ENOUGH_TAKES = 3
"""Takes of a label from which an honest number begins to say something: one to test on, two to learn from."""

_MANY_LABELS = 12


def capture_lines(capture: Mapping[str, Any]) -> list[str]:
    """Say what a capture did; ``capture`` is that of ``featx capture --json``."""
    left_out = [
        f"{capture[key]:,} {what}"
        for key, what in (("n_blurred", "blurred"), ("n_alike", "like the one before"), ("n_no_face", "without a face"))
        if capture[key]
    ]
    text = f"{capture['n_kept']:,} kept of {capture['n_frames']:,} frames in {capture['seconds']:.1f} s"
    return [
        line("pictures", f"{text} ({', '.join(left_out)})" if left_out else text),
        line("take", f"{capture['take']} of this data set, in {capture['folder']}"),
        *takes_lines(capture["takes"]),
    ]


def takes_lines(takes: Mapping[str, int]) -> list[str]:
    """Say how many takes each label has, and which ones need more for an honest number."""
    captured = {label: n for label, n in takes.items() if n}
    few = {label: ENOUGH_TAKES - n for label, n in captured.items() if n < ENOUGH_TAKES}
    shown = [f"{label} {n:,}" for label, n in list(captured.items())[:_MANY_LABELS]]
    more = len(captured) - len(shown)
    lines = [line("takes", ", ".join(shown) + (f" and {more:,} labels more" if more else ""))]
    if few:
        wanted = [f"{label} {n}" for label, n in list(few.items())[:_MANY_LABELS]]
        advice = f"record more takes, on other days or in other places: {', '.join(wanted)}"
        lines.append(line("too few", f"{advice}; where accuracy is measured, one take counts as one picture"))
    return lines
