"""Build the report of a model: a summary of JSON values that page and terminal lines are rendered from."""

from featx.reports.summary import Report, report

__all__ = ["Report", "report"]
