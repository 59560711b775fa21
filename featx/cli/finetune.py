"""featx finetune: train the top blocks of a backbone end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import options as o
from featx.cli.console import Console
from featx.cli.following import predict_next, report_next
from featx.options import (
    DEFAULT_BACKBONE,
    AugmentOptions,
    FeatureOptions,
    FinetuneOptions,
    RunOptions,
    RuntimeOptions,
    SplitOptions,
    TrainOptions,
)

_NOT_TRAINED = ("layer", "pooling", "layout")
"""Options of features that fine-tuning does not have."""


def finetune(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Folder, archive or manifest of labelled images.")
    ] = "data",
    backbone: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Name of a backbone (see `featx backbones`), a .keras or .h5 file, or scratch-cnn.",
            rich_help_panel="Backbone",
        ),
    ] = DEFAULT_BACKBONE,
    *,
    outputs: FinetuneOptions,
    training: TrainOptions,
    augmented: Annotated[AugmentOptions, o.Only(("augment", "views"))],
    split: SplitOptions,
    options: Annotated[FeatureOptions, o.Without(_NOT_TRAINED)],
    run: Annotated[RunOptions, o.Only(("strict",))],
    runtime: Annotated[RuntimeOptions, o.Without(("batch_size",))],
    as_json: o.Json = False,
) -> None:
    """Train the top blocks of a backbone end to end, and compare the result with the frozen backbone."""
    console = Console(as_json)
    from featx.finetuning import finetune as library_finetune
    from featx.output import default_model_path
    from featx.rendering import finetuning_lines

    path = Path(outputs.output or default_model_path(data, backbone, "finetuned"))
    done = library_finetune(
        data,
        backbone,
        **vars(training),
        **vars(split),
        augment=augmented.augment,
        views=augmented.views,
        output=path,
        overwrite=outputs.overwrite,
        **{name: value for name, value in vars(options).items() if name not in _NOT_TRAINED},
        strict=run.strict,
        runtime=console.runtime(runtime),
    )
    network: list[str | Path] = [] if done.weights is None else ["--weights", done.weights]
    result = {**done.to_dict(), "model": str(path)}
    kept = "frozen backbone" if result["kept"] == "frozen" else "trained network"
    console.result(
        result,
        [
            *finetuning_lines(result),
            f"network    {done.backbone}, the trained network without its last layer",
            f"for Keras  {done.keras_classifier}, a Keras model that computes class probabilities from pixels",
            f"training   {path.with_suffix('.png')}, {path.with_suffix('.csv')}: loss, accuracy and learning rate",
            f"model      {path}, a head on the {kept}",
            predict_next(path, runtime.cache, *network) if network else report_next(path, runtime.cache),
        ],
    )
