"""The typer application and its commands."""

from __future__ import annotations

import typer

from featx.cli import backbones, cache, capture, compare, demo, extract, finetune, fit, inspect, predict, report
from featx.cli.console import guarded
from featx.cli.options import expand
from featx.cli.usage import Group

app = typer.Typer(
    name="featx",
    cls=Group,
    help="Turn a folder of images into an honest image classifier.",
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
def _root(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print it.")) -> None:
    pass


app.command("extract")(guarded(expand(extract.extract)))
app.command("fit")(guarded(expand(fit.fit)))
app.command("finetune")(guarded(expand(finetune.finetune)))
app.command("compare")(guarded(expand(compare.compare)))
app.command("report")(guarded(expand(report.report)))
app.command("predict")(guarded(expand(predict.predict)))
app.command("inspect")(guarded(expand(inspect.inspect)))
app.command("capture")(guarded(expand(capture.capture)))
app.command("backbones")(guarded(expand(backbones.backbones)))
app.command("demo")(guarded(expand(demo.demo)))

_cache = typer.Typer(cls=Group, help="Look after the cache.", no_args_is_help=True, rich_markup_mode=None)
_cache.command("ls")(guarded(expand(cache.ls)))
_cache.command("verify")(guarded(expand(cache.verify)))
_cache.command("gc")(guarded(expand(cache.gc)))
_cache.command("export")(guarded(expand(cache.export)))
app.add_typer(_cache, name="cache")
