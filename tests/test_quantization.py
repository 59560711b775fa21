"""int8: transformers are recognised by their attention, and keep their features."""

from __future__ import annotations

import numpy as np
import pytest

from featx.engines import convert, quantize
from featx.engines.openvino import OpenVINORunner
from featx.engines.quantization import has_attention
from featx.libraries import start_openvino

RNG = np.random.default_rng(0)


def weights(*shape):
    return RNG.normal(0, shape[0] ** -0.5, shape).astype(np.float32)


def transformer(ops, tokens, reshaped=False):
    """Return one attention head over tokens of shape (4, 16, 48), with a residual connection."""
    query, key, value = (ops.matmul(tokens, weights(48, 48), False, False) for _ in range(3))
    shares = ops.softmax(ops.matmul(query, key, False, True), 2)
    if reshaped:
        shares = ops.reshape(shares, [4, 16, 16], special_zero=False)
    return ops.add(tokens, ops.matmul(shares, value, False, False))


def model(layers):
    """Return a network that splits 16 x 16 pixels into 16 tokens of 48 numbers, followed by ``layers``."""
    ov = start_openvino()
    ops = ov.opset13
    inputs = ops.parameter([4, 16, 16, 3], np.uint8, name="pixels")
    tokens = ops.reshape(ops.convert(inputs, "f32"), [4, 16, 48], special_zero=False) / np.array(255, np.float32)
    return ov.Model([ops.reduce_mean(layers(ops, tokens), [1], False)], [inputs], "net")


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (transformer, True),
        (lambda ops, tokens: transformer(ops, tokens, reshaped=True), True),
        (lambda ops, tokens: ops.matmul(tokens, weights(48, 48), False, False), False),
        (lambda ops, tokens: ops.softmax(ops.matmul(tokens, weights(48, 5), False, False), 2), False),
    ],
)
def test_attention_is_distinguished_from_the_softmax_of_a_classifier(layers, expected):
    assert has_attention(model(layers)) is expected


def test_a_transformer_in_int8(monkeypatch):
    nncf = pytest.importorskip("nncf")
    types = []
    real = nncf.quantize
    monkeypatch.setattr(nncf, "quantize", lambda *what, **how: types.append(how["model_type"]) or real(*what, **how))
    pixels = RNG.integers(0, 256, (40, 16, 16, 3), np.uint8)
    graph = convert(model(transformer))
    quantized = quantize(graph, pixels)
    assert types == [nncf.ModelType.TRANSFORMER]
    exact, approximate = (
        next(iter(OpenVINORunner(each, precision).run([pixels])))
        for each, precision in ((graph, "float32"), (quantized, "int8"))
    )
    assert not np.array_equal(exact, approximate)
    cosines = (exact * approximate).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(approximate, axis=1)
    assert cosines.min() > 0.99
