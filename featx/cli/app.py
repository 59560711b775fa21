"""The typer application and its commands."""

from __future__ import annotations

import typer

from featx.cli import backbones, cache, capture, compare, demo, extract, finetune, fit, inspect, predict, report
from featx.cli.console import guarded
from featx.cli.options import expand
from featx.cli.usage import Command, Group

app = typer.Typer(
    name="featx",
    cls=Group,
    help="Turn a folder of images into an image classifier, with an accuracy that is valid for new images.",
    epilog="Start with: featx demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from featx import __version__

        typer.echo(f"featx {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command("extract", cls=Command)(guarded(expand(extract.extract)))
app.command("fit", cls=Command)(guarded(expand(fit.fit)))
app.command("finetune", cls=Command)(guarded(expand(finetune.finetune)))
app.command("compare", cls=Command)(guarded(expand(compare.compare)))
app.command("report", cls=Command)(guarded(expand(report.report)))
app.command("predict", cls=Command)(guarded(expand(predict.predict)))
app.command("inspect", cls=Command)(guarded(expand(inspect.inspect)))
app.command("capture", cls=Command)(guarded(expand(capture.capture)))
app.command("backbones", cls=Command)(guarded(expand(backbones.backbones)))
app.command("demo", cls=Command)(guarded(expand(demo.demo)))

_cache = typer.Typer(
    cls=Group, help="List, verify, clean, export and merge caches.", no_args_is_help=True, rich_markup_mode=None
)
_cache.command("ls", cls=Command)(guarded(expand(cache.ls)))
_cache.command("verify", cls=Command)(guarded(expand(cache.verify)))
_cache.command("gc", cls=Command)(guarded(expand(cache.gc)))
_cache.command("export", cls=Command)(guarded(expand(cache.export)))
_cache.command("merge", cls=Command)(guarded(expand(cache.merge)))
app.add_typer(_cache, name="cache")
