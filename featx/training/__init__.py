"""Train networks: cut in two, the upper part trained on cached activations or on pixels. Imports Keras when used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import TrainingError
from featx.libraries import start_keras
from featx.runtime import Runtime
from featx.training.curves import draw_curves, write_log
from featx.training.feeds import Feed, InOrder, ReadView, Shuffled
from featx.training.records import BATCH_NORMS, OPTIMIZERS, Course, Epoch, History

if TYPE_CHECKING:
    from featx.training.networks import Trainable

__all__ = [
    "BATCH_NORMS",
    "OPTIMIZERS",
    "Course",
    "Cut",
    "Epoch",
    "Feed",
    "History",
    "InOrder",
    "ReadView",
    "Shuffled",
    "Trained",
    "cut_network",
    "draw_curves",
    "make_trainable",
    "scratch_core",
    "train",
    "write_log",
]


@dataclass(frozen=True)
class Cut:
    """Where a network is cut in two.

    Parameters
    ----------
    below : str
        The layer whose output enters the part that is trained.
    first : str
        The first block, or layer, that is trained.
    n_blocks : int
        Blocks that are trained.
    shape : tuple of int
        Of the activations at the cut, without the batch.
    is_whole : bool
        Whether all of it is trained.
    """

    below: str
    first: str
    n_blocks: int
    shape: tuple[int, ...]
    is_whole: bool


def cut_network(core: Any, unfreeze: int | str) -> Cut:
    """Choose where to cut a network.

    Parameters
    ----------
    core : keras.Model
        As :func:`featx.backbones.build_core` returns it.
    unfreeze : int or str
        Number of blocks to train, from the top; ``auto``: the top third; ``all``; or a layer: it and all above.

    Raises
    ------
    TrainingError
        There are fewer blocks.
    BackboneError
        There is no such layer.
    """
    from featx.training.graph import Graph

    graph = Graph(core)
    blocks = graph.blocks
    text = str(unfreeze)
    if text == "all":
        text = str(len(blocks))
    elif text == "auto":
        text = str(max(1, round(len(blocks) / 3)))
    if text.lstrip("-").isdecimal():
        count = int(text)
        if not 1 <= count <= len(blocks):
            raise TrainingError(
                f"unfreeze is {unfreeze}; {graph.name} has {len(blocks)} blocks ({blocks[0].name} .. {blocks[-1].name}): "
                f"allowed are 1 to {len(blocks)}, auto, all or a layer"
            )
        chosen = blocks[-count]
        below = graph.input_name if count == len(blocks) else chosen.below
    else:
        chosen = graph.block_of(text)
        below = chosen.below
    is_whole = below == graph.input_name
    n_blocks = len(blocks) if is_whole else graph.count_above(below)
    return Cut(below, chosen.name, n_blocks, graph.shape_at(below), is_whole)


def make_trainable(
    core: Any,
    below: str,
    preprocess: str,
    pooling: str,
    weights: list[NDArray[Any]],
    biases: list[NDArray[Any]],
    course: Course,
) -> Trainable:
    """Put a network that is cut in two and its top together; see :class:`featx.training.networks.Trainable`."""
    from featx.training.networks import Trainable

    return Trainable(core, below, preprocess, pooling, weights, biases, course.dropout, course.seed)


def scratch_core(size: int) -> Any:
    """Return the convolution blocks of a small network with random weights; see :mod:`featx.training.scratch`."""
    start_keras()
    from featx.training.scratch import scratch_core as build

    return build(size)


@dataclass(frozen=True)
class Trained:
    """A network after training.

    Parameters
    ----------
    network : Trainable
        With the best weights.
    history : History
    """

    network: Trainable
    history: History
    _trainer: Any

    def logits(self, feed: Feed) -> NDArray[np.float64]:
        """Return logits of the pictures of a feed; shape (n, n_classes)."""
        logits: NDArray[np.float64] = self._trainer.logits(feed)
        return logits


def train(
    network: Trainable, training: Feed, validation: Feed, n_classes: int, course: Course, folder: Path, runtime: Runtime
) -> Trained:
    """Train the upper part of a network, or go on where an earlier run was stopped.

    Parameters
    ----------
    network : Trainable
        Its weights are changed; afterwards it has those of the epoch with the lowest validation loss.
    training, validation : Feed
        Inputs are activations at the cut (float32), or pixels (uint8), which go through the frozen part.
    n_classes : int
    course : Course
    folder : path
        Made if missing: checkpoints and a log. Its name must cover all that changes the result.
    runtime : Runtime

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    from featx.training.loop import Trainer, run

    counts = np.bincount(training.y, minlength=n_classes).tolist()
    trainer = Trainer(network, course, counts)
    return Trained(network, run(trainer, training, validation, course, folder, runtime), trainer)
