"""Heads: unfitted scikit-learn pipelines with their grids, and their replacements for many images."""

from featx.heads.large import for_large
from featx.heads.table import (
    HEAD_NAMES,
    Head,
    converged,
    make_head,
    scores_of,
)

__all__ = ["HEAD_NAMES", "Head", "converged", "for_large", "make_head", "scores_of"]
