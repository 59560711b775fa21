"""Run a backbone in TensorFlow: one compiled function with a fixed batch size."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from featx.engines.processor import processor_kind
from featx.errors import EngineError
from featx.spec import EngineName, Precision

_BATCH = 8
"""Number of images per execution on the CPU. Batches are padded to this size, so that the features of an image do not
depend on the other images. On two cores, MobileNetV2 and ResNet50 are as fast with 8 images as with 16 or 32, and need
less memory."""

_GPU_BATCH = 32
"""Number of images per execution on a GPU, because 8 images do not use a GPU fully. The speed was not measured."""


class TensorFlowRunner:
    """Executes a Keras network with TensorFlow; see :class:`featx.engines.Runner`.

    Parameters
    ----------
    network : keras.Model
        Maps uint8 pixels (n, size, size, 3) to float32 features (n, n_features).
    device : str
        ``auto`` (a GPU if TensorFlow finds one), ``cpu``, ``gpu`` or ``gpu:N``.
    precision : {"float32", "bfloat16"}
        Precision in which the network was built.

    Raises
    ------
    EngineError
        If TensorFlow does not find this GPU.
    """

    name: EngineName = "tensorflow"

    def __init__(self, network: keras.Model, device: str = "auto", precision: Precision = "float32") -> None:
        self.precision: Precision = precision
        self.n_features = int(network.output_shape[-1])
        self.device = find_device(device)
        self.producer = {
            "engine": f"tensorflow {tf.__version__}",
            "keras": keras.__version__,
            "numpy": np.__version__,
            "processor": processor_kind(),
        }
        if self.device != "cpu":
            _make_gpus_exact()
        self._batch = _BATCH if self.device == "cpu" else _GPU_BATCH
        shape = (self._batch, *network.input_shape[1:])
        self._execute: Any = tf.function(
            lambda pixels: network(pixels, training=False),
            input_signature=[tf.TensorSpec(shape, tf.uint8)],
            jit_compile=self.device != "cpu",  # XLA is faster on GPUs
        )

    def run(self, batches: Iterable[NDArray[np.uint8]]) -> Generator[NDArray[np.float32], None, None]:
        """Compute features, batch by batch, in order; see :meth:`featx.engines.Runner.run`."""
        for pixels in batches:
            # All parts are started before the first result is fetched, so that a GPU receives data while it computes.
            starts = range(0, len(pixels), self._batch)
            parts = [self._start(pixels[start : start + self._batch]) for start in starts]
            features = np.concatenate([part.numpy() for part in parts]) if parts else np.empty((0, self.n_features))
            yield features[: len(pixels)].astype(np.float32, copy=False)

    def _start(self, pixels: NDArray[np.uint8]) -> Any:
        full = np.zeros((self._batch, *pixels.shape[1:]), np.uint8)
        full[: len(pixels)] = pixels
        with tf.device(f"/{self.device}"):
            return self._execute(tf.constant(full))


def _make_gpus_exact() -> None:
    """Make GPUs deterministic, and use float32 instead of TensorFloat-32, which has a mantissa of 10 bits."""
    tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.config.experimental.enable_op_determinism()


def find_device(device: str) -> str:
    """Return the requested device in the form ``cpu`` or ``gpu:N``.

    Raises
    ------
    EngineError
        If TensorFlow does not find this GPU.
    """
    gpus = [f"gpu:{number}" for number, _ in enumerate(tf.config.list_physical_devices("GPU"))]
    if device == "auto":
        return (gpus or ["cpu"])[0]
    requested = "gpu:0" if device == "gpu" else device
    if requested not in ("cpu", *gpus):
        raise EngineError(
            f"`device={device}`: TensorFlow, which featx uses for GPUs, does not find this device; available: "
            f"{', '.join(['cpu', *gpus])}"
        )
    return requested
