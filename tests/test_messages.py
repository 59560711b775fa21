"""Options that messages name: every command that can show a message has them, or the message names one that has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

import featx
from featx.cli.app import app

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
ROOT = Path(featx.__file__).parent

DATA = {"extract", "fit", "compare", "finetune"}
EVERY = {*DATA, "predict", "report"}

REACHED_BY = {
    "backbones": DATA,
    "backbones/onnx.py": DATA - {"finetune"},  # which refuses ONNX networks
    "capturing": {"capture"},
    "caching": {"cache gc", "cache ls", "cache verify", "cache export"},
    "caching/cleaning.py": {"cache gc"},
    "classifier": {"fit", "predict", "report", "finetune"},
    "classifier/novelty.py": {"predict"},
    "comparison": {"compare"},
    "contrast.py": {"extract", "fit", "inspect"},
    "dataset": {*DATA, "inspect"},
    "duplicates": {"fit", "compare", "finetune"},
    "engines": {*DATA, "predict"},
    "evaluate": {"fit", "compare", "finetune"},
    "extraction": {*DATA, "predict"},
    "extraction/augmenting.py": DATA,
    "extraction/darkness.py": {*DATA, "inspect"},
    "extraction/extracting.py": {"extract"},  # --preview
    "extraction/filling.py": DATA,
    "extraction/quantizing.py": DATA,
    "extraction/recalling.py": {"cache export"},
    "extraction/recipes.py": DATA,
    "extraction/settling.py": {"extract", "fit", "finetune", "predict"},  # the others are not strict
    "extraction/starting.py": DATA,
    "finetuning": {"finetune"},
    "fitting": {"fit"},
    "galleries": {"predict"},
    "heads": {"fit", "compare", "finetune"},
    "images": {*EVERY, "inspect"},
    "output": {"extract", "compare", "finetune", "predict", "report", "cache export"},
    "prediction": {"predict"},
    "sources.py": {"fit", "compare", "finetune"},
    "store": {*EVERY, "cache gc", "cache ls", "cache verify", "cache export"},
    "training": {"compare", "finetune"},
}
"""Commands that can show the messages of a room, or of a file in it. Lines that ``reporting`` renders are apart."""

EXCEPTIONS = {
    ("extraction/starting.py", "extract again with --recalibrate"),  # of int8, which was extracted so
    ("backbones/source.py", "--layout is for an ONNX"),  # answers --layout alone
    ("heads/table.py", "--param "),  # answers --param alone
    ("images/files.py", "--max-pixels allows more"),  # as the next
    ("images/decode.py", "--max-pixels allows more"),  # report draws thumbnails of what could be extracted
    ("images/decode.py", "--page {} was asked for"),
    ("images/decode.py", "--white is for grey"),  # of whoever gave it
    ("images/colour.py", "(--white does not)"),  # as the advice that one might think of
}
"""Messages that only commands with the option show."""


def commands() -> dict[str, set[str]]:
    """Return the options of each command."""
    found = {}
    top = typer.main.get_command(app)
    for name, command in top.commands.items():
        for own, inner in {f"{name} {sub}": c for sub, c in getattr(command, "commands", {}).items()}.items() or [
            (name, command)
        ]:
            found[own] = {word for param in inner.params for word in (*param.opts, *param.secondary_opts)}
    return found


def messages(file: Path) -> list[tuple[int, str]]:
    """Return the texts of a module that name an option, docstrings left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            found.append((node.lineno, text))
    found += [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped
    ]
    external = re.compile(r"python -m \S+.*?(net\.onnx|$)")
    texts = [(line, external.sub("", text)) for line, text in found]
    return [(line, text) for line, text in texts if OPTION.search(text)]


FILES = [file for file in sorted(ROOT.rglob("*.py")) if file.relative_to(ROOT).parts[0] not in ("cli", "reporting")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_message_names_an_option_that_the_command_lacks(file):
    name = file.relative_to(ROOT).as_posix()
    options = commands()
    for line, text in messages(file):
        if any(name == where and part in text for where, part in EXCEPTIONS):
            continue
        reached = REACHED_BY.get(name) or REACHED_BY.get(name.partition("/")[0])
        assert reached is not None, f"{name}:{line} names an option: which commands can show it?"
        named = [command for command in options if re.search(rf"(?<![\w-]){command}(?![\w-])", text)]
        for option in OPTION.findall(text):
            lacking = [command for command in sorted(reached - set(named)) if option not in options[command]]
            helps = any(option in options[command] for command in named)
            assert not lacking or helps, f"{name}:{line}: {', '.join(lacking)} has no {option}: {text!r}"


def test_the_commands_of_the_table_exist():
    assert set().union(*REACHED_BY.values()) <= set(commands())
