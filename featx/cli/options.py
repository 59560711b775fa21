"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]
Cache = Annotated[Path, typer.Option(envvar="FEATX_CACHE", help="Folder of cached features.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads; all processors if not given.", show_default=False)]
BatchSize = Annotated[int, typer.Option(min=1, help="Pictures handed to the network at a time.")]
Strict = Annotated[bool, typer.Option(help="Make a picture that cannot be used an error, once the others are done.")]

Backbone = Annotated[str, typer.Option(help="Name (see `featx backbones`) or a .keras, .h5 or .onnx file.")]
Weights = Annotated[str, typer.Option(help="imagenet, a weight file, or random[:SEED] (for tests).")]
Layer = Annotated[str | None, typer.Option(help="Layer to take features from; the last if not given.")]
Pooling = Annotated[str, typer.Option(help="avg, max or flatten.")]
Size = Annotated[int | None, typer.Option(help="Input side in pixels; the network's own if not given.")]
Resize = Annotated[str, typer.Option(help="crop (centre, 7/8 of the shorter side), squash or pad.")]
White = Annotated[
    int | None, typer.Option(help="Value of white in grey pictures with more than 8 bits; the file's if not given.")
]
Page = Annotated[int, typer.Option(min=1, help="Page of a TIFF, frame of an animation.")]
MaxPixels = Annotated[int, typer.Option(min=1, help="Pictures with more pixels are skipped.")]
Preprocess = Annotated[
    str | None,
    typer.Option(help="Pixel scaling of a network from a file: caffe, tf, torch, lite, none or mean=R,G,B;std=R,G,B."),
]
Layout = Annotated[str | None, typer.Option(help="Input of an ONNX network: nchw or nhwc.")]
Engine = Annotated[str, typer.Option(help="What executes the network: auto, openvino or tensorflow.")]
Precision = Annotated[str, typer.Option(help="Number format of the network: auto, float32, bfloat16 or int8.")]
Recalibrate = Annotated[bool, typer.Option("--recalibrate", help="Set the ranges of int8 again, on these pictures.")]
Device = Annotated[str, typer.Option(help="auto, cpu, gpu or gpu:N.")]
LabelBy = Annotated[str | None, typer.Option(help="Which folder is the class: parent or top.")]
PathColumn = Annotated[str, typer.Option(help="Column of paths in a manifest.")]
Augment = Annotated[
    str | None,
    typer.Option(help="Augmented views: light, medium, tutorial, or as rotation=15,zoom=0.2,flip=horizontal."),
]
Views = Annotated[int, typer.Option(min=0, help="Augmented views of each picture to learn from.")]
LabelColumn = Annotated[str, typer.Option(help="Column of labels in a manifest.")]

Folds = Annotated[int, typer.Option(min=2, help="Folds.")]
Repeats = Annotated[int, typer.Option(min=1, help="Times the folds are cut anew.")]
ClassWeight = Annotated[str | None, typer.Option(help="balanced: every class counts alike.")]
Seed = Annotated[int, typer.Option(help="Of folds and of heads with randomness.")]
GroupBy = Annotated[
    str | None,
    typer.Option(
        help="Keep together in folds: parent (a folder), folder:N, word:N of the name, a column, a pattern in the path."
    ),
]
