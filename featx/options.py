"""The options of featx: each is defined once, with its type, default, range and one line of help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

from featx.errors import OptionError
from featx.spec import LARGEST_SIZE, LARGEST_WHITE, SMALLEST_SIZE, EngineName, Layout, Pooling, Precision, Resize

DEFAULT_BACKBONE = "efficientnet-lite0"
DEFAULT_HEAD = "logreg"

MOST_VIEWS = 65_535
"""The key of a stored row has 16 bits for the number of the view."""

ClassWeight = Literal["balanced"]
LabelBy = Literal["parent", "top"]
Top = Literal["gap", "gmp", "flatten"]
Optimizer = Literal["adamw", "adam", "rmsprop", "sgd"]
BatchNorm = Literal["frozen", "train"]


def option(default: Any, text: str, **details: Any) -> Any:
    """Return the dataclass field of an option.

    Parameters
    ----------
    default : object
    text : str
        One line of help, for the command line and the documentation. Other options are named in backticks.
    **details
        The range of a number, or of each number of a sequence: ``min`` and ``max`` (inclusive), ``above`` and ``below``
        (exclusive). For the command line: ``short`` (a letter), ``envvar``, and ``panel`` (a heading of the help that
        replaces that of the class).
    """
    return field(default=default, metadata={"help": text, **details})


def check_range(name: str, value: Any, details: Mapping[str, Any]) -> None:
    """Check that a number, or each number of a sequence, is in the range of its option; other values pass.

    Parameters
    ----------
    name : str
        Name of the option, for the message.
    value : object
    details : mapping
        Metadata of the field, see :func:`option`.

    Raises
    ------
    OptionError
        A number is out of range.
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
    """Return a range in words, such as ``1 or more`` or ``above 0 and below 1``."""
    first = f"{low:,} or more" if low is not None else "" if above is None else f"above {above:,}"
    last = f"at most {high:,}" if high is not None else "" if below is None else f"below {below:,}"
    if low is not None and high is not None:
        return f"from {low:,} to {high:,}"
    return " and ".join(one for one in (first, last) if one)


