"""Render results as text lines and as an HTML page, from values that other packages computed."""

from featx.rendering.caches import cleaning_lines, export_lines, listing_lines, merge_lines, verification_lines
from featx.rendering.captures import ENOUGH_RECORDINGS, capture_lines, recording_lines
from featx.rendering.comparisons import comparison_lines
from featx.rendering.finetuning import finetuning_lines
from featx.rendering.page import ImageSet, PageData, cell_id, confusion_cells, report_page
from featx.rendering.terminal import (
    evaluation_lines,
    extraction_lines,
    inspection_lines,
    prediction_lines,
    report_lines,
)

__all__ = [
    "ENOUGH_RECORDINGS",
    "ImageSet",
    "PageData",
    "capture_lines",
    "cell_id",
    "cleaning_lines",
    "comparison_lines",
    "confusion_cells",
    "evaluation_lines",
    "export_lines",
    "extraction_lines",
    "finetuning_lines",
    "inspection_lines",
    "listing_lines",
    "merge_lines",
    "prediction_lines",
    "recording_lines",
    "report_lines",
    "report_page",
    "verification_lines",
]
