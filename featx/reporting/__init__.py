"""From results to what people and programs read; no metric is computed here."""

from featx.reporting.caches import cleaning_lines, export_lines, listing_lines, verification_lines
from featx.reporting.captures import ENOUGH_TAKES, capture_lines, takes_lines
from featx.reporting.comparisons import comparison_lines
from featx.reporting.finetuning import finetuning_lines
from featx.reporting.page import PageData, View, cell_id, confusion_cells, report_page
from featx.reporting.terminal import (
    evaluation_lines,
    extraction_lines,
    full_lines,
    inspection_lines,
    prediction_lines,
)

__all__ = [
    "ENOUGH_TAKES",
    "PageData",
    "View",
    "capture_lines",
    "cell_id",
    "cleaning_lines",
    "comparison_lines",
    "confusion_cells",
    "evaluation_lines",
    "export_lines",
    "extraction_lines",
    "finetuning_lines",
    "full_lines",
    "inspection_lines",
    "listing_lines",
    "prediction_lines",
    "report_page",
    "takes_lines",
    "verification_lines",
]
