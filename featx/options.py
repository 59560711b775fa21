"""The options of featx: each is written once, with its type, its default and one line of help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

from featx.spec import EngineName, Layout, Pooling, Precision, Resize

DEFAULT_BACKBONE = "efficientnet-lite0"
DEFAULT_HEAD = "logreg"

_ENGINES = ", ".join(("auto", *get_args(EngineName)))

ClassWeight = Literal["balanced"]
LabelBy = Literal["parent", "top"]
Top = Literal["gap", "gmp", "flatten"]
Optimizer = Literal["adamw", "adam", "rmsprop", "sgd"]
BatchNorm = Literal["frozen", "train"]


def option(default: Any, text: str, **details: Any) -> Any:
    """Return the field of an option.

    Parameters
    ----------
    default : object
    text : str
        One line of help, for the command line and the documentation.
    **details
        What the command line needs beside: ``min`` and ``max`` of a number.
    """
    return field(default=default, metadata={"help": text, **details})


@dataclass(frozen=True)
class Options:
    """Options of one concern; subclasses name them."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return the options among the given names and values, as ``locals()`` of a function with such parameters."""
        return cls(**{name: given[name] for name in cls.names() if name in given})

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the options, in order."""
        return [one.name for one in fields(cls)]

    @classmethod
    def read(cls, noted: Mapping[str, Any]) -> Self:
        """Return options that a file of the cache holds.

        Raises
        ------
        KeyError, TypeError
            There is no such option, or its value is of another type.
        """
        defaults = {one.name: one.default for one in fields(cls)}
        for name, value in noted.items():
            default = defaults[name]
            if type(value) is not type(default) and not (default is None and type(value) in (str, int)):
                raise TypeError(name)
        return cls(**noted)

    def select(self, kind: type[Options]) -> dict[str, Any]:
        """Return the options that another class of options has too, by name."""
        return {name: getattr(self, name) for name in kind.names()}

    def changed(self) -> dict[str, Any]:
        """Return the options that are not at their default, by name, in order."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}


@dataclass(frozen=True)
class DatasetOptions(Options):
    """How a folder or a manifest is understood."""

    label_by: LabelBy | None = option(None, "Which folder is the class: parent or top.")
    path_column: str = option("path", "Column of paths in a manifest or list.")
    label_column: str = option("label", "Column of labels in a manifest.")


@dataclass(frozen=True)
class PixelOptions(Options):
    """How the pixels of a file are read."""

    white: int | None = option(
        None, "Value of white in grey images with more than 8 bits; if not given, what the file says."
    )
    page: int = option(1, "Page of a TIFF, frame of an animation, from 1.", min=1)


@dataclass(frozen=True)
class BackboneOptions(Options):
    """Which network computes the features, and how."""

    weights: str | Path = option("imagenet", "imagenet, a weight file, or random[:SEED] (for tests).")
    layer: str | None = option(None, "Layer to take features from; the last if not given.")
    pooling: Pooling = option("avg", "How a map of activations becomes a vector: avg, max or flatten.")
    size: int | None = option(None, "Side of the input in pixels; the network's own if not given.")
    resize: Resize = option(
        "crop", "How an image becomes a square: crop (centre, 7/8 of the shorter side), squash or pad."
    )
    preprocess: str | None = option(
        None, "Pixel scaling of a network from a file: caffe, tf, torch, lite, none or mean=R,G,B;std=R,G,B."
    )
    layout: Layout | None = option(None, "Order of the dimensions of an ONNX network's input: nchw or nhwc.")
    engine: Literal["auto"] | EngineName = option(
        "auto", f"What executes the network: {', '.join(('auto', *get_args(EngineName)))}."
    )
    precision: Literal["auto"] | Precision = option(
        "auto", "Number format of the network: auto, float32, bfloat16 or int8."
    )


@dataclass(frozen=True)
class AugmentOptions(Options):
    """Augmented views of the training part."""

    augment: str | None = option(
        None, "Augmented views: light, medium, tutorial, or as rotation=15,zoom=0.2,flip=horizontal."
    )
    views: int = option(0, "Augmented views of each image to learn from.", min=0)
    seed: int = option(0, "Random seed of the views.")


