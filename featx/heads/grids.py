"""Ends of the values that a hyper-parameter is tuned over, and the values beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple


class Beyond(NamedTuple):
    """Values to try beyond the ends of a grid; empty if the end is the limit of the parameter.

    Parameters
    ----------
    below, above : tuple of float
        Values below the smallest and above the largest value of the grid, from the nearest on.
    """

    below: tuple[float, ...] = ()
    above: tuple[float, ...] = ()


class GridEnd(NamedTuple):
    """The smallest or the largest value of a grid.

    Parameters
    ----------
    inner : float
        Value next to the end.
    further : tuple of float
        Values beyond the end, from the nearest on; empty for values that the user gave.
    is_largest : bool
    """

    inner: float
    further: tuple[float, ...]
    is_largest: bool


def grid_end(values: Sequence[Any], chosen: Any, beyond: Beyond | None) -> GridEnd | None:
    """Return the end of the grid that was chosen; None if the chosen value is no end or is a limit of the parameter.

    Parameters
    ----------
    values : sequence
        Values of the grid, in any order. None among them stands for the lower limit of the parameter.
    chosen : object
        One of the values.
    beyond : Beyond or None
        Values beyond the ends; None for values that the user gave, which are not extended.
    """
    numbers = sorted({value for value in values if _is_number(value)})
    if len(numbers) < 2 or not _is_number(chosen):
        return None
    if chosen == numbers[-1]:
        further = beyond.above if beyond else ()
        return GridEnd(numbers[-2], further, True) if further or beyond is None else None
    if chosen != numbers[0] or None in values:
        return None
    is_count = isinstance(chosen, int) and chosen <= 1
    further = beyond.below if beyond else ()
    return GridEnd(numbers[1], further, False) if further or (beyond is None and not is_count) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
