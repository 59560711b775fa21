"""featx extract: scan, decode, extract, cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console, next_line
from featx.cli.following import model_replaced
from featx.cli.report import newest_model
from featx.errors import ClassifierError


def extract(
    data: Annotated[
        Path, typer.Argument(help="Folder of class folders, of train/val/test folders, of pictures; or a manifest.")
    ] = Path("data"),
    backbone: o.Backbone = "efficientnet-lite0",
    weights: o.Weights = "imagenet",
    layer: o.Layer = None,
    pooling: o.Pooling = "avg",
    size: o.Size = None,
    resize: o.Resize = "crop",
    white: o.White = None,
    page: o.Page = 1,
    preprocess: o.Preprocess = None,
    layout: o.Layout = None,
    engine: o.Engine = "auto",
    precision: o.Precision = "auto",
    recalibrate: o.Recalibrate = False,
    label_by: o.LabelBy = None,
    path_column: o.PathColumn = "path",
    label_column: o.LabelColumn = "label",
    augment: o.Augment = None,
    views: o.Views = 0,
    seed: Annotated[int, typer.Option(help="What the views are drawn with.")] = 0,
    preview: Annotated[
        Path | None, typer.Option(help="PNG file to write: pictures and their views, as the network sees them.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a preview that featx wrote.")] = False,
    strict: o.Strict = False,
    cache: o.Cache = Path("cache"),
    workers: o.Workers = None,
    batch_size: o.BatchSize = 64,
    device: o.Device = "auto",
    max_pixels: o.MaxPixels = 100_000_000,
    as_json: o.Json = False,
) -> None:
    """Run a pretrained network over pictures, once, and cache its features."""
    console = Console(as_json)
    from featx.extraction import extract as library_extract
    from featx.reporting import extraction_lines

    table = library_extract(
        data,
        backbone,
        weights=weights,
        layer=layer,
        pooling=pooling,
        size=size,
        resize=resize,
        white=white,
        page=page,
        preprocess=preprocess,
        layout=layout,
        engine=engine,
        precision=precision,
        recalibrate=recalibrate,
        label_by=label_by,
        path_column=path_column,
        label_column=label_column,
        augment=augment,
        views=views,
        seed=seed,
        preview=preview,
        overwrite=overwrite,
        strict=strict,
        runtime=console.runtime(cache, workers, batch_size, device, max_pixels),
    )
    labelled = any(sample.label is not None for sample in table.samples)
    with_views = ("--views", str(views)) if views else ()
    fitting = ("fit", "--head", "logreg", *with_views, *model_replaced(data, backbone, "logreg"))
    todo = next_line(*(fitting if labelled else ("predict", _newest_model(), data)), cache=cache)
    result = table.extraction.to_dict()
    seen = [f"preview    {preview}"] if preview is not None else []
    console.result(result, [*extraction_lines(result), *seen, todo])


def _newest_model() -> str | Path:
    try:
        return newest_model(Path())
    except ClassifierError:
        return "MODEL"
