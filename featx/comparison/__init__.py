"""Every combination on the same pictures, with paired intervals: compare."""

from featx.comparison.comparing import compare
from featx.comparison.records import Compared, Comparison

__all__ = ["Compared", "Comparison", "compare"]
