"""The options of featx: each is defined once, with its type, default, range and one line of help."""

from __future__ import annotations

import re
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
"""Maximum number of views: the key of a stored row has 16 bits for the number of the view."""

_CLUSTER = re.compile(r"dask://(local|[^\s/]+:\d{1,5})")

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
        (exclusive). For the command line: ``short`` (a letter), ``envvar``, and ``panel`` (a heading in the
        help, instead of the heading of the class).
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
        If a number is out of range.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            check_range(name, one, details)
    elif isinstance(value, Real) and not isinstance(value, bool):
        low, above = details.get("min"), details.get("above")
        high, below = details.get("max"), details.get("below")
        fits = (low is None or value >= low) and (above is None or value > above)
        if not (fits and (high is None or value <= high) and (below is None or value < below)):
            words = range_in_words(details)
            number = "a number " if words.startswith(("from", "above", "at most", "below")) else ""
            raise OptionError(f"`{name}={value}`: expected {number}{words}")


def range_in_words(details: Mapping[str, Any]) -> str:
    """Return the range of an option, such as ``1 or more``; empty if the option has none.

    Parameters
    ----------
    details : mapping
        Metadata of the field, see :func:`option`.
    """
    low, above, high, below = (details.get(bound) for bound in ("min", "above", "max", "below"))
    first = f"{low:,} or more" if low is not None else "" if above is None else f"above {above:,}"
    last = f"at most {high:,}" if high is not None else "" if below is None else f"below {below:,}"
    if low is not None and high is not None:
        return f"from {low:,} to {high:,}"
    return " and ".join(one for one in (first, last) if one)


