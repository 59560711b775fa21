"""The options of commands, built from the fields of ``featx.options``."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from featx.errors import HeadError, OptionError
from featx.options import Options, range_in_words

_NAMED = re.compile(r"`(\w+)`")
"""The name of another option in a line of help."""

Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object on stdout, and all other lines on stderr.", rich_help_panel="Output"
    ),
]
Backbone = Annotated[
    str,
    typer.Option(
        help="Name of a backbone (see `featx backbones`), or a .keras, .h5 or .onnx file.",
        metavar="NAME",
        rich_help_panel="Backbone",
    ),
]


@dataclass(frozen=True)
class Only:
    """The options of a class that a command has; it has no others of the class.

    Parameters
    ----------
    names : sequence of str
    """

    names: Sequence[str]


@dataclass(frozen=True)
class Without:
    """The options of a class that a command does not have; it has all others of the class.

    Parameters
    ----------
    names : sequence of str
    """

    names: Sequence[str]


def expand(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that has an option for each field of the :class:`featx.options.Options` among its parameters.

    Fields of the same name become one option, with the help of the first class that has it; each class gets the value.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[type[Options], list[str]]] = {}
    given: dict[str, inspect.Parameter] = {}
    lists: dict[str, Any] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind, left_out = _group(hints[name])
        if kind is None:
            given[name] = parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
            continue
        groups[name] = kind, [one for one in kind.names() if one not in left_out]
        types = get_type_hints(kind)
        for one in fields(kind):
            if one.name not in left_out:
                given.setdefault(
                    one.name,
                    _parameter(
                        one.name, types[one.name], one.default, {"panel": kind.panel_of(one.name), **one.metadata}
                    ),
                )
                if get_origin(types[one.name]) is Sequence:
                    lists.setdefault(one.name, types[one.name])

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name in set(lists) & set(values):
            values[name] = _listed(name, values[name], lists[name])
        made = {
            name: kind.of({one: values[one] for one in own if one in values}) for name, (kind, own) in groups.items()
        }
        command(**made, **{name: value for name, value in values.items() if name in hints})

    run.__signature__ = inspect.Signature(list(given.values()))  # type: ignore[attr-defined]
    run.__annotations__ = {name: parameter.annotation for name, parameter in given.items()}
    return run


def _group(hint: Any) -> tuple[type[Options] | None, Sequence[str]]:
    """Return the class of options that an annotation names, and the fields of it that the command does not have."""
    kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if not (isinstance(kind, type) and issubclass(kind, Options)):
        return None, ()
    left_out = {name for mark in marks if isinstance(mark, Without) for name in mark.names}
    for mark in marks:
        left_out |= set(kind.names()) - set(mark.names) if isinstance(mark, Only) else set()
    return kind, sorted(left_out)


def _parameter(name: str, hint: Any, default: Any, details: Any) -> inspect.Parameter:
    kind = _typed(hint, default)
    if get_origin(hint) is Sequence:
        default = ",".join(map(str, default)) if None not in default else ""
    dashed = f"--{name.replace('_', '-')}"
    words = [dashed] if kind is bool and not default else []
    if "short" in details:
        words = [dashed, f"-{details['short']}"]
    described = typer.Option(
        *words,
        help=_help(details),
        metavar=None if kind is bool else _metavar(hint, kind),
        envvar=details.get("envvar"),
        rich_help_panel=details["panel"],
        show_default=not (default is None or default is False or default == ""),
    )
    optional = default is None or default == ""
    annotation = Annotated[kind | None if optional else kind, described]  # type: ignore[valid-type]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None if optional else default, annotation=annotation
    )


def _help(details: Mapping[str, Any]) -> str:
    """Return the help of an option, with the range of a number, and with dashes for the names of other options."""
    text = _NAMED.sub(lambda found: f"--{found[1].replace('_', '-')}", details["help"])
    allowed = range_in_words(details)
    return f"{text} Range: {allowed}." if allowed and allowed != "1 or more" else text


def _metavar(hint: Any, kind: type) -> str:
    """Return the placeholder of a value in the help: the words of a closed set, or the kind of value."""
    kinds = [one for one in (get_args(hint) or (hint,)) if one is not type(None)]
    words = [word for one in kinds if get_origin(one) is Literal for word in get_args(one)]
    words += [one for one in kinds if isinstance(one, str)]  # the arguments of a Literal itself
    if words and get_origin(hint) is not Sequence:
        return "|".join(words)
    if get_origin(hint) is Sequence:
        return "A,B,..."
    return {int: "INTEGER", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT")


def _typed(hint: Any, default: Any) -> type:
    """Return the type that the command line converts a value to; the library checks the words of closed sets."""
    if get_origin(hint) is Sequence:  # separated by commas
        return str
    kinds = {kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)}
    for kind in (bool, int, float):
        if kinds == {kind}:
            return kind
    return Path if Path in kinds and not isinstance(default, str) else str


def _listed(name: str, text: str | None, hint: Any) -> tuple[Any, ...]:
    """Return the values of an option that takes a list separated by commas.

    Raises
    ------
    OptionError
        The option takes integers, and a value is not one.
    """
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    if int not in (kinds := get_args(get_args(hint)[0]) or get_args(hint)):
        return tuple(words)
    if not all(re.fullmatch(r"-?\d+", word) for word in words):
        option = f"--{name.replace('_', '-')}"
        raise OptionError(f"{option} {text}: expected integers separated by commas, for example 256,512")
    if not words and type(None) in kinds:
        return (None,)
    return tuple(map(int, words))


def parse_param(text: str) -> tuple[str, Any]:
    """Split ``name=value``; the value becomes a Python literal where it is one, else it stays a string.

    Raises
    ------
    HeadError
        The text contains no ``=``, or no name.
    """
    name, found, value = text.partition("=")
    if not found or not name.strip():
        raise HeadError(f"--param {text}: expected name=value, for example C=0.1 or C=[0.1,1,10]")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()
