"""The inputs of the trained blocks of a network: cached activations at the cut, or pixels."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import TrainingError
from featx.extraction import compute_table
from featx.options import ExtractOptions
from featx.spec import FeatureSpec
from featx.store import JOURNAL, JOURNAL_BYTES, FeatureStore, count_journal, list_segments, prepare_cache
from featx.training.config import TrainingPlan
from featx.training.data import TrainingData
from featx.training.feeds import ReadView
from featx.training.pixels import Pixels
from featx.training.records import Cut

_SPARE_BYTES = 200_000_000


@contextmanager
def reading_inputs(
    data: TrainingData, plan: TrainingPlan, spec: FeatureSpec, cut: Cut
) -> Iterator[tuple[ReadView, str]]:
    """Yield a function that reads the inputs of images, and the name of their source.

    The source is the id of the feature spec of the cached activations, or "pixels".

    Raises
    ------
    TrainingError
        If the activations do not fit on the disk, or the data set has changed.
    """
    if plan.trunk_cache and not cut.is_whole:
        yield _activations(data, plan, cut)
        return
    with Pixels(data.images, data.table.content_hashes, spec, data.runtime) as pixels:
        yield pixels.read, "pixels"


def _activations(data: TrainingData, plan: TrainingPlan, cut: Cut) -> tuple[ReadView, str]:
    _check_room(data, plan, cut)
    frozen = dataclasses.replace(data.options, layer=cut.below, pooling=cut.pooling)
    options = ExtractOptions.of({**vars(frozen), **plan.view_options})
    viewed = {content.tobytes() for content in data.table.content_hashes[data.split.train]}
    table = compute_table(data.path, data.backbone, options, data.run, runtime=data.quiet_runtime, viewed=viewed)
    if not np.array_equal(table.content_hashes, data.table.content_hashes):
        raise TrainingError(f"{data.path} has changed during training; run the command again")
    opened: dict[int, Any] = {}

    def read(view: int, at: NDArray[np.int64]) -> NDArray[Any]:
        if view not in opened:
            opened[view] = table.opened(view)
        return np.asarray(opened[view](at)).reshape(-1, *cut.shape)

    return read, table.spec.id


def _check_room(data: TrainingData, plan: TrainingPlan, cut: Cut) -> None:
    cache = data.runtime.cache
    spec = dataclasses.replace(data.table.spec, layer=cut.below, pooling=cut.pooling)
    width = int(np.prod(cut.shape))
    n_rows = _rows_to_write(FeatureStore(cache, spec), len(data.table))
    if plan.views:
        of_views = dataclasses.replace(spec, **plan.view_spec)
        n_rows += _rows_to_write(FeatureStore(cache, of_views), plan.views * len(data.split.train))
    n_bytes = 4 * width * n_rows
    n_bytes += min(n_bytes, JOURNAL_BYTES)  # rows are in the journal while they are written to a segment
    free = shutil.disk_usage(prepare_cache(cache, "features")).free
    if n_bytes and n_bytes + _SPARE_BYTES > free:
        raise TrainingError(
            f"the activations below {cut.first} need {n_bytes / 1e9:.1f} GB while they are written, but only "
            f"{free / 1e9:.1f} GB are free in {cache}; unfreeze fewer blocks, use fewer `views` or another `cache`, or "
            "finetune with `trunk_cache=False`"
        )


def _rows_to_write(store: FeatureStore, n: int) -> int:
    """Return the number of rows that are written until a store contains n rows."""
    n_stored = sum(segment.n_rows for segment in list_segments(store.path)[0])
    return max(n - n_stored - count_journal(store.path / JOURNAL)[0], 0)
