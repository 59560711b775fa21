"""Plain lines about captured images, and about the recordings that a data set has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.rendering.terminal import line

ENOUGH_RECORDINGS = 3
"""Recordings of a label from which an honest number begins to say something: one to test on, two to learn from."""

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
        line("images", f"{text} ({', '.join(left_out)})" if left_out else text),
        line("recording", f"{capture['recording']} of this data set, in {capture['folder']}"),
        *recording_lines(capture["recordings"]),
    ]


def recording_lines(recordings: Mapping[str, int]) -> list[str]:
    """Say how many recordings each label has, and which ones need more for an honest number."""
    captured = {label: n for label, n in recordings.items() if n}
    few = {label: ENOUGH_RECORDINGS - n for label, n in captured.items() if n < ENOUGH_RECORDINGS}
    shown = [f"{label} {n:,}" for label, n in list(captured.items())[:_MANY_LABELS]]
    more = len(captured) - len(shown)
    lines = [line("recordings", ", ".join(shown) + (f" and {more:,} labels more" if more else ""))]
    if few:
        wanted = [f"{label} {n}" for label, n in list(few.items())[:_MANY_LABELS]]
        advice = f"record more recordings, on other days or in other places: {', '.join(wanted)}"
        lines.append(line("too few", f"{advice}; where accuracy is measured, one recording counts as one image"))
    return lines
