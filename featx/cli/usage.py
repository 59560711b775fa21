"""Usage errors in the form of all other errors, and help texts that are not cut."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

from featx.cli.console import TYPED, report_error

_PANELS = (
    *("Arguments", "Data", "Backbone", "Augmented views", "Comparison", "Head", "Training", "Evaluation", "Report"),
    *("Prediction", "Frames", "Run", "Output", "Help"),
)
"""Headings of the help, in order."""


class Command(TyperCommand):
    """A command whose help lists the options under the headings of their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List arguments and options, each panel as one section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                is_argument = parameter.param_type_name == "argument"
                panel = "Arguments" if is_argument else getattr(parameter, "rich_help_panel", None) or "Help"
                name = record[0].partition(" <")[0] if is_argument else record[0]
                sections.setdefault(panel, []).append((name, record[1]))
        for panel in sorted(sections, key=_PANELS.index):
            with formatter.section(panel):
                formatter.write_dl(sections[panel])


class Group(TyperGroup):
    """A group of commands whose usage errors are one line, or JSON with ``--json``."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; a usage error ends the process with exit code 2."""
        TYPED[:] = sys.argv[1:] if args is None else args
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        words = list(TYPED)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except Exception as error:  # some versions of typer bring their own click, so test for the method
            if not hasattr(error, "format_message"):
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]
            else:
                report_error(_in_one_line(error), "--json" in words)
            sys.exit(getattr(error, "exit_code", 2))
        sys.exit(code if isinstance(code, int) else 0)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with the first sentence of their help, wrapped but not cut."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, command.get_short_help_str(1000)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _in_one_line(error: Any) -> str:
    text = " ".join(str(error.format_message()).split()).rstrip(".")
    path = getattr(getattr(error, "ctx", None), "command_path", "featx")
    return f"{text}; see {path} --help"