@dataclass(frozen=True)
class Options:
    """Base class of a set of options that belong together.

    Attributes
    ----------
    panel : str
        Heading of these options in the help of a command.

    Raises
    ------
    OptionError
        If a number is out of range.
    """

    panel: ClassVar[str] = "Options"

    def __post_init__(self) -> None:
        for one in fields(self):
            check_range(one.name, getattr(self, one.name), one.metadata)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Return options with values from a mapping; names that are not options of the class are ignored.

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
        """Return the heading of an option in the help: the ``panel`` of the class that defines the option."""
        kinds = [kind for kind in cls.__mro__ if issubclass(kind, Options)]
        return next(kind.panel for kind in reversed(kinds) if name in vars(kind).get("__annotations__", ()))

    @classmethod
    def read(cls, noted: Mapping[str, Any]) -> Self:
        """Return options that were read from a file of the cache.

        Raises
        ------
        KeyError
            If there is no option of that name.
        TypeError
            If a value has the wrong type.
        OptionError
            If a number is out of range.
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


def check_ranges(given: Mapping[str, Any], *kinds: type[Options]) -> None:
    """Check the numbers among given values that are options of some classes.

    Parameters
    ----------
    given : mapping
        Values by name; names that are no options of the classes are ignored.
    *kinds : subclasses of Options

    Raises
    ------
    OptionError
        If a number is out of range.
    """
    for kind in kinds:
        kind.of(given)


@dataclass(frozen=True)
class DatasetOptions(Options):
    """Options that define how the folder or manifest is read."""

    panel: ClassVar[str] = "Data"

    label_by: LabelBy | None = option(
        None,
        "Folder whose name is the label, if class folders contain folders: parent (the "
        "innermost) or top (the outermost).",
    )
    path_column: str = option("path", "Column of the manifest or list that contains the paths.")
    label_column: str = option("label", "Column of the manifest that contains the labels.")


@dataclass(frozen=True)
class PixelOptions(Options):
    """Options that define how the pixels of a file are read."""

    panel: ClassVar[str] = "Data"

    white: int | None = option(
        None,
        "Pixel value of white in grey images with more than 8 bits. If not given, the value that "
        "the file states, or else the largest possible value.",
        min=1,
        max=LARGEST_WHITE,
    )
    page: int = option(1, "Number of the page of a TIFF file, or of the frame of an animation; the first is 1.", min=1)


@dataclass(frozen=True)
class BackboneOptions(Options):
    """Options of the backbone that computes the features."""

    panel: ClassVar[str] = "Backbone"

    weights: str | Path = option(
        "imagenet", "Weights of the backbone: imagenet, the path of a weights file, or random[:SEED] for tests."
    )
    layer: str | None = option(
        None, "Name of the layer whose output is used as features. If not given, the last layer."
    )
    pooling: Pooling = option("avg", "How a feature map becomes a vector: avg, max or flatten.")
    size: int | None = option(
        None,
        "Side of the square input of the backbone, in pixels. If not given, the usual input size of the backbone.",
        min=SMALLEST_SIZE,
        max=LARGEST_SIZE,
    )
    resize: Resize = option(
        "crop",
        "How an image is made square: crop (cut out a square from the centre, 7/8 of the shorter side), squash "
        "(change the aspect ratio) or pad (add a border).",
    )
    preprocess: str | None = option(
        None,
        "Scaling of the pixel values for a backbone from a file: caffe, tf or torch (as in Keras), lite (as in "
        "EfficientNet-lite), none, or 'mean=R,G,B;std=R,G,B'. Needed unless a JSON file beside the backbone contains "
        "it.",
    )
    layout: Layout | None = option(
        None,
        "Order of the input dimensions of an ONNX file: nchw or nhwc. Needed only if the shape of "
        "the input does not show it.",
    )
    engine: Literal["auto"] | EngineName = option(
        "auto", f"Engine that executes the backbone: auto, {' or '.join(get_args(EngineName))}."
    )
    precision: Literal["auto"] | Precision = option(
        "auto",
        "Number format of the computation: auto (the default of the engine; bfloat16 only if the CPU supports it and "
        "the features hardly change), float32, bfloat16 or int8.",
    )


@dataclass(frozen=True)
class AugmentOptions(Options):
    """Options of the augmented views of the training images."""

    panel: ClassVar[str] = "Augmented views"

    augment: str | None = option(
        None,
        "Augmentation policy: light, medium, tutorial, or values such as "
        "rotation=15,zoom=0.2,flip=horizontal. Requires `views`.",
    )
    views: int = option(
        0,
        "Number of augmented views of each training image. Requires `augment`, except for fit on the data set that was "
        "extracted last.",
        min=0,
        max=MOST_VIEWS,
    )
    seed: int = option(0, "Random seed of the views.")


@dataclass(frozen=True)
class FeatureOptions(DatasetOptions, PixelOptions, BackboneOptions):
    """Options that define the features of a data set."""


@dataclass(frozen=True)
class ExtractOptions(AugmentOptions, FeatureOptions):
    """Options that define the features and the augmented views of a data set. ``latest.json`` records them."""


@dataclass(frozen=True)
class RunOptions(Options):
    """Options of one run of ``extract``."""

    panel: ClassVar[str] = "Run"

    shard: str | None = option(
        None,
        "Extract only one shard of the data set, such as 3/16: the third of 16 parts. Each machine extracts another "
        "shard into its own cache, and `featx cache merge` merges the caches.",
    )
    recalibrate: bool = option(False, "With int8 precision, repeat the quantization on the current images.")
    preview: str | Path | None = option(
        None,
        "PNG file to write: some images and their augmented views, as they are passed to the backbone.",
        panel="Output",
    )
    overwrite: bool = option(False, "Replace a preview that featx wrote.", panel="Output")
    strict: bool = option(False, "If an image is skipped, end with an error after all other images are processed.")


@dataclass(frozen=True)
class SplitOptions(Options):
    """Options of the division into training and test images."""

    panel: ClassVar[str] = "Evaluation"

    group_by: str | None = option(
        None,
        "Images that form a group, which is never divided between training and test: parent "
        "(images of one folder), folder:N (same Nth folder of the path), word:N (same Nth word "
        "of the file name), a column of the manifest, camera, day, or a regular expression (same "
        "match in the path).",
    )
    group_versions: bool = option(
        True,
        "Keep flipped, rotated, copied and other versions of one image together, which are recognised by their file "
        "names.",
    )
    seed: int = option(0, "Random seed of the splits, of the head and of the training.")


@dataclass(frozen=True)
class FoldOptions(SplitOptions):
    """Options of the cross-validation."""

    cv: int = option(5, "Number of folds.", min=2)
    repeats: int = option(1, "Number of cross-validations, each with other folds.", min=1)


@dataclass(frozen=True)
class HeadOptions(Options):
    """Options of heads."""

    panel: ClassVar[str] = "Head"

    hidden: Sequence[int] = option(
        (),
        "Numbers of units in the hidden layers of the head mlp, separated by commas. If not given, 128 (one layer).",
        min=1,
    )
    class_weight: ClassWeight | None = option(
        None,
        "Class weights: balanced (inversely proportional to the number of images of each class). If "
        "not given, all images have the same weight.",
    )


@dataclass(frozen=True)
class TrainOptions(Options):
    """Options of the training of a network."""

    panel: ClassVar[str] = "Training"

    unfreeze: int | str = option(
        "auto",
        "Blocks to train: a number of blocks, counted from the output; auto (a third of the "
        "blocks); all; or the name of the first layer to train.",
    )
    head: str = option(DEFAULT_HEAD, "Head whose coefficients initialise the dense layers: logreg, ridge or mlp.")
    top: Top = option(
        "gap", "Pooling before the dense layers: gap (global average), gmp (global maximum) or flatten (none)."
    )
    hidden: Sequence[int] = option(
        (),
        "Numbers of units in the hidden dense layers, separated by commas. If not given, there is no hidden layer.",
        min=1,
    )
    dropout: float | None = option(
        None, "Dropout rate after each hidden layer. If not given, 0; for scratch-cnn, 0.5.", min=0, below=1
    )
    epochs: int | None = option(None, "Maximum number of epochs. If not given, 10; for scratch-cnn, 30.", min=1)
    batch_size: int = option(32, "Number of images per gradient step.", min=1)
    optimizer: Optimizer = option("adamw", "Optimizer: adamw, adam, rmsprop or sgd.")
    learning_rate: float | None = option(
        None,
        "Maximum learning rate of the dense layers. If not given, 0.0003; for scratch-cnn, 0.001.",
        above=0,
    )
    layer_decay: float = option(
        0.8,
        "Learning rate of each block divided by the learning rate of the next block towards the output.",
        above=0,
        max=1,
    )
    warmup: float = option(
        0.1, "Fraction of the training steps during which the learning rate increases.", min=0, below=1
    )
    weight_decay: float = option(0.01, "Coefficient of the decoupled weight decay of the kernels.", min=0)
    label_smoothing: float = option(
        0.1,
        "Label smoothing as in Keras: fraction of each target that is distributed equally over all classes.",
        min=0,
        below=1,
    )
    patience: int = option(4, "Number of epochs without a lower validation loss after which training stops.", min=1)
    batch_norm: BatchNorm = option(
        "frozen",
        "Batch normalisation: frozen (with the statistics of the backbone) or train (with those of each batch).",
    )
    class_weight: ClassWeight | None = option(
        None,
        "Class weights: balanced (inversely proportional to the number of images of each class). If "
        "not given, all images have the same weight.",
    )
    trunk_cache: bool = option(
        True, "Run the frozen blocks once and cache their activations; otherwise, they run in every epoch."
    )


@dataclass(frozen=True)
class RuntimeOptions(Options):
    """Options that do not change features: where and how a run executes."""

    panel: ClassVar[str] = "Run"

    cache: Path = option(Path("cache"), "Folder of the cache.", envvar="FEATX_CACHE")
    workers: int | None = option(
        None, "Number of processes that read and decode images. If not given, one per CPU core.", min=1
    )
    batch_size: int = option(64, "Number of images passed to the engine at a time.", min=1)
    device: str = option("auto", "Device: auto, cpu, gpu or gpu:N.")
    cluster: str | None = option(
        None,
        "Dask cluster that computes the features: dask://HOST:PORT, the address of its scheduler, or dask://local, "
        "which starts a cluster on this machine. If not given, this process computes the features.",
        envvar="FEATX_CLUSTER",
    )
    max_pixels: int = option(100_000_000, "Maximum number of pixels of an image; larger images are skipped.", min=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cluster is not None and not _CLUSTER.fullmatch(self.cluster):
            raise OptionError(
                f"`cluster={self.cluster}`: expected dask://HOST:PORT, such as dask://10.0.0.1:8786, or dask://local"
            )


@dataclass(frozen=True)
class FitOptions(Options):
    """Options that only ``fit`` has."""

    panel: ClassVar[str] = "Output"

    bundle: bool = option(False, "Include the backbone in the model file, so that predict needs no other weights.")


@dataclass(frozen=True)
class FinetuneOptions(Options):
    """Options of the files that ``finetune`` writes."""

    panel: ClassVar[str] = "Output"

    output: str | Path | None = option(
        None,
        "Model file to write. If not given, `featx finetune` writes DATA-BACKBONE-finetuned.featx.",
        short="o",
    )
    overwrite: bool = option(False, "Replace existing outputs that featx wrote.")


@dataclass(frozen=True)
class CompareOptions(Options):
    """Options of what is compared."""

    panel: ClassVar[str] = "Comparison"

    backbones: Sequence[str] = option((DEFAULT_BACKBONE,), "Backbones, separated by commas.")
    heads: Sequence[Any] = option(("logreg", "svm"), "Heads, separated by commas.")
    poolings: Sequence[Pooling] = option(
        ("avg",), "Poolings to compare, separated by commas: avg, max and flatten are possible."
    )
    resizes: Sequence[Resize] = option(
        ("crop",), "Values of resize to compare, separated by commas: crop, squash and pad are possible."
    )
    sizes: Sequence[int | None] = option(
        (None,),
        "Input sizes to compare, in pixels, separated by commas. If not given, the usual size of each backbone.",
        min=SMALLEST_SIZE,
        max=LARGEST_SIZE,
    )
    scratch: bool = option(False, "Include a small network trained from random weights.")
    unfreeze: int | str | None = option(
        None,
        "Also fine-tune each backbone. Blocks to train: a number of blocks, auto, all, or the "
        "name of the first layer to train.",
    )
    curves: str | Path | None = option(
        None, "PNG file to write: loss and accuracy of the trained networks over the epochs.", panel="Output"
    )
    overwrite: bool = option(False, "Replace an existing file that featx wrote.", panel="Output")


@dataclass(frozen=True)
class ReportOptions(Options):
    """Options of a report and of its files."""

    panel: ClassVar[str] = "Report"

    on: str | Path | None = option(
        None, "Folder or manifest of labelled images that were not used for fitting; the model is evaluated on them."
    )
    weights: str | Path | None = option(
        None,
        "Weights file or backbone file; needed with `on` if the model was fitted with a weights file or backbone file.",
    )
    group_by: str | None = option(
        None,
        "Groups of the images of `on`, for the confidence interval: parent, folder:N, word:N, a column of the "
        "manifest, camera, day, or a regular expression, as in fit.",
    )
    html: str | Path | None = option(None, "HTML page to write: one self-contained file.", panel="Output")
    suspects: str | Path | None = option(None, "CSV file to write: images with doubtful labels.", panel="Output")
    data: str | Path | None = option(
        None,
        "Folder or manifest of the training images, which are shown on the page of `html`. If not given, the path "
        "that is recorded in the model.",
    )
    overwrite: bool = option(False, "Replace existing outputs that featx wrote.", panel="Output")


@dataclass(frozen=True)
class PredictOptions(Options):
    """Options of what ``predict`` computes and writes."""

    panel: ClassVar[str] = "Prediction"

    output: str | Path | None = option(
        None,
        "Table to write: .csv, .jsonl or .parquet; without such an ending, a folder of Parquet files.",
        short="o",
        panel="Output",
    )
    files_from: str | Path | None = option(
        None, "List of further images, one path a line; - reads it from the standard input.", panel="Data"
    )
    only_new: bool = option(
        False, "Predict only images that the table `output` lacks, and append their rows.", panel="Output"
    )
    top_k: int = option(1, "Number of classes listed for each image, the most probable first.", min=1)
    sort_into: str | Path | None = option(
        None, "Folder to copy the images into, with a subfolder for each class.", panel="Output"
    )
    link: bool = option(False, "With `sort_into`, create hard links instead of copies.", panel="Output")
    gallery: str | Path | None = option(
        None, "File (.html or .png) to write: the images with their predicted labels.", panel="Output"
    )
    overwrite: bool = option(False, "Replace existing outputs that featx wrote.", panel="Output")
    no_cache: bool = option(False, "Neither read nor write the cache.", panel="Run")
    weights: str | Path | None = option(
        None, "Weights file or backbone file; needed if the model was fitted with a weights file or backbone file."
    )
    exact: bool = option(
        False,
        "If the features of the model were computed in bfloat16 and the CPU does not support "
        "bfloat16, end with an error instead of computing in float32.",
    )
    reject_rate: float | None = option(
        None,
        "Reject images that are not similar to the training images. The value is the expected "
        "fraction of images of the known classes that are rejected by mistake, for example "
        "0.05.",
        above=0,
        below=1,
    )


@dataclass(frozen=True)
class CaptureOptions(Options):
    """Options of the frames that are kept."""

    panel: ClassVar[str] = "Frames"

    output: str | Path = option(
        "data", "Folder to write to; the images are written to its subfolder LABEL.", short="o", panel="Output"
    )
    count: int = option(100, "Number of images after which the recording ends.", min=1)
    full_frame: bool = option(False, "Keep whole frames instead of faces.")
    margin: float = option(0.3, "Margin on each side of a face, as a fraction of the width of the face.", min=0, max=10)
    every: int = option(1, "Use only every Nth frame.", min=1)
    min_sharpness: float = option(
        0.4,
        "Minimum sharpness of a frame, relative to the median of the preceding frames; 0 also keeps blurred frames.",
        min=0,
        max=1,
    )
    min_difference: float = option(
        4.0,
        "Minimum mean difference from the last kept image, in grey levels (0 to 255); 0 also keeps equal frames.",
        min=0,
        max=255,
    )
    preview: bool = option(
        True, "Show the frames in a window if there is a display; press q in the window to end the recording."
    )
