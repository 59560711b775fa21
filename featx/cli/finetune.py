"""featx finetune: train the top blocks of a network end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console
from featx.cli.following import predict_next, report_next


def finetune(
    data: Annotated[Path, typer.Argument(help="Folder or manifest of labelled pictures.")] = Path("data"),
    backbone: Annotated[
        str, typer.Option(help="Name (see `featx backbones`), a .keras or .h5 file, or scratch-cnn.")
    ] = "efficientnet-lite0",
    unfreeze: Annotated[
        str, typer.Option(help="Blocks to train, from the top; auto (a third), all, or a layer: it and all above.")
    ] = "auto",
    head: Annotated[str, typer.Option(help="What training begins with: logreg, ridge or mlp.")] = "logreg",
    top: Annotated[str, typer.Option(help="What the dense layers see: gap, gmp or flatten.")] = "gap",
    dense: Annotated[list[int] | None, typer.Option(help="Width of a hidden dense layer. Repeatable.")] = None,
    dropout: Annotated[
        float | None, typer.Option(help="After each hidden dense layer; 0, or 0.5 from scratch, if not given.")
    ] = None,
    augment: o.Augment = None,
    views: o.Views = 0,
    epochs: Annotated[int | None, typer.Option(help="At most; 10, or 30 from scratch, if not given.")] = None,
    batch_size: Annotated[int, typer.Option(help="Pictures a step.")] = 32,
    optimizer: Annotated[str, typer.Option(help="adamw, adam, rmsprop or sgd.")] = "adamw",
    rate: Annotated[
        float | None, typer.Option(help="Highest learning rate of the top; 0.0003, or 0.001 from scratch.")
    ] = None,
    layer_decay: Annotated[float, typer.Option(help="Rate of each block relative to what lies above it.")] = 0.8,
    warmup: Annotated[float, typer.Option(help="Share of the steps in which the rate rises.")] = 0.1,
    weight_decay: Annotated[float, typer.Option(help="Decoupled, of kernels.")] = 0.01,
    label_smoothing: Annotated[float, typer.Option(help="Share of each label that goes to all classes.")] = 0.1,
    patience: Annotated[int, typer.Option(help="Epochs without a lower validation loss before it ends.")] = 4,
    batch_norm: Annotated[
        str, typer.Option(help="frozen: the statistics that it came with; train: those of each batch.")
    ] = "frozen",
    class_weight: o.ClassWeight = None,
    trunk_cache: Annotated[bool, typer.Option(help="Run the frozen part once and cache what it gives.")] = True,
    group_by: o.GroupBy = None,
    seed: o.Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Model file; NAME-BACKBONE-finetuned.featx if not given."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that featx wrote.")] = False,
    weights: o.Weights = "imagenet",
    size: o.Size = None,
    resize: o.Resize = "crop",
    white: o.White = None,
    page: o.Page = 1,
    preprocess: o.Preprocess = None,
    engine: o.Engine = "auto",
    precision: o.Precision = "auto",
    label_by: o.LabelBy = None,
    path_column: o.PathColumn = "path",
    label_column: o.LabelColumn = "label",
    strict: o.Strict = False,
    cache: o.Cache = Path("cache"),
    workers: o.Workers = None,
    device: o.Device = "auto",
    max_pixels: o.MaxPixels = 100_000_000,
    as_json: o.Json = False,
) -> None:
    """Train the top blocks of a network end to end, and compare it with the frozen one."""
    console = Console(as_json)
    from featx.finetuning import finetune as library_finetune
    from featx.output import default_model_path
    from featx.reporting import finetuning_lines

    path = output or default_model_path(data, backbone, "finetuned")
    runtime = console.runtime(cache, workers, device=device, max_pixels=max_pixels)
    done = library_finetune(
        data,
        backbone,
        unfreeze=unfreeze,
        head=head,
        top=top,
        dense=dense or (),
        dropout=dropout,
        augment=augment,
        views=views,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        rate=rate,
        layer_decay=layer_decay,
        warmup=warmup,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        patience=patience,
        batch_norm=batch_norm,
        class_weight=class_weight,
        trunk_cache=trunk_cache,
        group_by=group_by,
        seed=seed,
        output=path,
        overwrite=overwrite,
        weights=weights,
        size=size,
        resize=resize,
        white=white,
        page=page,
        preprocess=preprocess,
        engine=engine,
        precision=precision,
        label_by=label_by,
        path_column=path_column,
        label_column=label_column,
        strict=strict,
        runtime=runtime,
    )
    network: list[str | Path] = [] if done.weights is None else ["--weights", done.weights]
    result = {**done.to_dict(), "model": str(path)}
    console.result(
        result,
        [
            *finetuning_lines(result),
            f"network    {done.backbone}",
            f"for Keras  {done.keras_classifier}: pixels to probabilities of the classes; needs no featx",
            f"curves     {path.with_suffix('.png')}, {path.with_suffix('.csv')}",
            f"model      {path}",
            predict_next(path, cache, *network) if network else report_next(path, cache),
        ],
    )
