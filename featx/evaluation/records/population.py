"""The images for which an accuracy is valid, according to the groups that are kept together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_PLURALS = {
    **{noun: f"{noun}s" for noun in (
        "animal", "camera", "center", "centre", "clinic", "cohort", "day", "device", "donor", "eye", "experiment",
        "farm", "group", "hospital", "location", "microscope", "month", "participant", "patient", "person",
        "plate", "plot", "region", "room", "run", "sample", "scan", "scanner", "scene", "sensor", "sequence", "session",
        "site", "slide", "source", "speaker", "specimen", "station", "subject", "tile", "user", "video", "visit",
        "volunteer", "week", "well", "year",
    )},
    **{"batch": "batches", "city": "cities", "country": "countries", "study": "studies"},
}  # fmt: skip
"""Nouns that name groups, with their plurals."""

_SUFFIX = re.compile(r"[ _.-]?(id|no|nr|num|number|name|index)$")


def describe_population(groups: Mapping[str, Any], n_images: int) -> str:
    """Return the images for which a cross-validated accuracy is valid, such as ``new plates``.

    Parameters
    ----------
    groups : mapping
        Composition of the groups, as in :class:`featx.evaluation.ModelEvaluation`.
    n_images : int
        Number of training images.
    """
    n_named = groups.get("n_named")
    if n_named:
        examples = groups.get("examples", ())
        ends = " to ".join(dict.fromkeys(examples))
        return f"{_new_groups(groups.get('group_by'), examples)} ({n_named:,} so far{': ' if ends else ''}{ends})"
    n_frames = groups.get("n_frames", 0)
    if n_frames >= n_images:
        return "new recordings from the same sources"
    return f"{'new recordings and ' if n_frames else ''}new images from the same sources"


def _new_groups(group_by: str | None, examples: Sequence[str]) -> str:
    """Return ``new`` and the plural of a noun in the parameter or before the numbers in all names, if there is one."""
    prefixes = {re.sub(r"[\W_]*\d+$", "", one) for one in examples}
    nouns = [_plural(group_by or ""), _plural(prefixes.pop()) if len(prefixes) == 1 else None]
    for noun in nouns:
        if noun is not None:
            return f"new {noun}"
    if group_by is None:
        return "new groups of the column group"
    if group_by == "parent":
        return "new folders"
    place = re.fullmatch(r"(folder|word):(\d+)", group_by)
    if place is None:
        return f"new values of {group_by}"
    kind, number = place.groups()
    return (
        f"new folders (folder {number} of the path)"
        if kind == "folder"
        else f"new words (word {number} of the file name)"
    )


def _plural(name: str) -> str | None:
    """Return the plural of a known noun, also with a suffix such as ``_id``; None for other names."""
    lowered = name.lower().strip()
    for one in (lowered, _SUFFIX.sub("", lowered)):
        if one in _PLURALS:
            return _PLURALS[one]
        if one in _PLURALS.values():
            return one
    return None