@dataclass(frozen=True)
class Options:
    """Base class of the options of one concern.

    Attributes
    ----------
    panel : str
        Heading of these options in the help of a command.

    Raises
    ------
    OptionError
        A number is out of range.
    """

    panel: ClassVar[str] = "Options"

    def __post_init__(self) -> None:
        for one in fields(self):
            check_range(one.name, getattr(self, one.name), one.metadata)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return options with values from a mapping; other names in it are ignored.

        Parameters
        ----------
        given : mapping
            Values by name, for example ``locals()`` of a function whose parameters are these options.
        """
        return cls(**{name: given[name] for name in cls.names() if name in given})

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the options, in the order of definition."""
        return [one.name for one in fields(cls)]

    @classmethod
    def panel_of(cls, name: str) -> str:
        """Return the heading of an option in the help: that of the class that defines it."""
        kinds = [kind for kind in cls.__mro__ if issubclass(kind, Options)]
        return next(kind.panel for kind in reversed(kinds) if name in vars(kind).get("__annotations__", ()))

    @classmethod
    def read(cls, noted: Mapping[str, Any]) -> Self:
        """Return options that were read from a file of the cache.

        Raises
        ------
        KeyError
            There is no option of that name.
        TypeError
            A value has the wrong type.
        OptionError
            A number is out of range.
        """
        defaults = {one.name: one.default for one in fields(cls)}
        for name, value in noted.items():
            default = defaults[name]
            if type(value) is not type(default) and not (default is None and type(value) in (str, int)):
                raise TypeError(name)
        return cls(**noted)

    def select(self, kind: type[Options]) -> dict[str, Any]:
        """Return the values of the options that ``kind`` has, by name."""
        return {name: getattr(self, name) for name in kind.names()}

    def changed(self) -> dict[str, Any]:
        """Return the values that differ from their defaults, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}


@dataclass(frozen=True)
class DatasetOptions(Options):
    """How the folder or manifest is read."""

    panel: ClassVar[str] = "Data"

    label_by: LabelBy | None = option(
        None, "Folder that is the class, where folders are nested: parent (the innermost) or top (the outermost)."
    )
    path_column: str = option("path", "Column of a manifest or list that holds the paths.")
    label_column: str = option("label", "Column of a manifest that holds the labels.")


@dataclass(frozen=True)
class PixelOptions(Options):
    """How the pixels of a file are read."""

    panel: ClassVar[str] = "Data"

    white: int | None = option(
        None,
        "Value of white in grey images with more than 8 bits. If not given, the value that the file states.",
        min=1,
        max=LARGEST_WHITE,
    )
    page: int = option(1, "Page of a TIFF file, or frame of an animation, from 1.", min=1)


@dataclass(frozen=True)
class BackboneOptions(Options):
    """Which backbone computes the features, and how."""

    panel: ClassVar[str] = "Backbone"

    weights: str | Path = option("imagenet", "Weights: imagenet, a weight file, or random[:SEED] for tests.")
    layer: str | None = option(None, "Layer that gives the features. If not given, the last one.")
    pooling: Pooling = option("avg", "How a feature map becomes a vector: avg, max or flatten.")
    size: int | None = option(
        None,
        "Side of the square input in pixels. If not given, that of the backbone.",
        min=SMALLEST_SIZE,
        max=LARGEST_SIZE,
    )
    resize: Resize = option(
        "crop", "How an image becomes a square: crop (the centre, 7/8 of the shorter side), squash or pad."
    )
    preprocess: str | None = option(
        None, "Pixel scaling of a backbone from a file: caffe, tf, torch, lite, none or mean=R,G,B;std=R,G,B."
    )
    layout: Layout | None = option(None, "Order of the dimensions of the input of an ONNX file: nchw or nhwc.")
    engine: Literal["auto"] | EngineName = option(
        "auto", f"Engine that executes the backbone: {', '.join(('auto', *get_args(EngineName)))}."
    )
    precision: Literal["auto"] | Precision = option(
        "auto", "Number format of the computation: auto, float32, bfloat16 or int8."
    )


@dataclass(frozen=True)
class AugmentOptions(Options):
    """Augmented views of the training images."""

    panel: ClassVar[str] = "Augmented views"

    augment: str | None = option(
        None, "Augmentation policy: light, medium, tutorial, or values such as rotation=15,zoom=0.2,flip=horizontal."
    )
    views: int = option(0, "Number of augmented views of each training image.", min=0, max=MOST_VIEWS)
    seed: int = option(0, "Random seed of the views.")


@dataclass(frozen=True)
class FeatureOptions(DatasetOptions, PixelOptions, BackboneOptions):
    """Options that define the features of a data set."""


@dataclass(frozen=True)
class ExtractOptions(AugmentOptions, FeatureOptions):
    """Options that define the features and the augmented views of a data set; ``latest.json`` keeps them."""


@dataclass(frozen=True)
class RunOptions(Options):
    """Options of one run of ``extract``."""

    panel: ClassVar[str] = "Run"

    recalibrate: bool = option(False, "Calibrate the int8 ranges again, on the current images.")
    preview: str | Path | None = option(
        None, "PNG file to write: images and their views as the backbone sees them.", panel="Output"
    )
    overwrite: bool = option(False, "Replace a preview that featx wrote.", panel="Output")
    strict: bool = option(False, "Treat a skipped image as an error, after all other images are processed.")


@dataclass(frozen=True)
class SplitOptions(Options):
    """How images are divided into training and test images."""

    panel: ClassVar[str] = "Evaluation"

    group_by: str | None = option(
        None,
        "What stays on one side of each split: parent (a folder), folder:N, word:N (of the file name), a column of the "
        "manifest, or a regular expression.",
    )
    seed: int = option(0, "Random seed.")


@dataclass(frozen=True)
class FoldOptions(SplitOptions):
    """How the accuracy is cross-validated."""

    cv: int = option(5, "Number of folds.", min=2)
    repeats: int = option(1, "Number of times that the cross-validation is repeated with new folds.", min=1)


@dataclass(frozen=True)
class HeadOptions(Options):
    """Options of heads."""

    panel: ClassVar[str] = "Head"

    hidden: Sequence[int] = option(
        (), "Widths of the hidden layers of mlp, separated by commas. If not given, one layer of 128.", min=1
    )
    class_weight: ClassWeight | None = option(None, "balanced: weight classes inversely to their number of images.")


@dataclass(frozen=True)
class TrainOptions(Options):
    """How a network is trained."""

    panel: ClassVar[str] = "Training"

    unfreeze: int | str = option(
        "auto",
        "Blocks to train: a number of blocks from the top, auto (a third), all, or the name of the lowest layer.",
    )
    head: str = option(DEFAULT_HEAD, "Head whose coefficients initialise the top: logreg, ridge or mlp.")
    top: Top = option("gap", "Input of the dense layers: gap (global average), gmp (global maximum) or flatten.")
    hidden: Sequence[int] = option((), "Widths of the hidden dense layers, separated by commas.", min=1)
    dropout: float | None = option(
        None, "Dropout rate after each hidden layer. If not given, 0, or 0.5 from scratch.", min=0, below=1
    )
    epochs: int | None = option(None, "Largest number of epochs. If not given, 10, or 30 from scratch.", min=1)
    batch_size: int = option(32, "Number of images per gradient step.", min=1)
    optimizer: Optimizer = option("adamw", "Optimizer: adamw, adam, rmsprop or sgd.")
    learning_rate: float | None = option(
        None, "Peak learning rate of the top. If not given, 0.0003, or 0.001 from scratch.", above=0
    )
    layer_decay: float = option(
        0.8, "Ratio of the learning rate of each block to that of the block above.", above=0, max=1
    )
    warmup: float = option(0.1, "Fraction of the steps in which the learning rate increases.", min=0, below=1)
    weight_decay: float = option(0.01, "Decoupled weight decay of the kernels.", min=0)
    label_smoothing: float = option(0.1, "Fraction of each label that is distributed over all classes.", min=0, below=1)
    patience: int = option(4, "Number of epochs without a lower validation loss after which training stops.", min=1)
    batch_norm: BatchNorm = option(
        "frozen", "Statistics of batch normalisation: frozen (those of the backbone) or train (those of each batch)."
    )
    class_weight: ClassWeight | None = option(None, "balanced: weight classes inversely to their number of images.")
    trunk_cache: bool = option(True, "Compute the frozen blocks once and cache their activations.")


@dataclass(frozen=True)
class RuntimeOptions(Options):
    """Where and how a run executes; these options do not change features."""

    panel: ClassVar[str] = "Run"

    cache: Path = option(Path("cache"), "Folder of the cache.", envvar="FEATX_CACHE")
    workers: int | None = option(
        None, "Number of threads that read and decode images. If not given, one per CPU core.", min=1
    )
    batch_size: int = option(64, "Number of images passed to the engine at a time.", min=1)
    device: str = option("auto", "Device: auto, cpu, gpu or gpu:N.")
    max_pixels: int = option(100_000_000, "Largest number of pixels of an image; larger images are skipped.", min=1)


@dataclass(frozen=True)
class FitOptions(Options):
    """Options of ``fit`` alone."""

    panel: ClassVar[str] = "Output"

    bundle: bool = option(False, "Include the backbone in the model; predict then needs no weights.")


@dataclass(frozen=True)
class FinetuneOptions(Options):
    """Files that ``finetune`` writes."""

    panel: ClassVar[str] = "Output"

    output: str | Path | None = option(
        None, "Model file to write. On the command line, NAME-BACKBONE-finetuned.featx if not given.", short="o"
    )
    overwrite: bool = option(False, "Replace existing outputs that featx wrote.")


@dataclass(frozen=True)
class CompareOptions(Options):
    """What is compared."""

    panel: ClassVar[str] = "Compared"

    backbones: Sequence[str] = option((DEFAULT_BACKBONE,), "Backbones, separated by commas.")
    heads: Sequence[Any] = option(("logreg", "svm"), "Heads, separated by commas.")
    poolings: Sequence[Pooling] = option(("avg",), "Poolings, separated by commas: avg, max, flatten.")
    resizes: Sequence[Resize] = option(("crop",), "Resize rules, separated by commas: crop, squash, pad.")
    sizes: Sequence[int | None] = option(
        (None,),
        "Input sides in pixels, separated by commas. If not given, those of the backbones.",
        min=SMALLEST_SIZE,
        max=LARGEST_SIZE,
    )
    scratch: bool = option(False, "Include a small network trained from random weights.")
    unfreeze: int | str | None = option(
        None, "Include the fine-tuned backbones: a number of blocks, auto, all, or the name of the lowest layer."
    )
    curves: str | Path | None = option(
        None, "PNG file to write: the learning curves of the trained networks.", panel="Output"
    )
    overwrite: bool = option(False, "Replace an existing file that featx wrote.", panel="Output")


@dataclass(frozen=True)
class ReportOptions(Options):
    """What a report contains, and which files it writes."""

    panel: ClassVar[str] = "Report"

    on: str | Path | None = option(None, "Folder or manifest of labelled images that were not used to fit.")
    weights: str | Path | None = option(
        None, "Weight file or backbone file, where `on` is given and the model was fitted with such a file."
    )
    html: str | Path | None = option(None, "HTML page to write: one file that needs no other.", panel="Output")
    suspects: str | Path | None = option(None, "CSV file to write: images with doubtful labels.", panel="Output")
    data: str | Path | None = option(
        None, "Folder or manifest of the training images, shown on the page. If not given, that named in the model."
    )
    overwrite: bool = option(False, "Replace existing outputs that featx wrote.", panel="Output")


@dataclass(frozen=True)
class PredictOptions(Options):
    """What ``predict`` computes and writes."""

    panel: ClassVar[str] = "Prediction"

    output: str | Path | None = option(None, "Table to write: .csv, .jsonl or .parquet.", short="o", panel="Output")
    top_k: int = option(1, "Number of classes listed for each image, the most probable first.", min=1)
    sort_into: str | Path | None = option(
        None, "Folder to copy the images into, with a subfolder for each class.", panel="Output"
    )
    link: bool = option(False, "Create hard links instead of copies in the folder of `sort_into`.", panel="Output")
    gallery: str | Path | None = option(
        None, "Gallery to write: the images with their predicted labels, .html or .png.", panel="Output"
    )
    overwrite: bool = option(False, "Replace existing outputs that featx wrote.", panel="Output")
    no_cache: bool = option(False, "Neither read nor write the cache.", panel="Run")
    weights: str | Path | None = option(
        None, "Weight file or backbone file, where the model was fitted with such a file."
    )
    exact: bool = option(False, "Refuse float32 instead of the bfloat16 of the model on a CPU without bfloat16.")
    reject_rate: float | None = option(
        None,
        "Reject images unlike the training images. The value is the fraction of genuine images that may be rejected, "
        "for example 0.05.",
        above=0,
        below=1,
    )


@dataclass(frozen=True)
class CaptureOptions(Options):
    """Which frames are kept, and where."""

    panel: ClassVar[str] = "Frames"

    output: str | Path = option(
        "data", "Folder of class folders; the images are written to its folder LABEL.", short="o", panel="Output"
    )
    count: int = option(100, "Number of images after which the recording ends.", min=1)
    full_frame: bool = option(False, "Keep whole frames instead of faces.")
    margin: float = option(0.3, "Margin around a face on every side, relative to its width.", min=0, max=10)
    every: int = option(1, "Use only every Nth frame.", min=1)
    min_sharpness: float = option(
        0.4, "Smallest sharpness, relative to that of the recording; 0 keeps blurred frames.", min=0, max=1
    )
    min_difference: float = option(
        4.0, "Smallest difference from the previous image, in grey levels; 0 keeps all frames.", min=0, max=255
    )
    preview: bool = option(True, "Show a window where there is a display; the key q in it ends the recording.")
