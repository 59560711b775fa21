"""Parameters that messages name: every function and command that can show a message has them, or the message names
one that has. The command line alone spells options.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import featx
from featx.cli.app import app
from featx.runtime import Runtime

NAMED = re.compile(r"`(\w+)(?:=([^`]*))?`")
OPTION = re.compile(r"(?<![\w-])(--[a-z{]|-o\b)")
ROOT = Path(featx.__file__).parent

DATA = {"extract", "fit", "compare", "finetune"}
EVERY = {*DATA, "predict", "report"}

FUNCTIONS = {
    "extract": featx.extract,
    "fit": featx.fit,
    "finetune": featx.finetune,
    "compare": featx.compare,
    "report": featx.report,
    "predict": featx.predict,
    "inspect": featx.inspect,
    "capture": featx.capture,
    "cache ls": featx.list_cache,
    "cache verify": featx.verify_cache,
    "cache gc": featx.clean_cache,
    "cache export": featx.export_features,
    "cache merge": featx.merge_caches,
}
"""The function of each command."""

REACHED_BY = {
    "augmentation": DATA,
    "backbones": DATA,
    "backbones/onnx.py": DATA - {"finetune"},  # which refuses ONNX networks
    "capturing": {"capture"},
    "caching": {"cache gc", "cache ls", "cache verify", "cache export", "cache merge"},
    "cluster": EVERY,
    "caching/cleaning.py": {"cache gc"},
    "caching/exporting.py": {"cache export"},
    "caching/merging.py": {"cache merge"},
    "classifier": {"fit", "predict", "report", "finetune"},
    "classifier/novelty.py": {"predict"},
    "comparison": {"compare"},
    "contrast.py": {"extract", "fit", "inspect"},
    "dataset": {*DATA, "inspect"},
    "dataset/lines.py": {"predict"},
    "duplicates": {"fit", "compare", "finetune"},
    "engines": {*DATA, "predict"},
    "evaluation": {"fit", "compare", "finetune"},
    "execution": DATA,
    "extraction": {*DATA, "predict"},
    "extraction/darkness.py": {*DATA, "inspect"},
    "extraction/extracting.py": {"extract"},  # preview
    "finetuning": {"finetune"},
    "fitting": {"fit"},
    "galleries": {"predict"},
    "heads": {"fit", "compare", "finetune"},
    "images": {*EVERY, "inspect"},
    "lookup/retrieval.py": {"cache export"},
    "lookup/shards.py": {"extract"},
    "lookup/snapshot.py": {"extract", "fit", "finetune", "predict"},  # the others are not strict
    "lookup/views.py": DATA,
    "output": {"extract", "compare", "finetune", "predict", "report", "cache export"},
    "pipeline": DATA,
    "prediction": {"predict"},
    "readers": {*EVERY, "inspect"},
    "reports": {"report"},
    "group_hints.py": {"fit", "compare", "finetune"},
    "source": {*EVERY, "inspect"},
    "store": {*EVERY, "cache gc", "cache ls", "cache verify", "cache export", "cache merge"},
    "training": {"compare", "finetune"},
}
"""Commands that can show the messages of a room, or of a file in it. Lines that ``reporting`` renders are apart."""

EXCEPTIONS = {
    ("heads/table.py", "`params={{}: {}}`"),  # only for parameters that were given
    ("execution/network.py", "extract again with `recalibrate=True`"),  # of int8, which was extracted so
    ("engines/__init__.py", "leave `engine` out"),  # answers `engine` alone
    ("engines/__init__.py", "`engine={}`"),  # which extract and fit are to be given
    ("engines/__init__.py", "`precision={}`"),  # answers `precision` alone
    ("backbones/source.py", "`layout` applies only to an ONNX"),  # answers `layout` alone
    ("source/source.py", "increase `max_pixels`"),  # as the next
    ("images/decode.py", "increase `max_pixels`"),  # report draws thumbnails of what could be extracted
    ("images/decode.py", "`page={}`, but the image has"),
    ("images/decode.py", "`white` applies only to grey"),  # of whoever gave it
    ("images/colour.py", "(`white` does not do this)"),  # as the advice that one might think of
}
"""Messages that only commands with the option show."""


def commands() -> dict[str, set[str]]:
    """Return the options of each command as messages name them, switches also as ``name=True`` and ``name=False``."""
    found = {}
    top = typer.main.get_command(app)
    for name, command in top.commands.items():
        inner = {f"{name} {sub}": one for sub, one in getattr(command, "commands", {}).items()} or {name: command}
        for own, one in inner.items():
            options = [param for param in one.params if param.opts[0].startswith("-")]
            found[own] = {"params" if param.name == "param" else param.name for param in options}
            found[own] |= {f"{param.name}=True" for param in options if param.is_flag}
            found[own] |= {f"{param.name}=False" for param in options if param.secondary_opts}
    return found


def parameters(command: str) -> set[str]:
    """Return the parameters of the function of a command, and the fields of the runtime that it takes."""
    names = set(inspect.signature(FUNCTIONS[command]).parameters)
    return names | {one.name for one in dataclasses.fields(Runtime)} if "runtime" in names else names


def strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string of a module, docstrings left out, with ``{}`` for what is put in."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def outputs(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and parameter, in backticks, of each file that a module writes for a parameter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "OutputFile":
            yield from ((node.lineno, f"`{one.value}`") for one in node.args[3:4] if isinstance(one, ast.Constant))


def parsed(file: Path) -> ast.AST:
    return ast.parse(file.read_text(encoding="utf-8"))


FILES = [file for file in sorted(ROOT.rglob("*.py")) if file.relative_to(ROOT).parts[0] not in ("cli", "rendering")]
EACH_FILE = pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())


@EACH_FILE
def test_no_message_names_a_parameter_that_the_command_lacks(file):
    name = file.relative_to(ROOT).as_posix()
    options = commands()
    tree = parsed(file)
    for line, text in [*strings(tree), *outputs(tree)]:
        if not NAMED.search(text) or any(name == where and part in text for where, part in EXCEPTIONS):
            continue
        if name == "options.py":  # help texts, see test_options.py
            continue
        reached = REACHED_BY.get(name) or REACHED_BY.get(name.partition("/")[0])
        if (name, text) == ("classifier/classifier.py", "`path`"):  # of Classifier.save, which no command calls so
            continue
        assert reached is not None, f"{name}:{line} names a parameter: which commands can show it?"
        named = [command for command in options if re.search(rf"(?<![\w-]){command}(?![\w-])", text)]
        for parameter, value in NAMED.findall(text):
            option = f"{parameter}={value}" if value in ("True", "False") else parameter
            having = {one for one in FUNCTIONS if option in options[one] and parameter in parameters(one)}
            lacking = sorted(reached - set(named) - having)
            assert not lacking or having & set(named), f"{name}:{line}: {lacking} has no {option}: {text!r}"


@EACH_FILE
def test_only_the_command_line_spells_options(file):
    external = re.compile(r"python -m \S+.*?(net\.onnx|$)")
    for line, text in strings(parsed(file)):
        assert text == "-o" or not OPTION.search(external.sub("", text)), f"{file}:{line}: {text!r}"


def test_the_commands_of_the_table_exist():
    assert set().union(*REACHED_BY.values()) <= set(FUNCTIONS) <= set(commands())
    assert set(commands()) - set(FUNCTIONS) == {"backbones", "demo"}
