"""The output files of fine-tuning: the model, and the files named after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from featx.errors import OutputError
from featx.evaluation import FinetuneComparison
from featx.model import Classifier
from featx.output import OutputFile
from featx.training import TrainedNetwork, draw_curves

CLASSIFIER = ("-classifier.keras", "-classifier.json")
"""Endings of the names of two files: the classifier for Keras alone, and its description in JSON."""


class Outputs:
    """The output files: model, network, pixel scaling, log, curves and the classifier for Keras alone.

    Parameters
    ----------
    model : path
        Model file; its name ends in ``.featx``.
    overwrite : bool
        Replace existing outputs that featx wrote.
    inputs : sequence of path
        Files that are read and therefore never replaced.

    Raises
    ------
    OutputError
        If an output exists and may not be replaced, or cannot be written.
    """

    def __init__(self, model: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
        read = [path for file in inputs for path in (file, *([file.with_suffix(".json")] if file.is_file() else []))]
        self._model = OutputFile(model, (".featx",), overwrite, inputs=read)
        self._files = {
            suffix: OutputFile(model.with_suffix(suffix), (suffix,), overwrite, inputs=read)
            for suffix in (".keras", ".json", ".csv", ".png")
        }
        for end in CLASSIFIER:
            path = model.with_name(model.stem + end)
            self._files[end] = OutputFile(path, (path.suffix,), overwrite, inputs=read)

    def refuse_inputs(self, read: Iterable[Path]) -> None:
        """Check that no output replaces a file that is read; see :meth:`featx.output.OutputFile.refuse_inputs`."""
        paths = list(read)
        for file in self._files.values():
            file.refuse_inputs(paths)

    def write(
        self,
        classifier: Classifier,
        network: TrainedNetwork,
        comparison: FinetuneComparison,
        for_keras: Mapping[str, bytes],
        notice: Callable[[str], None],
    ) -> tuple[Path, Path]:
        """Write all outputs; return the paths of the network and of the classifier for Keras.

        If one output cannot be written, the outputs that were already written are deleted again, unless they replaced
        existing files.

        Raises
        ------
        OutputError
            If an output cannot be written.
        """
        trained = "fine-tuned" if comparison.frozen is not None else "from scratch"
        levels = {f"{trained}, held out": comparison.finetuned.mean}
        if comparison.frozen is not None:
            levels = {"frozen, held out": comparison.frozen.mean, **levels}
        contents = {
            ".keras": network.file.read_bytes(),
            ".json": network.file.with_suffix(".json").read_bytes(),
            ".csv": network.log.read_bytes(),
            **for_keras,
        }
        try:
            contents[".png"] = draw_curves({trained: network.history}, levels)
        except OutputError as error:  # the model is also useful without the curves
            notice(f"{self._files['.png'].path.name} is not written: {error}")
        try:
            for suffix, content in contents.items():
                self._files[suffix].write_content(content)
            classifier.save(self._model)
        except BaseException:
            for file in self._files.values():
                file.undo()
            raise
        return self._files[".keras"].path, self._files[CLASSIFIER[0]].path
