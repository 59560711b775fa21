"""From results to what people and programs read; nothing is computed here."""

from featx.reporting.caches import cleaning_lines, export_lines, listing_lines, verification_lines
from featx.reporting.captures import ENOUGH_TAKES, capture_lines, takes_lines
from featx.reporting.comparisons import comparison_lines
from featx.reporting.finetuning import finetuning_lines
from featx.reporting.model_report import Report, report
from featx.reporting.terminal import (
    evaluation_lines,
    extraction_lines,
    full_lines,
    inspection_lines,
    prediction_lines,
)

__all__ = [
    "ENOUGH_TAKES",
    "Report",
    "capture_lines",
    "cleaning_lines",
    "comparison_lines",
    "evaluation_lines",
    "export_lines",
    "extraction_lines",
    "finetuning_lines",
    "full_lines",
    "inspection_lines",
    "listing_lines",
    "prediction_lines",
    "report",
    "takes_lines",
    "verification_lines",
]
