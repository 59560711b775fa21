"""Compare combinations of backbones and heads on the same images, with paired confidence intervals."""

from featx.comparison.comparing import compare
from featx.comparison.records import Combination, Comparison

__all__ = ["Combination", "Comparison", "compare"]
