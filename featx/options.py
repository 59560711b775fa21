"""The options of featx: each is written once, with its type, its default, its range and one line of help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from pathlib import Path
from typing import Any, Literal, Self, get_args

from featx.errors import OptionError
from featx.spec import LARGEST_SIZE, LARGEST_WHITE, SMALLEST_SIZE, EngineName, Layout, Pooling, Precision, Resize

DEFAULT_BACKBONE = "efficientnet-lite0"
DEFAULT_HEAD = "logreg"

MOST_VIEWS = 65_535
"""A key of a store holds the number of a view in 16 bits."""

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
        The range of a number, or of each number of a sequence: ``min`` and ``max``, or ``above`` and ``below`` where
        the bound itself is not allowed. For the command line: ``short``, one letter, and ``envvar``.
    """
    return field(default=default, metadata={"help": text, **details})


def check_range(name: str, value: Any, details: Mapping[str, Any]) -> None:
    """Check that a number, or each number of a sequence, is in the range of its option; anything else passes.

    Parameters
    ----------
    name : str
        For the message.
    value : object
    details : mapping
        Metadata of the field, see :func:`option`.

    Raises
    ------
    OptionError
        It is not.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            check_range(name, one, details)
    elif isinstance(value, Real) and not isinstance(value, bool):
        low, above = details.get("min"), details.get("above")
        high, below = details.get("max"), details.get("below")
        fits = (low is None or value >= low) and (above is None or value > above)
        if not (fits and (high is None or value <= high) and (below is None or value < below)):
            raise OptionError(f"`{name}={value}`: it must be {_in_words(low, above, high, below)}")


def _in_words(low: float | None, above: float | None, high: float | None, below: float | None) -> str:
    """Return a range in words, as ``1 or more`` or ``above 0 and below 1``."""
    first = f"{low:,} or more" if low is not None else "" if above is None else f"above {above:,}"
    last = f"at most {high:,}" if high is not None else "" if below is None else f"below {below:,}"
    if low is not None and high is not None:
        return f"from {low:,} to {high:,}"
    return " and ".join(one for one in (first, last) if one)


@dataclass(frozen=True)
class Options:
    """Options of one concern; subclasses name them.

    Raises
    ------
    OptionError
        A number outside the range of its option.
    """

    def __post_init__(self) -> None:
        for one in fields(self):
            check_range(one.name, getattr(self, one.name), one.metadata)

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
        None,
        "Value of white in grey images with more than 8 bits; if not given, what the file says.",
        min=1,
        max=LARGEST_WHITE,
    )
    page: int = option(1, "Page of a TIFF, frame of an animation, from 1.", min=1)


@dataclass(frozen=True)
class BackboneOptions(Options):
    """Which network computes the features, and how."""

    weights: str | Path = option("imagenet", "imagenet, a weight file, or random[:SEED] (for tests).")
    layer: str | None = option(None, "Layer to take features from; the last if not given.")
    pooling: Pooling = option("avg", "How a map of activations becomes a vector: avg, max or flatten.")
    size: int | None = option(
        None, "Side of the input in pixels; the network's own if not given.", min=SMALLEST_SIZE, max=LARGEST_SIZE
    )
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
    views: int = option(0, "Augmented views of each image to learn from.", min=0, max=MOST_VIEWS)
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

    hidden: Sequence[int] = option((), "Widths of the hidden layers of mlp, with commas; 128 if not given.", min=1)
    class_weight: ClassWeight | None = option(None, "balanced: weigh classes by the inverse of their size.")


@dataclass(frozen=True)
class TrainOptions(Options):
    """How a network is trained."""

    unfreeze: int | str = option(
        "auto", "Blocks to train, from the top; auto (a third), all, or a layer: it and all above."
    )
    head: str = option(DEFAULT_HEAD, "What training begins with: logreg, ridge or mlp.")
    top: Top = option("gap", "What the dense layers see: gap, gmp or flatten.")
    hidden: Sequence[int] = option((), "Widths of hidden dense layers, with commas.", min=1)
    dropout: float | None = option(
        None, "After each hidden dense layer; 0, or 0.5 from scratch, if not given.", min=0, below=1
    )
    epochs: int | None = option(None, "At most; 10, or 30 from scratch, if not given.", min=1)
    batch_size: int = option(32, "Images a step.", min=1)
    optimizer: Optimizer = option("adamw", "adamw, adam, rmsprop or sgd.")
    learning_rate: float | None = option(
        None, "Highest learning rate of the top; 0.0003, or 0.001 from scratch, if not given.", above=0
    )
    layer_decay: float = option(0.8, "Learning rate of each block relative to what lies above it.", above=0, max=1)
    warmup: float = option(0.1, "Share of the steps in which the learning rate rises.", min=0, below=1)
    weight_decay: float = option(0.01, "Decoupled, of kernels.", min=0)
    label_smoothing: float = option(0.1, "Share of each label that goes to all classes.", min=0, below=1)
    patience: int = option(4, "Epochs without a lower validation loss before training ends.", min=1)
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


@dataclass(frozen=True)
class FitOptions(Options):
    """What fit has alone."""

    bundle: bool = option(False, "Take the network along in the model: predicting then needs no weights.")


@dataclass(frozen=True)
class FinetuneOptions(Options):
    """What finetune writes."""

    output: str | Path | None = option(
        None, "Model file; on the command line NAME-BACKBONE-finetuned.featx if not given.", short="o"
    )
    overwrite: bool = option(False, "Replace outputs that featx wrote.")


@dataclass(frozen=True)
class CompareOptions(Options):
    """What is compared."""

    backbones: Sequence[str] = option((DEFAULT_BACKBONE,), "Backbones, with commas.")
    heads: Sequence[Any] = option(("logreg", "svm"), "Heads, with commas.")
    poolings: Sequence[Pooling] = option(("avg",), "avg, max, flatten, with commas.")
    resizes: Sequence[Resize] = option(("crop",), "crop, squash, pad, with commas.")
    sizes: Sequence[int | None] = option(
        (None,),
        "Input sides in pixels, with commas; the backbones' own if not given.",
        min=SMALLEST_SIZE,
        max=LARGEST_SIZE,
    )
    scratch: bool = option(False, "Compare with a small network trained from random weights.")
    unfreeze: int | str | None = option(
        None, "Compare with the backbones fine-tuned: number of blocks, auto, all or a layer."
    )
    curves: str | Path | None = option(None, "PNG file to write: the learning curves of trained networks.")
    overwrite: bool = option(False, "Replace it if featx wrote it.")


@dataclass(frozen=True)
class ReportOptions(Options):
    """What a report shows, and which files it writes."""

    on: str | Path | None = option(None, "Labelled images that were not used to fit.")
    weights: str | Path | None = option(
        None, "Weight file or local network, for a model that was made with one and `on`."
    )
    html: str | Path | None = option(None, "Page to write: one file that needs no other.")
    suspects: str | Path | None = option(None, "CSV file of doubtful labels to write.")
    data: str | Path | None = option(
        None,
        "Folder or manifest that the model was fitted on, for the images of the page; the model's own if not given.",
    )
    overwrite: bool = option(False, "Replace outputs that featx wrote.")


@dataclass(frozen=True)
class PredictOptions(Options):
    """What predict writes, and how."""

    output: str | Path | None = option(None, "Table to write: .csv, .jsonl or .parquet.", short="o")
    top_k: int = option(1, "Classes named for each image.", min=1)
    sort_into: str | Path | None = option(None, "Folder to copy the images into, a subfolder for each class.")
    link: bool = option(False, "Make hard links instead of copies in the folder of `sort_into`.")
    gallery: str | Path | None = option(None, "Sheet of the images with their labels to write: .html or .png.")
    overwrite: bool = option(False, "Replace outputs that featx wrote.")
    no_cache: bool = option(False, "Neither read nor fill the cache.")
    weights: str | Path | None = option(None, "Weight file or local network, for a model that was made with one.")
    exact: bool = option(False, "Refuse float32 in place of the model's bfloat16 on a processor without it.")
    reject_rate: float | None = option(
        None,
        "Reject images unlike the training images; share of genuine ones that may be rejected, as 0.05.",
        above=0,
        below=1,
    )


@dataclass(frozen=True)
class CaptureOptions(Options):
    """Which frames are kept, and where."""

    output: str | Path = option("data", "Folder of label folders; images go into its folder LABEL.", short="o")
    count: int = option(100, "Images after which the recording ends.", min=1)
    full_frame: bool = option(False, "Keep whole frames instead of faces.")
    margin: float = option(0.3, "What is kept around a face, in parts of its width, on every side.", min=0, max=10)
    every: int = option(1, "Look at every Nth frame only.", min=1)
    min_sharpness: float = option(
        0.4, "Least sharpness, in parts of the usual one; 0 keeps blurred frames.", min=0, max=1
    )
    min_difference: float = option(
        4.0, "Least difference to the image before, in grey levels; 0 keeps all.", min=0, max=255
    )
    preview: bool = option(True, "Show a window where there is a display; q in it ends the recording.")
