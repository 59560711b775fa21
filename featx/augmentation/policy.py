"""What may happen to an image, as a text: a preset, or names and numbers."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from featx.errors import SpecError

PRESETS = {
    "light": "flip=horizontal,shift=0.05,zoom=0.05",
    "medium": "brightness=0.1,contrast=0.1,flip=horizontal,rotation=15,shift=0.1,zoom=0.15",
    "tutorial": "flip=horizontal,shear=0.2,zoom=0.2",
}
"""Policies by name; ``tutorial`` is the one of many tutorials that fine-tune a network."""

_FLIPS = ("horizontal", "vertical", "both")


@dataclass(frozen=True)
class _Limit:
    """The largest value of a parameter, and what it means, for messages."""

    largest: float
    meaning: str


_LIMITS = {
    "brightness": _Limit(1.0, "part of white"),
    "contrast": _Limit(0.99, "part of the contrast"),
    "crop": _Limit(0.9, "part of the side that may be cut off"),
    "rotation": _Limit(180.0, "degrees"),
    "shear": _Limit(1.0, "shift of the upper edge against the lower one, in sides"),
    "shift": _Limit(0.5, "part of the side"),
    "zoom": _Limit(0.9, "part of the size"),
}


def read_policy(text: str) -> str:
    """Return the canonical text of a policy: presets spelt out, names sorted, what does nothing left out.

    Parameters
    ----------
    text : str
        ``light``, ``medium`` or ``tutorial``; or pairs with commas, as
        ``rotation=15,zoom=0.2,shear=0.2,shift=0.1,flip=horizontal,brightness=0.1,contrast=0.1,crop=0.1``. Each image
        gets values drawn evenly from minus to plus the number; a flip is drawn by a coin.

    Raises
    ------
    SpecError
        No such policy, name or value.
    """
    if "=" not in text:
        return _preset(text.strip())
    found: dict[str, str] = {}
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name in found:
            raise SpecError(f"augment names {name} twice: {text}")
        found[name] = _flip(value) if name == "flip" else _number(name, value)
    doing = sorted(f"{name}={value}" for name, value in found.items() if value != "0")
    if not doing:
        raise SpecError(f"augment is {text!r}, which changes nothing; leave it out, or give a value above 0")
    return ",".join(doing)


def parameters_of(policy: str) -> dict[str, float | str]:
    """Return the values of a canonical policy by name; a flip is text."""
    pairs = (pair.split("=") for pair in policy.split(","))
    return {name: value if name == "flip" else float(value) for name, value in pairs}


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise SpecError(
            f"augment is {name!r}{_nearest(name, PRESETS)}; allowed are {', '.join(PRESETS)}, or name=value pairs with "
            f"commas of {', '.join(sorted(['flip', *_LIMITS]))}"
        )
    return PRESETS[name]


def _flip(value: str) -> str:
    if value not in _FLIPS:
        raise SpecError(f"augment has flip={value}{_nearest(value, _FLIPS)}; allowed are {', '.join(_FLIPS)}")
    return value


def _number(name: str, text: str) -> str:
    if name not in _LIMITS:
        names = sorted(["flip", *_LIMITS])
        raise SpecError(f"augment has no {name!r}{_nearest(name, names)}; allowed are {', '.join(names)}")
    limit = _LIMITS[name]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= limit.largest:
        raise SpecError(f"augment has {name}={text}; allowed are numbers from 0 to {limit.largest:g} ({limit.meaning})")
    return f"{value:g}"


def _nearest(given: str, allowed: object) -> str:
    near = difflib.get_close_matches(given, list(allowed), n=1)  # type: ignore[call-overload]
    return f" (did you mean {near[0]}?)" if near else ""
