"""The command line: parse, one library call, render, exit code."""

from __future__ import annotations


def main() -> None:
    """Run the command line; what the ``featx`` command starts."""
    from featx.cli.app import app

    app()
