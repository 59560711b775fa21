"""What a training run works on: a data set with frozen features, divided, and a folder to go on from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.duplicates import Grouping
from featx.evaluation.procedures import HeldOutParts
from featx.options import FeatureOptions, RunOptions
from featx.runtime import Runtime
from featx.source import ImageFile, dataset_source
from featx.store import open_run
from featx.table import FeatureTable


@dataclass(frozen=True)
class TrainingData:
    """A data set with the features of its frozen network, divided.

    Parameters
    ----------
    path : path
        Folder or manifest.
    backbone : str
    options : FeatureOptions
        For every pass over the data set.
    run : RunOptions
    table : FeatureTable
        Features of the frozen network.
    grouping : Grouping
        No group is in two parts.
    split : HeldOutParts
        Training, validation and test part.
    notes : tuple of str
        Images without contrast or of equal features, and where images could not be grouped.
    seed : int
    runtime : Runtime
    """

    path: Path
    backbone: str
    options: FeatureOptions
    run: RunOptions
    table: FeatureTable
    grouping: Grouping
    split: HeldOutParts
    notes: tuple[str, ...]
    seed: int
    runtime: Runtime

    @property
    def groups(self) -> NDArray[np.int64]:
        """Group of each sample, shape (n_samples,)."""
        return self.grouping.numbers

    @property
    def quiet_runtime(self) -> Runtime:
        """A runtime that does not report again what data set and network are."""
        return dataclasses.replace(self.runtime, notice=lambda text: None)

    @property
    def images(self) -> list[ImageFile]:
        """The images, in the order of the table."""
        source = dataset_source(self.path)
        return [ImageFile(sample, source) for sample in self.table.samples]

    def run_folder(self, what: Mapping[str, Any]) -> Path:
        """Return a folder in the cache whose name covers the images, their parts, and what is done with them."""
        key = hashlib.sha256(json.dumps({"spec": self.table.spec.to_json(), **what}, sort_keys=True).encode())
        for array in (self.table.content_hashes, self.split.y, self.split.train, self.split.val):
            key.update(np.ascontiguousarray(array).tobytes())
        return open_run(self.runtime.cache, key.hexdigest()[:16])
