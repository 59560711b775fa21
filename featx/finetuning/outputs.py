"""The files that fine-tuning writes: the model, and what is named after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from featx.errors import OutputError
from featx.evaluation import Contest
from featx.model import Classifier
from featx.output import OutputFile
from featx.training import TrainedNetwork, draw_curves

CLASSIFIER = ("-classifier.keras", "-classifier.json")
"""Endings of the names of the classifier for Keras alone, and of what there is to know of it."""


class Outputs:
    """Model file; network, its scaling, log, curves and the classifier for Keras alone, named after it.

    Parameters
    ----------
    model : path
        It ends in ``.featx``.
    overwrite : bool
    inputs : sequence of path
        What is read, and so never replaced.

    Raises
    ------
    OutputError
        One of them exists and may not be replaced, or cannot be written there.
    """

    def __init__(self, model: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
        read = [path for one in inputs for path in (one, *([one.with_suffix(".json")] if one.is_file() else []))]
        self._model = OutputFile(model, (".featx",), overwrite, inputs=read)
        self._files = {
            suffix: OutputFile(model.with_suffix(suffix), (suffix,), overwrite, inputs=read)
            for suffix in (".keras", ".json", ".csv", ".png")
        }
        for end in CLASSIFIER:
            path = model.with_name(model.stem + end)
            self._files[end] = OutputFile(path, (path.suffix,), overwrite, inputs=read)

    def spare(self, read: Iterable[Path]) -> None:
        """Make sure that none of them replaces a file that is read; see :meth:`featx.output.OutputFile.spare`."""
        paths = list(read)
        for file in self._files.values():
            file.spare(paths)

    def write(
        self,
        classifier: Classifier,
        network: TrainedNetwork,
        contest: Contest,
        for_keras: Mapping[str, bytes],
        notice: Callable[[str], None],
    ) -> tuple[Path, Path]:
        """Write all of them; if one fails, the new ones are deleted again. Return network and classifier for Keras.

        Raises
        ------
        OutputError
            One of them cannot be written.
        """
        trained = "fine-tuned" if contest.frozen is not None else "from scratch"
        levels = {f"{trained}, held out": contest.finetuned.mean}
        if contest.frozen is not None:
            levels = {"frozen, held out": contest.frozen.mean, **levels}
        contents = {
            ".keras": network.file.read_bytes(),
            ".json": network.file.with_suffix(".json").read_bytes(),
            ".csv": network.log.read_bytes(),
            **for_keras,
        }
        try:
            contents[".png"] = draw_curves({trained: network.history}, levels)
        except OutputError as error:  # nobody loses a model for want of its curves
            notice(f"no {self._files['.png'].path.name}: {error}")
        try:
            for suffix, content in contents.items():
                self._files[suffix].write_content(content)
            classifier.save(self._model)
        except BaseException:
            for file in self._files.values():
                file.take_back()
            raise
        return self._files[".keras"].path, self._files[CLASSIFIER[0]].path
