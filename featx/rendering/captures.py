"""Text lines about captured images and about the recordings of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.rendering.terminal import line

ENOUGH_RECORDINGS = 3
"""Minimum number of recordings of a label for a useful accuracy estimate: one for testing, two for training."""

_MANY_LABELS = 12


def capture_lines(capture: Mapping[str, Any]) -> list[str]:
    """Return lines about a capture; ``capture`` is the result of ``featx capture --json``."""
    reasons = (("n_blurred", "blurred"), ("n_alike", "similar to the preceding image"), ("n_no_face", "without a face"))
    left_out = [f"{capture[key]:,} {reason}" for key, reason in reasons if capture[key]]
    text = f"{capture['n_kept']:,} kept of {capture['n_frames']:,} frames in {capture['seconds']:.1f} s"
    return [
        line("images", f"{text} ({', '.join(left_out)})" if left_out else text),
        line("recording", f"number {capture['recording']} of this data set, in {capture['folder']}"),
        *recording_lines(capture["recordings"]),
    ]


def recording_lines(recordings: Mapping[str, int]) -> list[str]:
    """Return lines with the number of recordings of each label, and with the labels that need more recordings."""
    captured = {label: n for label, n in recordings.items() if n}
    few = {label: ENOUGH_RECORDINGS - n for label, n in captured.items() if n < ENOUGH_RECORDINGS}
    shown = [f"{label} {n:,}" for label, n in list(captured.items())[:_MANY_LABELS]]
    more = len(captured) - len(shown)
    lines = [line("recordings", ", ".join(shown) + (f" and {more:,} more labels" if more else ""))]
    if few:
        wanted = [f"{n} of {label}" for label, n in list(few.items())[:_MANY_LABELS]]
        advice = f"capture more recordings, on other days or in other places: {', '.join(wanted)}"
        lines.append(line("too few", f"{advice}; in an accuracy estimate, a recording counts as one image"))
    return lines
