"""Heads: unfitted scikit-learn pipelines with their grids, and their replacements for many images."""

from featx.heads.blocks import BlockFits
from featx.heads.grids import Beyond, GridEnd
from featx.heads.large import IN_BLOCKS, for_blocks, for_large
from featx.heads.table import (
    HEAD_NAMES,
    Head,
    converged,
    make_head,
    scores_of,
)
from featx.heads.training_parts import Fitted

__all__ = [
    "HEAD_NAMES",
    "IN_BLOCKS",
    "Beyond",
    "BlockFits",
    "Fitted",
    "GridEnd",
    "Head",
    "converged",
    "for_blocks",
    "for_large",
    "make_head",
    "scores_of",
]
