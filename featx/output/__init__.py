"""Write the output files and folders that users name: safe replacement, escaped text, figures and HTML pages."""

from featx.output.figures import Panel, draw_panels
from featx.output.files import (
    MODEL_SUFFIXES,
    OutputFile,
    csv_path,
    default_model_path,
    escape_formula,
    import_pyarrow,
    model_file_name,
    reason_of,
    utf8_text,
)
from featx.output.folders import copy_file, link_file, make_folder, replace_file, write_new
from featx.output.locks import locked_output
from featx.output.marks import GENERATOR, mark_png
from featx.output.pages import render_page, shown_text

__all__ = [
    "GENERATOR",
    "MODEL_SUFFIXES",
    "OutputFile",
    "Panel",
    "copy_file",
    "csv_path",
    "default_model_path",
    "draw_panels",
    "escape_formula",
    "import_pyarrow",
    "link_file",
    "locked_output",
    "make_folder",
    "mark_png",
    "model_file_name",
    "reason_of",
    "render_page",
    "replace_file",
    "shown_text",
    "utf8_text",
    "write_new",
]
