"""The record of a table that later runs continue: which model, feature spec and options wrote it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from featx.classifier.novelty import rejector_arrays
from featx.errors import OutputError
from featx.files import read_regular
from featx.model import Classifier
from featx.output import GENERATOR, reason_of, replace_file
from featx.source import place_of
from featx.spec import FeatureSpec

_FORMAT = "featx predictions"
_FORMAT_VERSION = 1
_MOST_BYTES = 64_000_000
_RESTART = "start again with `overwrite=True`, or choose another `output`"


@dataclass(frozen=True)
class TableRecord:
    """What wrote a table of predictions.

    Parameters
    ----------
    model : str
        Digest of the content of the model, see :func:`model_digest`.
    model_name : str
        Path of the model file, or the backbone of a classifier in memory; only for messages.
    features : str
        The feature spec of the features, as JSON.
    columns : tuple of str
        Columns of the table.
    top_k : int
    reject_rate : float or None
    folder : str
        Absolute path of the folder to which the relative paths in the table are relative.
    inputs : tuple of str
        Absolute paths or addresses of the inputs of the first run.
    pending : mapping of str to str
        Files of the folder of parts that are to be renamed: the new name of each temporary file.
    """

    model: str
    model_name: str
    features: str
    columns: tuple[str, ...]
    top_k: int
    reject_rate: float | None
    folder: str
    inputs: tuple[str, ...]
    pending: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        classifier: Classifier,
        name: str,
        spec: FeatureSpec,
        columns: Sequence[str],
        options: tuple[int, float | None],
        inputs: Sequence[str],
    ) -> TableRecord:
        """Return the record of a new table; ``options`` are ``top_k`` and ``reject_rate``."""
        absolute = tuple(map(_absolute, inputs))
        text = spec.unbundled.to_json()
        return cls(model_digest(classifier), name, text, tuple(columns), *options, os.getcwd(), absolute)

    @property
    def id(self) -> str:
        """Digest of everything that determines the row of an image."""
        rows = {"model": self.model, "features": self.features, "columns": self.columns, "rate": self.reject_rate}
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()

    def check(self, now: TableRecord, table: Path, *, same_inputs: bool) -> None:
        """Check that this run makes the rows that the run of this record made.

        Parameters
        ----------
        now : TableRecord
            Record of this run.
        table : path
            The table, for messages.
        same_inputs : bool
            Whether the inputs must also be the same, because the table is not complete.

        Raises
        ------
        OutputError
            If the runs differ; the message states the difference.
        """
        if self.model != now.model:
            differs = f"another model wrote it ({self.model_name}; this run uses {now.model_name})"
        elif self.features != now.features:
            differs = f"its features have the feature spec {self.features}; this run computes {now.features}"
        elif self.top_k != now.top_k:
            differs = f"it was written with `top_k={self.top_k}`; this run has `top_k={now.top_k}`"
        elif self.reject_rate != now.reject_rate:
            differs = f"it was written with {_rate(self.reject_rate)}; this run has {_rate(now.reject_rate)}"
        elif self.columns != now.columns:
            differs = f"its columns are {', '.join(self.columns)}; this run writes {', '.join(now.columns)}"
        elif same_inputs and self.inputs != now.inputs:
            differs = f"it is not complete, and its inputs are {_listed(self.inputs)}, not {_listed(now.inputs)}"
        else:
            return
        raise OutputError(f"{table} cannot be continued: {differs}; {_RESTART}")

    def write(self, path: Path) -> None:
        """Write the record in one step.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        content = {"made_by": GENERATOR, "format": _FORMAT, "format_version": _FORMAT_VERSION, **asdict(self)}
        text = json.dumps(content, indent=1) + "\n"
        replace_file(path, lambda temporary: temporary.write_bytes(text.encode()))


def read_record(path: Path, table: Path) -> TableRecord:
    """Read the record of a table.

    Raises
    ------
    OutputError
        If the record cannot be read, is damaged, or was written by a later version of featx.
    """
    try:
        content = json.loads(read_regular(path, _MOST_BYTES, follow=False))
        if not isinstance(content, dict) or (content.get("made_by"), content.get("format")) != (GENERATOR, _FORMAT):
            raise ValueError("featx did not write it")
        if content.get("format_version") != _FORMAT_VERSION:
            raise ValueError(f"it has version {content.get('format_version')}, expected {_FORMAT_VERSION}")
        return _from_json(content)
    except (KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else reason_of(error)
        raise OutputError(
            f"{table} cannot be continued: its record {path} cannot be used ({reason}); {_RESTART}"
        ) from None


def _from_json(content: Mapping[str, Any]) -> TableRecord:
    values: dict[str, Any] = {one.name: content[one.name] for one in fields(TableRecord)}
    texts = [values[name] for name in ("model", "model_name", "features", "folder")]
    texts += [*values["columns"], *values["inputs"], *values["pending"], *values["pending"].values()]
    rate = values["reject_rate"]
    if not all(isinstance(text, str) for text in texts) or not isinstance(values["top_k"], int):
        raise TypeError("a value has another type")
    if not (rate is None or isinstance(rate, float)) or any("/" in name for name in values["pending"].values()):
        raise TypeError("a value has another type")
    return TableRecord(**{**values, "columns": tuple(values["columns"]), "inputs": tuple(values["inputs"])})


def model_digest(classifier: Classifier) -> str:
    """Return a digest of everything in a model that determines its predictions, as 64 hexadecimal digits."""
    about = [classifier.spec.unbundled.to_json(), *classifier.classes_, repr(classifier.temperature)]
    digest = hashlib.sha256(json.dumps(about).encode())
    arrays = {} if classifier.rejector is None else rejector_arrays(classifier.rejector)
    head = classifier.dense_head
    if head is None:
        import joblib

        digest.update(joblib.hash(classifier.estimator()).encode())
    else:
        digest.update(b"pairwise" if head.pairwise else b"")
        arrays |= {f"weight{i}": one for i, one in enumerate(head.weights)}
        arrays |= {f"bias{i}": one for i, one in enumerate(head.biases)}
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _absolute(text: str) -> str:
    """Return the absolute path of an input; of an address, the address without a query, which may be a credential."""
    place = place_of(text)
    return os.path.abspath(place) if isinstance(place, Path) else str(place.resolve())


def _rate(rate: float | None) -> str:
    return "no `reject_rate`" if rate is None else f"`reject_rate={rate}`"


def _listed(inputs: Sequence[str]) -> str:
    shown = ", ".join(inputs[:3])
    return f"{shown} and {len(inputs) - 3:,} more" if len(inputs) > 3 else shown
