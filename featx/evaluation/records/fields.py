"""Read values by name from a JSON object of a model file, and check their types."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, TypeVar

from featx.errors import ClassifierError

MOST = 2**53
"""Largest accepted number: floats do not represent all larger integers."""

_SHOWN = 60
_Text = TypeVar("_Text", bound=str)


class Fields:
    """A JSON object from a file that featx or any other program wrote.

    Every method that reads a value raises a ClassifierError if the value is missing or has the wrong type.

    Parameters
    ----------
    values : object
        Value in the file at ``place``.
    place : str
        Dotted path of the object in the file, for error messages, such as ``evaluation.cv``.

    Raises
    ------
    ClassifierError
        If ``values`` is not a JSON object.
    """

    def __init__(self, values: Any, place: str) -> None:
        if not isinstance(values, dict):
            raise ClassifierError(f"{place} is {shown(values)}; expected a JSON object")
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
        """Return the strings of a list, as a tuple."""
        entries = self.entries(name)
        for one in entries:
            if type(one) is not str:
                raise self._wrong_entry(name, one, "strings")
        return tuple(entries)

    def flag(self, name: str) -> bool:
        """Return a Boolean."""
        return bool(self._checked(name, self.get(name), bool, "true or false"))

    def one_of(self, name: str, allowed: Collection[_Text]) -> _Text:
        """Return one of the allowed strings."""
        text = self.text(name)
        for one in allowed:
            if one == text:
                return one
        *others, last = [one if len(one) <= _SHOWN else f"{one[:_SHOWN]}..." for one in allowed]
        raise self.wrong(name, text, f"{', '.join(others)} or {last}" if others else last)

    def count(self, name: str, least: int = 0, most: int = MOST) -> int:
        """Return an integer from ``least`` to ``most``."""
        value = self.get(name)
        if type(value) is not int or not least <= value <= most:
            raise self.wrong(name, value, f"an integer from {least:,} to {most:,}")
        return value

    def number(self, name: str, least: float = -math.inf, most: float = math.inf) -> float:
        """Return a number from ``least`` to ``most``, and from -2**53 to 2**53."""
        value, least, most = self.get(name), max(least, -MOST), min(most, MOST)
        if not _is_number(value, least, most):
            raise self.wrong(name, value, f"a number from {least:,.16g} to {most:,.16g}")
        return float(value)

    def share(self, name: str) -> float:
        """Return a number from 0 to 1."""
        return self.number(name, 0, 1)

    def shares(self, name: str) -> tuple[float, ...]:
        """Return the numbers of a list, from 0 to 1, as a tuple."""
        entries = self.entries(name)
        for one in entries:
            if not _is_number(one, 0, 1):
                raise self._wrong_entry(name, one, "numbers from 0 to 1")
        return tuple(map(float, entries))

    def counts(self, name: str) -> tuple[int, ...]:
        """Return the integers of a list, at least 0, as a tuple."""
        entries = self.entries(name)
        for one in entries:
            if type(one) is not int or not 0 <= one <= MOST:
                raise self._wrong_entry(name, one, f"integers from 0 to {MOST:,}")
        return tuple(entries)

    def entries(self, name: str) -> list[Any]:
        """Return a list."""
        return list(self._checked(name, self.get(name), list, "a list"))

    def part(self, name: str) -> Fields:
        """Return a nested JSON object."""
        return Fields(self.get(name), f"{self.place}.{name}")

    def parts(self, name: str) -> list[Fields]:
        """Return a list of nested JSON objects."""
        return [Fields(one, f"{self.place}.{name}") for one in self.entries(name)]

    def plain(self, name: str) -> dict[str, Any]:
        """Return a nested JSON object whose values are strings, numbers, Booleans or null."""
        values = self.part(name).values
        for key, value in values.items():
            if value is not None and type(value) not in (str, bool, int, float):
                raise self.wrong(f"{name}.{key}", value, "a string, a number, true, false or null")
            if type(value) is int and abs(value) > MOST:
                raise self.wrong(f"{name}.{key}", value, f"an integer from -{MOST:,} to {MOST:,}")
        return dict(values)

    def wrong(self, name: str, value: Any, needed: str) -> ClassifierError:
        """Return the error for an invalid value."""
        return ClassifierError(f"{self.place}.{name} is {shown(value)}; expected {needed}")

    def _wrong_entry(self, name: str, entry: Any, needed: str) -> ClassifierError:
        return ClassifierError(f"{self.place}.{name} contains {shown(entry)}; all its values must be {needed}")

    def contradicts(self, what: str) -> ClassifierError:
        """Return the error for values that contradict each other."""
        return ClassifierError(f"{self.place} contradicts itself: {what}")

    def _checked(self, name: str, value: Any, kind: type, needed: str) -> Any:
        if type(value) is not kind:
            raise self.wrong(name, value, needed)
        return value


def _is_number(value: Any, least: float, most: float) -> bool:
    return type(value) in (int, float) and least <= value <= most


def shown(value: Any) -> str:
    """Return a short description of a value for messages: the shortened ``repr``, or the length of a list."""
    if type(value) is int and abs(value) > MOST:
        return f"an integer above {MOST:,}" if value > 0 else f"an integer below -{MOST:,}"
    if isinstance(value, list | dict):
        return f"a list of length {len(value):,}" if isinstance(value, list) else "a JSON object"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
