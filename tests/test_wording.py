"""What the library says names parameters, and a terminal shows the options of the command line for them."""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from featx.cli.app import app
from featx.cli.console import Console
from featx.cli.wording import in_options
from featx.lookup.retrieval import extract_call
from featx.options import ExtractOptions


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("leave out `label_by`", "leave out --label-by"),
        ("use `precision=auto`, float32", "use --precision auto, float32"),
        ("`output=a.csv`: no", "-o a.csv: no"),
        ("`group_by=(P\\d+)`", "--group-by '(P\\d+)'"),
        ("`sort_into=a\nb`", "--sort-into $'a\\x0ab'"),
        ("`white=`", "--white ''"),
        ("add `overwrite=True`", "add --overwrite"),
        ("finetune `trunk_cache=False`", "finetune --no-trunk-cache"),
        ("capture `preview=False`", "capture --no-preview"),
        ("`params={'max_iter': N}`", "--param max_iter=N"),
        ("`featx backbones` and `python` stay", "`featx backbones` and `python` stay"),
        ("`runtime=3`, `features` `on`", "`runtime=3`, --features --on"),
        ("`featx.extract(])`", "`featx.extract(])`"),
        ("`featx.extract('a', nothing=1)`", "`featx.extract('a', nothing=1)`"),
        ("`featx.extract(name)`", "`featx.extract(name)`"),
        ("`featx.extract(5)`", "`featx.extract(5)`"),
    ],
)
def test_parameters_become_options(text, shown):
    assert in_options(text) == shown


@pytest.mark.parametrize("path", ["my data", "it's", "-x", "a`b", "a\nb", "`seed`", 'a"b', "caf\udce9", "f(x)"])
def test_a_call_becomes_the_command_that_does_the_same(path):
    options = ExtractOptions(label_by="top", label_column=f"{path} c", views=2, augment="light")
    call = extract_call(Path(path), "vgg16", options)
    made = ast.parse(call.strip("`"), mode="eval").body
    assert ast.literal_eval(made.args[0]) == path
    words = ["featx", "extract", f"./{path}" if path.startswith("-") else path, "--backbone", "vgg16"]
    words += ["--label-by", "top", "--label-column", f"{path} c", "--augment", "light", "--views", "2"]
    shown = in_options(call)
    if path.isprintable():
        assert shlex.split(shown) == words
    else:
        assert shown.startswith("featx extract $'")


def test_lines_and_errors_show_options_and_the_result_keeps_parameters(capsys):
    console = Console(as_json=True)
    console.line("use `group_by`")
    console.result({"notes": ["use `group_by`"]}, ["use `group_by`"])
    shown = capsys.readouterr()
    assert shown.err == "use --group-by\n"
    assert json.loads(shown.out) == {"notes": ["use `group_by`"]}
    Console().result({}, ["use `group_by`"])
    assert capsys.readouterr().out == "use --group-by\n"
    failed = CliRunner().invoke(app, ["extract", "nowhere", "--augment", "light", "--json"])
    message = "--augment light requires a number of views of each image, such as --views 4"
    assert failed.stderr == f"error: {message}\n"
    assert json.loads(failed.stdout) == {"error": message}
