"""Draw contact sheets: images in rows with captions, in one PNG file."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from featx.galleries.text import truncate_text, wrap_text
from featx.output import mark_png

_COLUMNS = range(4, 11)
_GAP = 12
_INK, _QUIET, _ALARM, _PAPER, _EMPTY = "#1b1f24", "#5f6873", "#c0321e", "#ffffff", "#eef0f2"
_LARGE, _PLAIN, _SMALL = 20, 14, 11
"""Font sizes in pixels."""

_NOTE_LINES = 2
_PREVIEW_GAP = 6
_CAPTION = 16
"""Height of the caption below an image of a preview, in pixels."""


@dataclass(frozen=True)
class Cell:
    """An image of a contact sheet, with its caption.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8, or None
        Pixels of the image; None for an empty cell.
    heading : str
    name, note : str
        Smaller text below the heading: one line for ``name``, at most two lines for ``note``.
    alarming : bool
        Whether the heading is red.
    """

    pixels: NDArray[np.uint8] | None
    heading: str
    name: str = ""
    note: str = ""
    alarming: bool = False


def draw_contact_sheet(title: Sequence[str], cells: Iterable[Cell], n: int, side: int) -> bytes:
    """Return a contact sheet of at most ten columns.

    Parameters
    ----------
    title : sequence of str
        Lines at the top of the sheet, wrapped if too long. The first line is larger.
    cells : iterable of Cell
    n : int
        Number of cells.
    side : int
        Side of the square into which each image is fitted, in pixels.

    Returns
    -------
    bytes
        A PNG file that is marked as written by featx. Text that is too long is shortened in the middle.
    """
    columns = min(max(math.ceil(math.sqrt(n)), _COLUMNS[0]), _COLUMNS[-1])
    width = _GAP + columns * (side + _GAP)
    sizes = [_LARGE] + [_PLAIN] * (len(title) - 1)
    head = [
        (line, size)
        for text, size in zip(title, sizes, strict=True)
        for line in wrap_text(text, size, width - 2 * _GAP)
    ]
    top = 2 * _GAP + sum(_height(size) for _, size in head)
    step = side + _height(_PLAIN) + (1 + _NOTE_LINES) * _height(_SMALL) + _GAP
    sheet = Image.new("RGB", (width, top + max(1, math.ceil(n / columns)) * step), _PAPER)
    pen = ImageDraw.Draw(sheet)
    y = _GAP
    for line, size in head:
        pen.text((_GAP, y), line.text, _INK if size == _LARGE else _QUIET, line.font)
        y += _height(size)
    for number, cell in enumerate(cells):
        row, column = divmod(number, columns)
        _draw_cell(sheet, pen, cell, (_GAP + column * (side + _GAP), top + row * step), side)
    return _png_file(sheet)


def draw_preview(rows: Sequence[Sequence[tuple[NDArray[np.uint8], str]]]) -> bytes:
    """Return a contact sheet that shows the pixels of its images unchanged.

    Parameters
    ----------
    rows : sequence of sequences of (ndarray of shape (height, width, 3), str)
        Images of equal size and their captions; a caption that is too long is shortened in the middle.

    Returns
    -------
    bytes
        A PNG file that is marked as written by featx.
    """
    height, width = rows[0][0][0].shape[:2]
    columns = max(map(len, rows))
    cell = (width + _PREVIEW_GAP, height + _CAPTION + _PREVIEW_GAP)
    sheet = Image.new("RGB", (columns * cell[0] + _PREVIEW_GAP, len(rows) * cell[1] + _PREVIEW_GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, tiles in enumerate(rows):
        for column, (pixels, text) in enumerate(tiles):
            left, top = _PREVIEW_GAP + column * cell[0], _PREVIEW_GAP + row * cell[1]
            sheet.paste(Image.fromarray(pixels), (left, top))
            caption = truncate_text(text, _SMALL, width)
            pen.text((left, top + height + 1), caption.text, _INK, caption.font)
    return _png_file(sheet)


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, corner: tuple[int, int], side: int) -> None:
    x, y = corner
    if cell.pixels is None:
        pen.rectangle((x, y, x + side - 1, y + side - 1), _EMPTY)
    else:
        image = Image.fromarray(cell.pixels)
        scale = side / max(image.size)
        width, height = (max(1, round(scale * length)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        sheet.paste(image, (x + (side - width) // 2, y + (side - height) // 2))
    y += side
    heading = truncate_text(cell.heading, _PLAIN, side)
    pen.text((x, y), heading.text, _ALARM if cell.alarming else _INK, heading.font)
    y += _height(_PLAIN)
    for small in (truncate_text(cell.name, _SMALL, side), *wrap_text(cell.note, _SMALL, side, _NOTE_LINES)):
        pen.text((x, y), small.text, _QUIET, small.font)
        y += _height(_SMALL)


def _png_file(sheet: Image.Image) -> bytes:
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return mark_png(stream.getvalue())


def _height(size: int) -> int:
    return size * 4 // 3
