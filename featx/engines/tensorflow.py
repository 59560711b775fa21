"""The record of the TensorFlow engine: Keras networks on the CPU or a GPU."""

from __future__ import annotations

from featx.engines.engine import Engine, Network, Runner
from featx.libraries import start_keras
from featx.spec import Precision


class TensorFlow(Engine):
    """Executes Keras networks as they are; see :mod:`featx.engines.tensorflow_runner`."""

    def start(self, network: Network, device: str, precision: Precision) -> Runner:
        """Compile a Keras network; see :meth:`featx.engines.Engine.start`."""
        built = network.build()
        start_keras()
        from featx.engines.tensorflow_runner import TensorFlowRunner

        return TensorFlowRunner(built, device, precision)

    def has_precision(self, precision: Precision) -> bool:
        """Return True: TensorFlow computes in any of them everywhere, if slowly."""
        return True

    def sees_gpu(self) -> bool:
        """Tell whether TensorFlow sees a GPU; imports it."""
        start_keras()
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))


TENSORFLOW = TensorFlow(
    name="tensorflow",
    devices=("cpu", "gpu"),
    precisions=("float32", "bfloat16"),
    auto_precision="float32",
    casts_layers=True,
    gpu_library="nvidia.cudnn",
)
