"""The report of a model: one summary of plain values, which pages and lines are drawn from."""

from featx.reports.summary import Report, report

__all__ = ["Report", "report"]
