"""Check the names and types of the arguments of public functions, by their annotations."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import numbers
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from featx.errors import ArgumentError

_P = ParamSpec("_P")
_T = TypeVar("_T")


def checked(unchecked: Collection[str] = ()) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Return a decorator that checks the arguments of a call.

    Parameters
    ----------
    unchecked : collection of str
        Arguments whose type the function checks itself.

    Raises
    ------
    ArgumentError
        An argument of the call is unknown, missing, or of the wrong type.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        signature = inspect.signature(function)
        known = [name for name in signature.parameters if name != "self"]

        @functools.cache
        def hints() -> dict[str, Any]:  # late: it costs more than the decoration
            return typing.get_type_hints(function)

        @functools.wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            name = function.__name__
            for given in kwargs:
                if given not in known:
                    raise ArgumentError(_unknown(name, given, known, hints().get("runtime")))
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise ArgumentError(f"{name}: {error}; it takes {', '.join(known)}") from None
            for key, value in bound.arguments.items():
                if key in hints() and key not in unchecked and not _fits(value, hints()[key]):
                    raise ArgumentError(f"{name}: {key} is {_shown(value)}; expected {_wanted(value, hints()[key])}")
            return function(*args, **kwargs)

        return run

    return decorate


def _unknown(function: str, given: str, known: Collection[str], runtime: Any) -> str:
    if given in (field.name for kind in _kinds(runtime) if dataclasses.is_dataclass(kind) for field in _fields(kind)):
        return f"{function} has no argument {given!r}; it is one of runtime: runtime=featx.Runtime({given}=...)"
    near = difflib.get_close_matches(given, known, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{function} has no argument {given!r}; {meant}it takes {', '.join(known)}"


def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def _kinds(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, or the annotation itself."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    return any(_is_a(value, kind) for kind in _kinds(hint))


def _is_a(value: Any, kind: Any) -> bool:
    if kind is Any or isinstance(kind, TypeVar):
        return True
    if kind in (None, types.NoneType):
        return value is None
    origin = typing.get_origin(kind) or kind
    if origin is typing.Literal:  # the value is checked where it is used
        return type(value) in map(type, typing.get_args(kind))
    if kind in (int, float):  # including those of NumPy
        return isinstance(value, numbers.Integral if kind is int else numbers.Real) and not isinstance(value, bool)
    if kind is Path:
        return isinstance(value, str | os.PathLike)
    if not isinstance(origin, type) or _is_sequence(origin):
        return _holds(value, typing.get_args(kind))
    return isinstance(value, origin)


def _is_sequence(origin: type) -> bool:
    return issubclass(origin, Iterable) and origin.__module__ == "collections.abc" and not issubclass(origin, Mapping)


def _holds(value: Any, kinds: tuple[Any, ...]) -> bool:
    """Return whether a value is accepted as a sequence: a list, tuple, array, column or iterator."""
    if isinstance(value, str | bytes | os.PathLike | Mapping) or not isinstance(value, Iterable):
        return False
    return not kinds or not hasattr(value, "__len__") or all(_fits(one, kinds[0]) for one in value)


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    kind = type(value).__name__
    plain = value is None or isinstance(value, bool | int | float | str | bytes | os.PathLike | list | tuple)
    text = repr(value) if plain else ""
    if not 0 < len(text) <= 80:
        return f"of type {kind}"
    return text if value is None else f"{text} ({kind})"


def _wanted(value: Any, hint: Any) -> str:
    kinds = _kinds(hint)
    names = [_name(kind) for kind in kinds]
    text = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    if "Runtime" in names:
        return f"{text}, as featx.Runtime(cache={str(value)!r})" if isinstance(value, str | os.PathLike) else text
    in_a_list = isinstance(value, str | int | float) and any(_is_a([value], kind) for kind in kinds)
    return f"{text}, as [{value!r}]" if in_a_list else text


def _name(kind: Any) -> str:
    if kind in (None, types.NoneType):
        return "None"
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    if isinstance(origin, type) and _is_sequence(origin):
        inner = " or ".join(_name(one) for one in _kinds(typing.get_args(kind)[0]))
        return f"a sequence of {inner}"
    return str(getattr(origin or kind, "__name__", kind))
