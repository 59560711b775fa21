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
    """Maximum value of a parameter, and a description of the value for error messages."""

    largest: float
    meaning: str


_LIMITS = {
    "brightness": _Limit(1.0, "largest change of a pixel value, as a fraction of white"),
    "contrast": _Limit(0.99, "largest change of the contrast, as a fraction"),
    "crop": _Limit(0.9, "largest part that is cut off, as a fraction of the side"),
    "rotation": _Limit(180.0, "largest angle, in degrees"),
    "shear": _Limit(1.0, "largest shift of the upper edge relative to the lower edge, as a fraction of the side"),
    "shift": _Limit(0.5, "largest shift, as a fraction of the side"),
    "zoom": _Limit(0.9, "largest change of the scale, as a fraction"),
}

_NAMES = sorted(["flip", *_LIMITS])


def read_policy(text: str) -> str:
    """Return the canonical text of a policy: presets expanded, names sorted, zero values left out.

    Parameters
    ----------
    text : str
        ``light``, ``medium`` or ``tutorial``; or comma-separated pairs such as
        ``rotation=15,zoom=0.2,shear=0.2,shift=0.1,flip=horizontal,brightness=0.1,contrast=0.1,crop=0.1``. For each
        view, each value is drawn uniformly between minus and plus the given number, for ``crop`` between 0 and the
        number. Each flip has probability 0.5.

    Raises
    ------
    SpecError
        If the policy, a name or a flip is unknown, a name is missing or given twice, a value is out of range, or the
        policy changes nothing.
    """
    if "=" not in text:
        return _preset(text.strip())
    values: dict[str, str] = {}
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name in values:
            raise SpecError(f"`augment={text}` contains {name} twice; give each name once")
        if not name:
            raise SpecError(f"`augment={text}` contains a pair without a name; remove a comma, or give name=value")
        values[name] = _flip(value, text) if name == "flip" else _number(name, value, text)
    active = sorted(f"{name}={value}" for name, value in values.items() if value != "0")
    if not active:
        raise SpecError(f"`augment={text}` changes nothing; leave out `augment`, or give a value above 0")
    return ",".join(active)


def parameters_of(policy: str) -> dict[str, float | str]:
    """Return the values of a canonical policy by name; the value of ``flip`` is a string."""
    pairs = (pair.split("=") for pair in policy.split(","))
    return {name: value if name == "flip" else float(value) for name, value in pairs}


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise SpecError(
            f"`augment={name}`: unknown policy{_nearest(name, PRESETS)}; expected {', '.join(PRESETS)}, or "
            f"comma-separated pairs name=value with the names {', '.join(_NAMES)}"
        )
    return PRESETS[name]


def _flip(value: str, policy: str) -> str:
    if value not in _FLIPS:
        raise SpecError(
            f"`augment={policy}`: unknown flip {value!r}{_nearest(value, _FLIPS)}; expected horizontal, vertical or "
            "both"
        )
    return value


def _number(name: str, text: str, policy: str) -> str:
    if name not in _LIMITS:
        raise SpecError(
            f"`augment={policy}`: unknown name {name!r}{_nearest(name, _NAMES)}; expected {', '.join(_NAMES[:-1])} or "
            f"{_NAMES[-1]}"
        )
    limit = _LIMITS[name]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= limit.largest:
        raise SpecError(
            f"`augment={policy}`: {name} is {text}; expected a number from 0 to {limit.largest:g} ({limit.meaning})"
        )
    return f"{value:g}"


def _nearest(given: str, allowed: object) -> str:
    near = difflib.get_close_matches(given, list(allowed), n=1)  # type: ignore[call-overload]
    return f" (did you mean {near[0]}?)" if near else ""
