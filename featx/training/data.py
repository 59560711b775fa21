"""The data of a training run: a data set with frozen features, its split, and the folder of the run."""

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
from featx.source import ImageFile, Place, dataset_source
from featx.store import open_run
from featx.table import FeatureTable


@dataclass(frozen=True)
class TrainingData:
    """A data set with the features of the frozen backbone, split into three parts.

    Parameters
    ----------
    path : path
        Folder or manifest.
    backbone : str
    options : FeatureOptions
        Options with which features of the data set are extracted.
    run : RunOptions
    table : FeatureTable
        Features of the frozen backbone.
    grouping : Grouping
        Groups of images; no group is in two parts.
    split : HeldOutParts
        Training, validation and test part.
    notes : tuple of str
        Notes on images without contrast, images with equal features and images that could not be grouped.
    seed : int
    runtime : Runtime
    """

    path: Place
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
        """The runtime without notices, so that those about the data set and the backbone are not repeated."""
        return dataclasses.replace(self.runtime, notice=lambda text: None)

    @property
    def images(self) -> list[ImageFile]:
        """The images, in the order of the table."""
        source = dataset_source(self.path)
        return [ImageFile(sample, source) for sample in self.table.samples]

    def run_folder(self, settings: Mapping[str, Any]) -> Path:
        """Return a cache folder whose name is a hash of the images, their labels, the split and the settings."""
        key = hashlib.sha256(json.dumps({"spec": self.table.spec.to_json(), **settings}, sort_keys=True).encode())
        for array in (self.table.content_hashes, self.split.y, self.split.train, self.split.val):
            key.update(np.ascontiguousarray(array).tobytes())
        return open_run(self.runtime.cache, key.hexdigest()[:16])
