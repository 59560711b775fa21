"""Build the report of a model: a summary of JSON values, from which the page and the terminal lines are rendered."""

from featx.reports.summary import Report, report

__all__ = ["Report", "report"]
