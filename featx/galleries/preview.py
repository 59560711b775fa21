"""A contact sheet: rows of small pictures with a line of text below each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_GAP = 6
_LINE = 16
_TEXT_SIZE = 11


def draw_sheet(rows: Sequence[Sequence[tuple[NDArray[np.uint8], str]]]) -> bytes:
    """Return a contact sheet as the bytes of a PNG file; the pixels of the pictures are in it unchanged.

    Parameters
    ----------
    rows : sequence of sequences of (ndarray of shape (height, width, 3), str)
        Pictures of one size and their captions; a caption that is too long loses its beginning.
    """
    height, width = rows[0][0][0].shape[:2]
    columns = max(map(len, rows))
    cell = (width + _GAP, height + _LINE + _GAP)
    sheet = Image.new("RGB", (columns * cell[0] + _GAP, len(rows) * cell[1] + _GAP), "white")
    drawing, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT_SIZE)
    for row, tiles in enumerate(rows):
        for column, (pixels, caption) in enumerate(tiles):
            left, top = _GAP + column * cell[0], _GAP + row * cell[1]
            sheet.paste(Image.fromarray(pixels), (left, top))
            drawing.text((left, top + height + 1), _fitted(caption, drawing, font, width), "black", font)
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def _fitted(caption: str, drawing: ImageDraw.ImageDraw, font: Any, width: int) -> str:
    text = caption.encode("utf-8", "backslashreplace").decode()
    fitted = text
    while text and drawing.textlength(fitted, font) > width:
        text = text[1:]
        fitted = f"...{text}"
    return fitted
