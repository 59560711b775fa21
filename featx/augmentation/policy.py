"""Augmentation policies as text: a preset, or names with values."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from featx.errors import SpecError

PRESETS = {
    "light": "flip=horizontal,shift=0.05,zoom=0.05",
    "medium": "brightness=0.1,contrast=0.1,flip=horizontal,rotation=15,shift=0.1,zoom=0.15",
    "tutorial": "flip=horizontal,shear=0.2,zoom=0.2",
}
"""Policies by name; ``tutorial`` is the policy of many fine-tuning tutorials."""

_FLIPS = ("horizontal", "vertical", "both")


@dataclass(frozen=True)
class _Limit:
    """Largest value of a parameter, and its meaning for messages."""

    largest: float
    meaning: str


_LIMITS = {
    "brightness": _Limit(1.0, "fraction of white"),
    "contrast": _Limit(0.99, "fraction of the contrast"),
    "crop": _Limit(0.9, "largest fraction of the side that is cut off"),
    "rotation": _Limit(180.0, "degrees"),
    "shear": _Limit(1.0, "shift of the upper edge relative to the lower one, as a fraction of the side"),
    "shift": _Limit(0.5, "fraction of the side"),
    "zoom": _Limit(0.9, "fraction of the size"),
}


def read_policy(text: str) -> str:
    """Return the canonical text of a policy: presets expanded, names sorted, zero values left out.

    Parameters
    ----------
    text : str
        ``light``, ``medium`` or ``tutorial``; or comma-separated pairs such as
        ``rotation=15,zoom=0.2,shear=0.2,shift=0.1,flip=horizontal,brightness=0.1,contrast=0.1,crop=0.1``. For each
        view, values are drawn uniformly between minus and plus the number; a flip has probability 0.5.

    Raises
    ------
    SpecError
        If the policy, a name or a value is unknown or out of range.
    """
    if "=" not in text:
        return _preset(text.strip())
    values: dict[str, str] = {}
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name in values:
            raise SpecError(f"augment is {text!r}, which contains {name} twice; give each name once")
        values[name] = _flip(value) if name == "flip" else _number(name, value)
    active = sorted(f"{name}={value}" for name, value in values.items() if value != "0")
    if not active:
        raise SpecError(f"augment is {text!r}, which changes nothing; leave it out, or give a value above 0")
    return ",".join(active)


def parameters_of(policy: str) -> dict[str, float | str]:
    """Return the values of a canonical policy by name; the value of ``flip`` is a string."""
    pairs = (pair.split("=") for pair in policy.split(","))
    return {name: value if name == "flip" else float(value) for name, value in pairs}


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise SpecError(
            f"augment is {name!r}{_nearest(name, PRESETS)}; expected {', '.join(PRESETS)}, or comma-separated "
            f"name=value pairs of {', '.join(sorted(['flip', *_LIMITS]))}"
        )
    return PRESETS[name]


def _flip(value: str) -> str:
    if value not in _FLIPS:
        raise SpecError(f"augment has flip={value}{_nearest(value, _FLIPS)}; expected {', '.join(_FLIPS)}")
    return value


def _number(name: str, text: str) -> str:
    if name not in _LIMITS:
        names = sorted(["flip", *_LIMITS])
        raise SpecError(f"augment has no parameter {name!r}{_nearest(name, names)}; expected {', '.join(names)}")
    limit = _LIMITS[name]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= limit.largest:
        raise SpecError(f"augment has {name}={text}; expected a number from 0 to {limit.largest:g} ({limit.meaning})")
    return f"{value:g}"


def _nearest(given: str, allowed: object) -> str:
    near = difflib.get_close_matches(given, list(allowed), n=1)  # type: ignore[call-overload]
    return f" (did you mean {near[0]}?)" if near else ""
