"""The graph of a Keras network: the places where it can be cut in two, and the part above a cut."""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass
from typing import Any

import keras

from featx.errors import BackboneError, TrainingError
from featx.training.records import Cut

_BLOCK = re.compile(r"(.*?(?:block_?\d+[a-z]?|expanded_conv(?:_\d+)?))(?:_|$)")
"""Layer names of keras.applications and of EfficientNet-lite begin with the name of their block."""


@dataclass(frozen=True)
class Block:
    """Neighbouring layers that are trained together.

    Parameters
    ----------
    name : str
        Common beginning of the names of the layers, or the name of the first layer.
    below : str
        Layer whose output is the only input of the block.
    """

    name: str
    below: str


class Graph:
    """The layers of a network in the order of computation.

    Parameters
    ----------
    network : keras.Model
        Network with one input and one output.
    name : str, optional
        Name of the network in messages; default: the name that the network has in Keras.
    """

    def __init__(self, network: keras.Model, name: str | None = None) -> None:
        self.name = name or network.name
        self._nodes = _in_order(network.outputs[0])
        self._names = [node.operation.name for node in self._nodes]
        self._cuts = {i for i in _cuts(self._nodes) if self._names.count(self._names[i]) == 1}
        self.input_name = self._names[0]

    @property
    def blocks(self) -> list[Block]:
        """The blocks, from the input to the output.

        A layer whose name begins with the name of a block belongs to this block; other layers belong to the block
        before them. If the names contain no blocks, each segment between two possible cuts that has a kernel is a
        block.
        """
        cuts = sorted(self._cuts)
        segments = [(below, range(below + 1, cut + 1)) for below, cut in itertools.pairwise(cuts)]
        names = [next((m[1] for i in inside if (m := _BLOCK.match(self._names[i]))), "") for _, inside in segments]
        if len(set(names) - {""}) < 2:
            names = [self._names[inside[0]] if self._has_kernel(inside) else "" for _, inside in segments]
        blocks: list[Block] = []
        for (below, _), name in zip(segments, names, strict=True):
            if name and (not blocks or name != blocks[-1].name):
                blocks.append(Block(name, self._names[below]))
        return blocks

    def block_of(self, name: str) -> Block:
        """Return the block that begins at a layer, or at the nearest possible cut below it.

        Raises
        ------
        BackboneError
            If the layer does not exist, or it is the input.
        """
        if name not in self._names[1:]:
            near = difflib.get_close_matches(name, self._names[1:], n=3) or self._names[-3:]
            raise BackboneError(f"{self.name} has no layer {name!r} to train; similar names: {', '.join(near)}")
        cut = max(i for i in self._cuts if i < self._names.index(name))
        return Block(self._names[cut + 1], self._names[cut])

    def part_above(self, below: str, inputs: Any) -> Any:
        """Apply all layers above a cut to another tensor; the layers and their weights are shared.

        Parameters
        ----------
        below : str
            Layer below the cut.
        inputs : KerasTensor
            Tensor that replaces the output of this layer.

        Returns
        -------
        KerasTensor
            Tensor that replaces the output of the network.
        """
        cut = self._names.index(below)
        outputs = inputs
        known = {id(self._nodes[cut].output_tensors[0]): inputs}
        for node in self._nodes[cut + 1 :]:
            args, kwargs = node.arguments.fill_in(known)
            outputs = node.operation(*args, **kwargs)
            known[id(node.output_tensors[0])] = outputs
        return outputs

    def variables_above(self, below: str) -> list[list[Any]]:
        """Return the trainable variables above a cut by block, beginning with the block nearest to the output."""
        cut = self._names.index(below)
        starts = {self._names.index(block.below) for block in self.blocks}
        groups: list[list[Any]] = [[]]
        for i in range(len(self._nodes) - 1, cut, -1):
            known = {id(variable) for group in groups for variable in group}
            mine = getattr(self._nodes[i].operation, "trainable_variables", ())
            groups[-1] += [variable for variable in mine if id(variable) not in known]
            if (i - 1) in starts:
                groups.append([])
        return [group for group in groups if group]

    def count_above(self, below: str) -> int:
        """Return the number of blocks above a cut; a block that contains the cut is included."""
        cut = self._names.index(below)
        starts = [self._names.index(block.below) for block in self.blocks]
        whole = sum(start >= cut for start in starts)
        return whole if cut in starts else whole + 1

    def output_of(self, name: str) -> Any:
        """Return the output tensor of a layer."""
        return self._nodes[self._names.index(name)].output_tensors[0]

    def shape_at(self, name: str) -> tuple[int, ...]:
        """Return the shape of the output of a layer, without the batch axis."""
        return tuple(self.output_of(name).shape[1:])

    def _has_kernel(self, inside: range) -> bool:
        weights = (w for i in inside for w in getattr(self._nodes[i].operation, "weights", ()))
        return any(len(weight.shape) > 1 for weight in weights)


