"""Read the values of a JSON object of a model file by name, with a check of their type."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, TypeVar

from featx.errors import ClassifierError

MOST = 2**53
"""Largest accepted whole number: a float does not represent larger ones exactly."""

_SHOWN = 60
_Text = TypeVar("_Text", bound=str)


class Fields:
    """A JSON object from a file that featx or any other program wrote.

    Every method that reads a value raises a ClassifierError if the value is missing or has the wrong type.

    Parameters
    ----------
    values : object
        Content of the file at that place.
    place : str
        Place in the file, for messages, such as ``evaluation.cv``.

    Raises
    ------
    ClassifierError
        ``values`` is not a JSON object.
    """

    def __init__(self, values: Any, place: str) -> None:
        if not isinstance(values, dict):
            raise ClassifierError(f"{place} is {shown(values)}, not an object")
        self.values, self.place = values, place

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def get(self, name: str) -> Any:
        """Return a value of any type."""
        if name not in self.values:
            raise ClassifierError(f"{self.place} lacks {name}")
        return self.values[name]

    def text(self, name: str) -> str:
        """Return a string."""
        return str(self._checked(name, self.get(name), str, "a string"))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        return tuple(str(self._checked(name, one, str, "a list of strings")) for one in self.entries(name))

    def flag(self, name: str) -> bool:
        """Return a Boolean."""
        return bool(self._checked(name, self.get(name), bool, "true or false"))

    def one_of(self, name: str, allowed: Collection[_Text]) -> _Text:
        """Return one of the allowed strings."""
        text = self.text(name)
        for one in allowed:
            if one == text:
                return one
        raise self.wrong(name, text, f"one of {', '.join(allowed)}")

    def count(self, name: str, least: int = 0, most: int = MOST) -> int:
        """Return a whole number within limits."""
        value = self.get(name)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(name, value, f"a whole number of at least {least}")
        return value

    def number(self, name: str, least: float = -math.inf, most: float = math.inf) -> float:
        """Return a finite number within limits."""
        return self._number(name, self.get(name), least, most)

    def share(self, name: str) -> float:
        """Return a number from 0 to 1."""
        return self.number(name, 0, 1)

    def shares(self, name: str) -> tuple[float, ...]:
        """Return a list of numbers from 0 to 1."""
        return tuple(self._number(name, one, 0, 1) for one in self.entries(name))

    def counts(self, name: str) -> tuple[int, ...]:
        """Return a list of whole numbers of at least 0."""
        return tuple(Fields({name: one}, self.place).count(name) for one in self.entries(name))

    def entries(self, name: str) -> list[Any]:
        """Return a list."""
        return list(self._checked(name, self.get(name), list, "a list"))

    def part(self, name: str) -> Fields:
        """Return a nested object."""
        return Fields(self.get(name), f"{self.place}.{name}")

    def parts(self, name: str) -> list[Fields]:
        """Return a list of nested objects."""
        return [Fields(one, f"{self.place}.{name}") for one in self.entries(name)]

    def plain(self, name: str) -> dict[str, Any]:
        """Return a nested object whose values are strings, numbers, Booleans or null."""
        values = self.part(name).values
        for key, value in values.items():
            if value is not None and type(value) not in (str, bool, int, float):
                raise self.wrong(f"{name}.{key}", value, "a string or a number")
            if type(value) is int and abs(value) > MOST:
                raise self.wrong(f"{name}.{key}", value, f"at most {MOST:,}")
        return dict(values)

    def wrong(self, name: str, value: Any, needed: str) -> ClassifierError:
        """Return the error for an invalid value."""
        return ClassifierError(f"{self.place}.{name} is {shown(value)}; it must be {needed}")

    def contradicts(self, what: str) -> ClassifierError:
        """Return the error for values that contradict each other."""
        return ClassifierError(f"{self.place} contradicts itself: {what}")

    def _checked(self, name: str, value: Any, kind: type, needed: str) -> Any:
        if type(value) is not kind:
            raise self.wrong(name, value, needed)
        return value

    def _number(self, name: str, value: Any, least: float, most: float) -> float:
        if type(value) not in (int, float) or abs(value) > MOST or not least <= value <= most:
            limits = f" from {least:g} to {most:g}" if math.isfinite(least) and math.isfinite(most) else ""
            raise self.wrong(name, value, f"a number{limits}")
        return float(value)


def shown(value: Any) -> str:
    """Return the first characters of the ``repr`` of a value."""
    if type(value) is int and abs(value) > MOST:
        return "a huge number"
    if isinstance(value, list | dict):
        return f"a list of {len(value):,}" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
