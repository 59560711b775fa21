"""The files that fine-tuning writes beside the model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from featx.errors import OutputError
from featx.evaluation import Contest
from featx.output import check_output, refuse_among
from featx.store import write_content
from featx.training import TrainedNetwork, draw_curves

CLASSIFIER = ("-classifier.keras", "-classifier.json")
"""Endings of the names of the classifier for Keras alone, and of what there is to know of it."""


class Outputs:
    """Network, its scaling, log, curves and the classifier for Keras alone, named after a model file.

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
        One of them exists, or cannot be written there.
    """

    def __init__(self, model: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
        check_output(model, (".featx",), overwrite)
        self._files = {suffix: model.with_suffix(suffix) for suffix in (".keras", ".json", ".csv", ".png")}
        self._files |= {end: model.with_name(model.stem + end) for end in CLASSIFIER}
        for file in self._files.values():
            check_output(file, (file.suffix,), overwrite)
        refuse_among(self._files[".png"], inputs, "-o")
        read = {path.resolve() for one in inputs if one.is_file() for path in (one, one.with_suffix(".json"))}
        for file in (model, *self._files.values()):
            if file.exists() and file.resolve() in read:
                raise OutputError(f"-o {model} would replace {file}, which is read; choose another name")

    def write(self, network: TrainedNetwork, contest: Contest, classifier: Mapping[str, bytes]) -> tuple[Path, Path]:
        """Write all of them; return where the network and the classifier for Keras are."""
        trained = "fine-tuned" if contest.frozen is not None else "from scratch"
        levels = {f"{trained}, held out": contest.finetuned.mean}
        if contest.frozen is not None:
            levels = {"frozen, held out": contest.frozen.mean, **levels}
        contents = {
            ".keras": network.file.read_bytes(),
            ".json": network.file.with_suffix(".json").read_bytes(),
            ".csv": network.log.read_bytes(),
            ".png": draw_curves({trained: network.history}, levels),
            **classifier,
        }
        for suffix, content in contents.items():
            write_content(self._files[suffix], content)
        return self._files[".keras"], self._files[CLASSIFIER[0]]