def choose_blocks(core: keras.Model, unfreeze: int | str, name: str | None = None) -> Cut:
    """Choose where to cut a network.

    Parameters
    ----------
    core : keras.Model
        Backbone as returned by :func:`featx.backbones.build_core`.
    unfreeze : int or str
        Number of blocks to train, counted from the output; ``auto`` (a third of the blocks); ``all``; or the name of
        the first layer to train.
    name : str, optional
        Name of the network in messages.

    Raises
    ------
    TrainingError
        If the network cannot be cut, or does not have this number of blocks.
    BackboneError
        If the layer does not exist.
    """
    graph = Graph(core, name)
    blocks = graph.blocks
    if not blocks:
        raise TrainingError(f"{graph.name} has no layer with weights at which it can be cut; use `unfreeze=all`")
    text = str(unfreeze)
    if text == "all":
        text = str(len(blocks))
    elif text == "auto":
        text = str(max(1, round(len(blocks) / 3)))
    if text.lstrip("-").isdecimal():
        count = int(text)
        if not 1 <= count <= len(blocks):
            raise TrainingError(
                f"`unfreeze={unfreeze}`: {graph.name} has {len(blocks)} blocks ({blocks[0].name} to "
                f"{blocks[-1].name}); expected 1 to {len(blocks)}, auto, all or the name of a layer"
            )
        chosen = blocks[-count]
        below = graph.input_name if count == len(blocks) else chosen.below
    else:
        chosen = graph.block_of(text)
        below = chosen.below
    is_whole = below == graph.input_name
    n_blocks = len(blocks) if is_whole else graph.count_above(below)
    return Cut(below, chosen.name, n_blocks, graph.shape_at(below), is_whole)


def _node_of(tensor: Any) -> Any:
    history = tensor._keras_history  # as in Keras; the .input of a layer fails if the layer is used twice
    return history.operation._inbound_nodes[history.node_index]


def _in_order(output: Any) -> list[Any]:
    """Return the nodes that an output depends on, in topological order."""
    ordered: list[Any] = []
    seen: set[int] = set()
    pending = [(_node_of(output), False)]
    while pending:
        node, is_complete = pending.pop()
        if is_complete:
            ordered.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            pending.append((node, True))
            pending += [(_node_of(tensor), False) for tensor in node.input_tensors]
    return ordered


def _cuts(nodes: list[Any]) -> set[int]:
    """Return the positions of the nodes that every path from input to output passes through."""
    position = {id(node): i for i, node in enumerate(nodes)}
    last_use = list(range(len(nodes)))
    for i, node in enumerate(nodes):
        for tensor in node.input_tensors:
            used = position[id(_node_of(tensor))]
            last_use[used] = max(last_use[used], i)
    # A layer with weights that is used twice must not be trained above a cut and frozen below it.
    last_of: dict[int, int] = {id(node.operation): i for i, node in enumerate(nodes)}
    last_use = [
        max(last, last_of[id(node.operation)]) if getattr(node.operation, "weights", ()) else last
        for node, last in zip(nodes, last_use, strict=True)
    ]
    cuts: set[int] = set()
    reach = 0
    for i in range(len(nodes)):
        if reach <= i and last_of[id(nodes[i].operation)] == i:
            cuts.add(i)
        reach = max(reach, last_use[i])
    return cuts
