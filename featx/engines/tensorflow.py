"""The TensorFlow engine: Keras networks on the CPU or a GPU."""

from __future__ import annotations

from featx.engines.engine import BackboneLoader, Engine, Runner
from featx.libraries import start_keras
from featx.spec import Precision


class TensorFlow(Engine):
    """Executes Keras networks without conversion; see :mod:`featx.engines.tensorflow_runner`."""

    def start(self, loader: BackboneLoader, device: str, precision: Precision) -> Runner:
        """Compile a Keras network; see :meth:`featx.engines.Engine.start`."""
        network = loader.build()
        start_keras()
        from featx.engines.tensorflow_runner import TensorFlowRunner

        return TensorFlowRunner(network, device, precision)

    def has_precision(self, precision: Precision) -> bool:
        """Return True, because TensorFlow supports its precisions on every machine, although some are slow."""
        return True

    def sees_gpu(self) -> bool:
        """Return whether TensorFlow finds a GPU. Imports TensorFlow."""
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
