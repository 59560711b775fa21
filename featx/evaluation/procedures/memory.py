"""Decide whether features are in memory while a head is fitted, or are read from the store in blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featx.errors import EvaluationError
from featx.evaluation.procedures.folds import MOST_CROSS_VALIDATED
from featx.heads import IN_BLOCKS, Head, for_blocks, for_large
from featx.runtime import Runtime
from featx.table import FeatureTable

_COPIES_A_FOLD = 3
"""Number of scaled copies of the features of one outer fold, one for each inner fold."""


@dataclass(frozen=True)
class MemoryPlan:
    """How features are kept while a head is fitted.

    Parameters
    ----------
    in_blocks : bool
        Whether features are read from the store in blocks, because they do not fit into memory.
    note : str
        Note for the report; empty if features are in memory.
    """

    in_blocks: bool
    note: str = ""

    def head(self, head: Head, n: int, n_classes: int) -> tuple[Head, str]:
        """Return the head to fit on ``n`` training samples, and a note about the choice.

        The head is that of :func:`featx.heads.for_blocks` or :func:`featx.heads.for_large`.
        """
        return (self.in_blocks and for_blocks(head, n, n_classes)) or for_large(head, n, n_classes)


def plan_memory(head: Head, table: FeatureTable, cv: int, views: int, runtime: Runtime) -> MemoryPlan:
    """Compare the memory that a fit needs with the memory that is available.

    Parameters
    ----------
    head : Head
    table : FeatureTable
    cv : int
        Maximum number of folds.
    views : int
        Number of augmented views of each training image.
    runtime : Runtime
        Provides the memory limit, and the number of workers, which hold copies of the features at the same time.

    Returns
    -------
    MemoryPlan

    Raises
    ------
    EvaluationError
        If the features need more memory than available, and the head cannot be fitted on features in blocks.
    """
    n_folds = min(cv, -(-runtime.n_workers // _COPIES_A_FOLD)) if len(table) <= MOST_CROSS_VALIDATED else 1
    itemsize = np.dtype(head.dtype).itemsize
    array = 4 * len(table) * (1 + views) * table.extraction.n_features
    needed = array * 2 + array * n_folds * _COPIES_A_FOLD * itemsize // 4
    limit = runtime.memory_limit
    if needed <= limit:
        return MemoryPlan(False)
    why = (
        f"fitting {head.name} on the features of {len(table):,} images in memory needs about {_gigabytes(needed)}, and "
        f"{_gigabytes(limit)} are available for it"
    )
    if for_blocks(head, len(table), 2) is None:
        names = f"{', '.join(IN_BLOCKS[:-1])} and {IN_BLOCKS[-1]}"
        raise EvaluationError(
            f"{why}. Choose one of {names}, which read the features from the cache in blocks (svm only with a linear "
            "kernel, and all of them only with their usual solver), or free memory"
        )
    return MemoryPlan(True, f"{why}, so the features are read from the cache in blocks")


def _gigabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.2g} GB" if n_bytes < 1e10 else f"{n_bytes / 1e9:,.0f} GB"
