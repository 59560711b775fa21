"""Unfitted pipelines and the values they are tuned over, for some pictures and for many."""

from featx.heads.many import for_many
from featx.heads.table import (
    HEAD_NAMES,
    Head,
    converged,
    make_head,
    scores_of,
)

__all__ = ["HEAD_NAMES", "Head", "converged", "for_many", "make_head", "scores_of"]
