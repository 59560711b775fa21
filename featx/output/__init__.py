"""What people open: files they asked for by name, text that is only text, pages that need nothing else."""

from featx.output.files import check_output, csv_path, csv_text, import_pyarrow, refuse_among, utf8_text
from featx.output.pages import render_page, shown_text

__all__ = [
    "check_output",
    "csv_path",
    "csv_text",
    "import_pyarrow",
    "refuse_among",
    "render_page",
    "shown_text",
    "utf8_text",
]
