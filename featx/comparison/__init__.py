"""Every combination on the same images, with paired intervals: compare."""

from featx.comparison.comparing import compare
from featx.comparison.records import Combination, Comparison

__all__ = ["Combination", "Comparison", "compare"]
