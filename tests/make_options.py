"""Write docs/options.md, the tables of options, from the fields that define them: ``python tests/make_options.py``."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

import typer

from featx.cli.app import app
from featx.options import (
    AugmentOptions,
    BackboneOptions,
    CaptureOptions,
    CompareOptions,
    DatasetOptions,
    FinetuneOptions,
    FitOptions,
    FoldOptions,
    HeadOptions,
    Options,
    PixelOptions,
    PredictOptions,
    ReportOptions,
    RunOptions,
    RuntimeOptions,
    SplitOptions,
    TrainOptions,
)

PATH = Path(__file__).parent.parent / "docs" / "options.md"
KINDS: dict[type[Options], str] = {
    DatasetOptions: "",
    PixelOptions: "",
    BackboneOptions: "",
    AugmentOptions: "",
    SplitOptions: "",
    FoldOptions: "",
    HeadOptions: "",
    TrainOptions: "",
    RunOptions: "",
    RuntimeOptions: "",
    FitOptions: "fit",
    FinetuneOptions: "finetune",
    CompareOptions: "compare",
    ReportOptions: "report",
    PredictOptions: "predict",
    CaptureOptions: "capture",
}
"""Classes of options, in the order of the page, and the command that has one alone."""


def options_page() -> str:
    """Return the page."""
    commands = {name: {one.name for one in command.params} for name, command in _commands().items()}
    parts = [
        "# Options\n\nEach option is written once, in `featx/options.py`, from which `python tests/make_options.py`\n"
        "makes this page; [commands.md](commands.md) explains them. On the command line an underscore is a dash.\n"
    ]
    shown: set[str] = set()
    for kind, alone in KINDS.items():
        parts.append(f"## {kind.__doc__}\n")
        parts.append("| option | default | is | commands |\n|---|---|---|---|")
        for one in fields(kind):
            if one.name in shown and kind is FoldOptions:  # those of SplitOptions stand above
                continue
            shown.add(one.name)
            having = alone or ", ".join(name for name, names in commands.items() if one.name in names)
            default = "" if one.default in (None, (), (None,), MISSING) else f"`{_plain(one.default)}`"
            text = str(one.metadata["help"]).replace("|", "\\|")
            parts.append(f"| `{one.name}` | {default} | {text} | {having} |")
        parts.append("")
    return "\n".join(parts)


def _plain(default: object) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _commands() -> dict[str, typer.core.TyperCommand]:
    return {name: one for name, one in typer.main.get_command(app).commands.items() if hasattr(one, "params")}


if __name__ == "__main__":
    PATH.write_text(options_page(), encoding="utf-8")
