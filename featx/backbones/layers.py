"""Find the layer of a Keras network whose output is used as features, also in networks with nested models."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from featx.errors import BackboneError

_TO_PROBABILITIES = frozenset(
    ("softmax", "log_softmax", "sigmoid", "log_sigmoid", "hard_sigmoid", "sparsemax", "sparse_sigmoid")
)
_CLASSIFICATION_LAYERS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.SeparableConv2D,
)
_RESHAPING = frozenset(("Reshape", "Flatten", "Squeeze", "Permute", "Identity", "Cast"))
_AFTER_CLASSIFICATION = _RESHAPING | {
    *("Dropout", "SpatialDropout2D", "GaussianDropout", "AlphaDropout", "GaussianNoise", "ActivityRegularization"),
    *("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "BatchNormalization"),
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"),
    *("AveragePooling2D", "MaxPooling2D"),
}
"""Layers that may stand between the classification layer and the softmax; they compute no new features."""


@dataclass
class FlatModel:
    """A network whose nested models are replaced by their layers, with the same weights.

    Parameters
    ----------
    model : keras.Model
        One input, one output.
    name : str
        Name of the network in messages.
    outputs : dict
        Output tensors of each layer, by the name of the layer. A layer of a nested model has the name ``model/layer``.
    """

    model: keras.Model
    name: str
    outputs: dict[str, list[Any]] = field(default_factory=dict)

    def output_of(self, name: str) -> Any:
        """Return the output tensor of a layer.

        The name is ``model/layer``, or ``layer`` if only one layer has this name.

        Raises
        ------
        BackboneError
            If no layer or several layers have this name, or the layer has several outputs.
        """
        ends = [path for path in self.outputs if path.rpartition("/")[2] == name]
        if name not in self.outputs and len(ends) != 1:
            near = ends or difflib.get_close_matches(name, self.outputs, n=3) or list(self.outputs)[-3:]
            problem = f"{len(ends)} layers named {name!r}: choose" if ends else f"no layer {name!r}; its"
            counted = "" if ends else f" {len(self.outputs)} layers include"
            raise BackboneError(f"{self.name} has {problem}{counted} {', '.join(near)}")
        outputs = self.outputs[name if name in self.outputs else ends[0]]
        if len(outputs) != 1:
            raise BackboneError(f"layer {name!r} of {self.name} has several outputs; choose another layer")
        return outputs[0]

    def default_output(self) -> Any:
        """Return the tensor that is used as features if no layer is chosen.

        If the network ends in a softmax or sigmoid, this is the input of the classification layer before the softmax,
        or the input of the softmax if there is no such layer. Otherwise, this is the output of the network.
        """
        tensor = self.model.outputs[0]
        layer, inputs = made_by(tensor)
        while type(layer).__name__ in _RESHAPING or _is_linear(layer):
            layer, inputs = made_by(inputs[0])
        if not _gives_probabilities(layer):
            return tensor
        before_softmax = inputs[0]
        while not isinstance(layer, _CLASSIFICATION_LAYERS):
            layer, inputs = made_by(inputs[0])
            if not isinstance(layer, _CLASSIFICATION_LAYERS) and type(layer).__name__ not in _AFTER_CLASSIFICATION:
                return before_softmax
        return inputs[0]


def flatten_model(model: keras.Model, name: str) -> FlatModel:
    """Replace the nested models of a network by their layers.

    Parameters
    ----------
    model : keras.Model
        One input, one output.
    name : str
        Name of the network in messages.
    """
    nodes = list(_in_order(model))
    if not any(_graph_of(node.operation) for node in nodes):
        return FlatModel(model, name, _outputs(nodes))
    made: list[tuple[str, Any]] = []
    flat = FlatModel(model, name)
    output = _apply(model, model.inputs, "", made, flat.outputs)[0]
    _make_names_unique(made)
    flat.model = keras.Model(model.inputs[0], output, name=model.name)
    return flat


def made_by(tensor: Any) -> tuple[Any, Any]:
    """Return the layer that computed a tensor, and the inputs of this layer."""
    history = tensor._keras_history  # as in Keras; the .input of a layer fails if the layer is used twice
    return history.operation, history.operation._inbound_nodes[history.node_index].input_tensors


def _outputs(nodes: Sequence[Any]) -> dict[str, list[Any]]:
    outputs: dict[str, list[Any]] = {}
    for node in nodes:
        outputs.setdefault(node.operation.name, []).extend(node.output_tensors)
    return outputs


def _in_order(model: Any) -> Iterator[Any]:
    """Yield the nodes of a graph in topological order."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from model._nodes_by_depth[depth]


def _graph_of(layer: Any) -> Any:
    """Return the graph of a layer that is a model; None for other layers."""
    if isinstance(layer, keras.Sequential):
        layer = layer._functional
    return layer if hasattr(layer, "_nodes_by_depth") else None


def _apply(
    model: Any, inputs: Sequence[Any], prefix: str, made: list[tuple[str, Any]], outputs: dict[str, list[Any]]
) -> list[Any]:
    """Apply the layers of a model to other inputs, and return the new outputs of the model."""
    known = {id(old): new for old, new in zip(model.inputs, inputs, strict=True)}
    for node in _in_order(model):
        layer = node.operation
        if isinstance(layer, keras.layers.InputLayer):
            outputs.setdefault(prefix + layer.name, [known[id(node.output_tensors[0])]])
            continue
        args, kwargs = node.arguments.fill_in(known)
        graph = _graph_of(layer)
        given = [tensor for tensor in keras.tree.flatten(args) if isinstance(tensor, keras.KerasTensor)]
        if graph is not None and len(given) == len(graph.inputs):
            results = _apply(graph, given, f"{prefix}{layer.name}/", made, outputs)
        else:
            results = keras.tree.flatten(layer(*args, **kwargs))
            made.append((prefix + layer.name, layer))
        known |= {id(old): new for old, new in zip(node.output_tensors, results, strict=True)}
        outputs.setdefault(prefix + layer.name, []).extend(results)
    return [known[id(output)] for output in model.outputs]


def _make_names_unique(made: Sequence[tuple[str, Any]]) -> None:
    """Rename layers of nested models that have the same name, by adding the name of the nested model."""
    layers = list({id(layer): (path, layer) for path, layer in made}.values())
    times = Counter(layer.name for _, layer in layers)
    taken = {layer.name for _, layer in layers if times[layer.name] == 1}
    for path, layer in layers:
        if times[layer.name] > 1:
            name, number = path.replace("/", "_"), 0
            while name in taken:
                number += 1
                name = f"{path.replace('/', '_')}_{number}"
            layer.name = name
            taken.add(name)


def _is_linear(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Activation) and _activation(layer) == "linear"


def _gives_probabilities(layer: Any) -> bool:
    name = _activation(layer) or "".join(f"_{c.lower()}" if c.isupper() else c for c in type(layer).__name__)
    return name.strip("_") in _TO_PROBABILITIES


def _activation(layer: Any) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "")
