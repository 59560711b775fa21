"""A contact sheet: pictures in rows with a few words below each, drawn into one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from featx.galleries.lettering import letter_lines, letter_within

_COLUMNS = range(4, 11)
_GAP = 12
_INK, _QUIET, _ALARM, _PAPER, _EMPTY = "#1b1f24", "#5f6873", "#c0321e", "#ffffff", "#eef0f2"
_LARGE, _PLAIN, _SMALL = 20, 14, 11
"""Sizes of letters."""

_NOTE_LINES = 2


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8, or None
        None leaves its place empty.
    heading : str
    name, note : str
        Smaller, below it: one line, and up to two.
    alarming : bool
        Whether the heading is red.
    """

    pixels: NDArray[np.uint8] | None
    heading: str
    name: str = ""
    note: str = ""
    alarming: bool = False


def draw_contact_sheet(title: Sequence[str], cells: Iterable[Cell], n: int, side: int) -> Image.Image:
    """Return a sheet of at most ten columns.

    Parameters
    ----------
    title : sequence of str
        Lines above all; the first one is larger. They are broken where they are too long.
    cells : iterable of Cell
    n : int
        Number of cells.
    side : int
        Side of the square that each picture is fitted into, in pixels.

    Returns
    -------
    PIL.Image.Image
        Mode RGB. What is too long is cut in its middle.
    """
    columns = min(max(math.ceil(math.sqrt(n)), _COLUMNS[0]), _COLUMNS[-1])
    width = _GAP + columns * (side + _GAP)
    sizes = [_LARGE] + [_PLAIN] * (len(title) - 1)
    head = [
        (line, size)
        for text, size in zip(title, sizes, strict=True)
        for line in letter_lines(text, size, width - 2 * _GAP)
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
    return sheet


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, corner: tuple[int, int], side: int) -> None:
    x, y = corner
    if cell.pixels is None:
        pen.rectangle((x, y, x + side - 1, y + side - 1), _EMPTY)
    else:
        picture = Image.fromarray(cell.pixels)
        scale = side / max(picture.size)
        width, height = (max(1, round(scale * length)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        sheet.paste(picture, (x + (side - width) // 2, y + (side - height) // 2))
    y += side
    heading = letter_within(cell.heading, _PLAIN, side)
    pen.text((x, y), heading.text, _ALARM if cell.alarming else _INK, heading.font)
    y += _height(_PLAIN)
    for small in (letter_within(cell.name, _SMALL, side), *letter_lines(cell.note, _SMALL, side, _NOTE_LINES)):
        pen.text((x, y), small.text, _QUIET, small.font)
        y += _height(_SMALL)


def _height(size: int) -> int:
    return size * 4 // 3