@dataclass(frozen=True)
class FeatureOptions(DatasetOptions, PixelOptions, BackboneOptions):
    """What defines the features of a data set."""


@dataclass(frozen=True)
class ExtractOptions(AugmentOptions, FeatureOptions):
    """The same with augmented views: what ``latest.json`` keeps."""


@dataclass(frozen=True)
class RunOptions(Options):
    """What belongs to one run of extract."""

    recalibrate: bool = option(False, "Set the ranges of int8 again, on these images.")
    preview: str | Path | None = option(None, "PNG file to write: images and their views, as the network sees them.")
    overwrite: bool = option(False, "Replace a preview that featx wrote.")
    strict: bool = option(False, "Make an image that cannot be used an error, once the others are done.")


@dataclass(frozen=True)
class SplitOptions(Options):
    """How images are divided into those that are learnt from and those that are tested."""

    group_by: str | None = option(
        None,
        "What stays together in folds: parent (a folder), folder:N, word:N (of the name), a column, or a pattern.",
    )
    seed: int = option(0, "Random seed.")


@dataclass(frozen=True)
class FoldOptions(SplitOptions):
    """How accuracy is cross-validated."""

    cv: int = option(5, "Number of folds.", min=2)
    repeats: int = option(1, "How often the folds are drawn.", min=1)


@dataclass(frozen=True)
class HeadOptions(Options):
    """What heads have in common, or all of one kind."""

    hidden: Sequence[int] = option((), "Widths of the hidden layers of mlp, with commas; 128 if not given.")
    class_weight: ClassWeight | None = option(None, "balanced: weigh classes by the inverse of their size.")


@dataclass(frozen=True)
class TrainOptions(Options):
    """How a network is trained."""

    unfreeze: int | str = option(
        "auto", "Blocks to train, from the top; auto (a third), all, or a layer: it and all above."
    )
    head: str = option(DEFAULT_HEAD, "What training begins with: logreg, ridge or mlp.")
    top: Top = option("gap", "What the dense layers see: gap, gmp or flatten.")
    hidden: Sequence[int] = option((), "Widths of hidden dense layers, with commas.")
    dropout: float | None = option(None, "After each hidden dense layer; 0, or 0.5 from scratch, if not given.")
    epochs: int | None = option(None, "At most; 10, or 30 from scratch, if not given.")
    batch_size: int = option(32, "Images a step.")
    optimizer: Optimizer = option("adamw", "adamw, adam, rmsprop or sgd.")
    rate: float | None = option(None, "Highest learning rate of the top; 0.0003, or 0.001 from scratch, if not given.")
    layer_decay: float = option(0.8, "Learning rate of each block relative to what lies above it.")
    warmup: float = option(0.1, "Share of the steps in which the learning rate rises.")
    weight_decay: float = option(0.01, "Decoupled, of kernels.")
    label_smoothing: float = option(0.1, "Share of each label that goes to all classes.")
    patience: int = option(4, "Epochs without a lower validation loss before training ends.")
    batch_norm: BatchNorm = option("frozen", "frozen: the statistics that it came with; train: those of each batch.")
    class_weight: ClassWeight | None = option(None, "balanced: weigh classes by the inverse of their size.")
    trunk_cache: bool = option(True, "Run the frozen part once and cache what it gives.")


@dataclass(frozen=True)
class RuntimeOptions(Options):
    """Where and how a run works: what does not change features."""

    cache: Path = option(Path("cache"), "Folder of cached features.", envvar="FEATX_CACHE")
    workers: int | None = option(None, "Threads that read and decode; all processors if not given.", min=1)
    batch_size: int = option(64, "Images handed to the network at a time.", min=1)
    device: str = option("auto", "auto, cpu, gpu or gpu:N.")
    max_pixels: int = option(100_000_000, "Images with more pixels are skipped.", min=1)
