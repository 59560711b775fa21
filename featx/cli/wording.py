"""Replace parameter names in messages of the library by options of the command line."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import typer

from featx.output.words import shell_word

_NAMED = re.compile(r"`(?:featx\.(?P<call>\w+\([^`]*\))|(?P<name>\w+)(?:=(?P<value>[^`]*))?)`")
_PARAMS = re.compile(r"\{'(\w+)': (.*)\}")


def in_options(text: str) -> str:
    """Return a message with parameters in backticks replaced by options of the command line.

    >>> in_options("add `layout=nchw`, or leave out `preprocess`; `featx backbones` lists them")
    'add --layout nchw, or leave out --preprocess; `featx backbones` lists them'
    >>> in_options("`overwrite=True`, `trunk_cache=False`, `params={'C': 1}`, `featx.extract('my set', size=64)`")
    "--overwrite, --no-trunk-cache, --param C=1, featx extract 'my set' --size 64"
    """
    return _NAMED.sub(_in_options, text) if "`" in text else text


def _in_options(found: re.Match[str]) -> str:
    try:
        return _option(found["name"], found["value"]) if found["call"] is None else _command(found["call"])
    except (AttributeError, KeyError, SyntaxError, TypeError, ValueError):  # not a parameter
        return found[0]


def _command(text: str) -> str:
    """Return the command that corresponds to a call of a featx function."""
    call: Any = ast.parse(text, mode="eval").body
    paths = [shell_word(Path(ast.literal_eval(one))) for one in call.args]
    given = [_option(one.arg, str(ast.literal_eval(one.value))) for one in call.keywords]
    return " ".join(["featx", call.func.id, *paths, *given])


def _option(name: str, value: str | None) -> str:
    option = _options()[name]
    if value is None or value == "True":
        return option
    if value == "False":
        return f"--no-{option.removeprefix('--')}"
    word = _PARAMS.sub(r"\1=\2", value) if name == "params" else value
    return f"{option} {shell_word(word)}"


@functools.cache
def _options() -> dict[str, str]:
    """Return the options of all commands by parameter name; the shorter one where there are two."""
    from featx.cli.app import app  # which imports this module

    found: dict[str, str] = {}
    commands = [typer.main.get_command(app)]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        found |= {str(one.name): min(one.opts, key=len) for one in command.params if one.opts[0].startswith("-")}
    return found | {"params": found["param"]}
