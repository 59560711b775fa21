"""Usage errors in the one form that all errors have, and help with whole sentences."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

from featx.cli.console import TYPED, report_error


class Group(TyperGroup):
    """Commands whose usage errors are one line, or JSON where that was asked for, and whose help cuts no sentence."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; a wrong word on the command line ends the process with 2."""
        TYPED[:] = sys.argv[1:] if args is None else args
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        words = list(TYPED)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except Exception as error:  # typer brings its own copy of click from some version on: known by what they can do
            if not hasattr(error, "format_message"):
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined]
            else:
                report_error(_in_one_line(error), "--json" in words)
            sys.exit(getattr(error, "exit_code", 2))
        sys.exit(code if isinstance(code, int) else 0)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with the first sentence of their help, on as many lines as it takes."""
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
    return f"{text}; {path} --help shows what is allowed"
