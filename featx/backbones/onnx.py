"""Load a local ONNX file as a backbone, with OpenVINO."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import Any

from featx.backbones.pixels import pixel_scaling
from featx.errors import BackboneError, WeightsError
from featx.files import read_regular
from featx.libraries import OPENVINO_BATCH, openvino_reason, start_openvino
from featx.network_files import check_onnx
from featx.spec import FeatureSpec

_MOST_BYTES = 2**31
"""Maximum size of a protobuf message, in bytes."""


def declared_onnx_size(path: Path, layout: str | None = None) -> int | None:
    """Return the side of the declared square input in pixels, or None if the size is not fixed.

    Raises
    ------
    BackboneError
        If the file is not an ONNX file, or the input is not one square image.
    """
    model = _read(path)
    order = _layout(model, path, layout)
    height, width = (_sides(model)[order.index(name)] for name in "hw")
    if height is None or width is None:
        return None
    if height != width:
        raise BackboneError(f"{path} accepts images of {width} x {height}; expected a square input")
    return height


def build_onnx(spec: FeatureSpec, path: Path) -> Any:
    """Build the backbone of a feature spec from an ONNX file.

    Returns
    -------
    openvino.Model
        Maps uint8 RGB pixels (4, size, size, 3) to float32 features (4, n_features).

    Raises
    ------
    BackboneError
        If the file does not fit the feature spec.
    """
    ov = start_openvino()
    model = _read(path, spec.weights)
    layout = _layout(model, path, spec.layout)
    sides = {"n": OPENVINO_BATCH, "c": 3, "h": spec.size, "w": spec.size}
    for name, declared in zip(layout, _sides(model), strict=True):
        if name in "hw" and declared not in (None, spec.size):
            raise BackboneError(f"{path} accepts images of {declared} x {declared}, not {spec.size} x {spec.size}")
    try:
        model.reshape([sides[name] for name in layout])
        output = _output(model, spec.layer, path)
        _check_batch(output, path)
        return _from_uint8(ov.Model([_pooled(output, spec)], model.get_parameters()), spec.preprocess, layout)
    except RuntimeError as error:
        raise BackboneError(
            f"{path} cannot be used as a backbone: {openvino_reason(error)}. featx runs {OPENVINO_BATCH} images at "
            "once; if the network was exported for one image, export it for any number of images (dynamic batch)"
        ) from None


def _read(path: Path, weights: str | None = None) -> Any:
    """Read a network from a file whose SHA-256 is ``weights``.

    The file is read only once, so that the bytes that are checked are the bytes that are used.
    """
    try:
        content = read_regular(path, _MOST_BYTES)
        check_onnx(content)
    except BackboneError as error:
        raise BackboneError(f"{path} cannot be used as a backbone: it {error}") from None
    except OSError as error:
        raise BackboneError(f"{path} cannot be read: {error.strerror or error}") from None
    if weights is not None and hashlib.sha256(content).hexdigest() != weights:
        raise WeightsError(f"{path} has changed: its SHA-256 differs from the one in the feature spec; run again")
    try:
        model = start_openvino().Core().read_model(content, b"")
    except RuntimeError as error:
        raise BackboneError(f"{path} cannot be used as a backbone: {openvino_reason(error)}") from None
    if len(model.inputs) != 1 or model.inputs[0].partial_shape.rank != 4:
        shapes = ", ".join(str(each.partial_shape) for each in model.inputs) or "none"
        raise BackboneError(f"{path} has inputs of shape {shapes}; expected one input of 4 dimensions, for images")
    return model


def _sides(model: Any) -> list[int | None]:
    return [side.get_length() if side.is_static else None for side in model.inputs[0].partial_shape]


def _layout(model: Any, path: Path, requested: str | None) -> str:
    if requested is not None:
        return requested
    sides = _sides(model)
    if sides[1] == 3 and sides[3] != 3:
        return "nchw"
    if sides[3] == 3 and sides[1] != 3:
        return "nhwc"
    raise BackboneError(f"the input shape of {path} does not show which dimension is colour; add `layout=nchw` or nhwc")


def _output(model: Any, layer: str | None, path: Path) -> Any:
    # A Result only marks an output. A new model must be built on the input of the Result.
    ends = {_name(output): output.get_node().input_value(0) for output in model.outputs}
    if layer is None:
        if len(ends) > 1:
            first, *others = ends
            named = " or ".join([f"`layer={first}`", *others])
            raise BackboneError(f"{path.name} has {len(ends)} outputs; choose one: {named}")
        return next(iter(ends.values()))
    ops = [op for op in model.get_ops() if op.get_type_name() != "Result"]
    layers = {name: output for op in ops for output in op.outputs() for name in output.names}
    layers |= {op.get_friendly_name(): op.output(0) for op in ops if op.get_output_size() == 1} | ends
    if layer not in layers:
        near = difflib.get_close_matches(layer, layers, n=3) or list(ends)
        raise BackboneError(f"{path.name} has no layer {layer!r}; its {len(layers)} layers include {', '.join(near)}")
    return layers[layer]


def _name(output: Any) -> str:
    return str(min(output.names, default=output.get_node().get_friendly_name()))


def _check_batch(output: Any, path: Path) -> None:
    """Check that the output has one row per image: an export for one image may fix the batch size in a Reshape."""
    shape = output.partial_shape
    if shape.is_dynamic:
        raise BackboneError(f"{path.name}: the shape of this layer is not fixed ({shape}); choose another layer")
    if not len(shape) or shape[0].get_length() != OPENVINO_BATCH:
        raise BackboneError(
            f"{path.name} returns shape {shape} for {OPENVINO_BATCH} images instead of one row per image: it was "
            "exported for another number of images; export it for any number of images (dynamic batch)"
        )


def _pooled(output: Any, spec: FeatureSpec) -> Any:
    ops = start_openvino().opset13
    shape = [side.get_length() for side in output.partial_shape]
    if len(shape) == 2:
        if spec.pooling == "max":
            raise BackboneError("the output of this layer is a vector, which is not pooled; leave pooling at avg")
        return output
    if len(shape) not in (3, 4):
        raise BackboneError(f"the output of this layer has {len(shape)} dimensions; expected 4 (maps) or 3 (tokens)")
    if spec.pooling == "flatten":
        return ops.reshape(output, [OPENVINO_BATCH, -1], special_zero=False).output(0)
    axes = [1] if len(shape) == 3 else _area(shape)
    pool = ops.reduce_mean if spec.pooling == "avg" else ops.reduce_max
    return pool(output, axes, False).output(0)


def _area(shape: list[int]) -> list[int]:
    """Return the axes of the height and width of a map.

    Images are square, and thus also the maps; the axis whose length differs from the two others is the channel axis.
    The layout of the input does not show this axis, because a network may transpose maps, for example to normalise
    channels.
    """
    _, first, second, third = shape
    if (second == third) != (first == second):
        return [2, 3] if second == third else [1, 2]
    raise BackboneError(
        f"the output of this layer has the shape {first} x {second} x {third}, which does not show the channel axis; "
        "use pooling flatten, another layer or another size"
    )


def _from_uint8(model: Any, preprocess: str, layout: str) -> Any:
    ov = start_openvino()
    scaling = pixel_scaling(preprocess)
    steps = ov.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout(layout.upper()))
    change = steps.input().preprocess().convert_element_type(ov.Type.f32)
    if scaling.bgr:
        change = change.reverse_channels()
    change.mean(list(scaling.mean)).scale(list(scaling.std))
    steps.output().tensor().set_element_type(ov.Type.f32)
    built = steps.build()
    from openvino.passes import ConstantFolding, Manager

    folding = Manager()
    folding.register_pass(ConstantFolding())  # check_graph refuses graphs with operations on constants alone
    folding.run_passes(built)
    return built
