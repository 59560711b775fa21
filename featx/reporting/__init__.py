"""From results to what people and programs read; nothing is computed here."""

from featx.reporting.report import Report, report
from featx.reporting.terminal import evaluation_lines, extraction_lines, full_lines, inspection_lines, prediction_lines

__all__ = [
    "Report",
    "evaluation_lines",
    "extraction_lines",
    "full_lines",
    "inspection_lines",
    "prediction_lines",
    "report",
]
