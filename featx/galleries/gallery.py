"""Write a gallery of predicted images with their labels and confidences, as an HTML page or a contact sheet."""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from featx.galleries.selection import BalancedSample, Tile
from featx.galleries.sheets import Cell, draw_contact_sheet
from featx.images import encode_thumbnail
from featx.output import OutputFile, render_page
from featx.readers import Thumbnail, draw_thumbnails
from featx.runtime import Runtime
from featx.source import image_at, place_of
from featx.spec import FeatureSpec

_STATUSES = ("ok", "rejected", "skipped")


@dataclass(frozen=True)
class _Limits:
    """Maximum number of images in a gallery, and length of the longer side of an image, in pixels."""

    most: int
    side: int


_PAGE = _Limits(2000, 128)
_SHEET = _Limits(200, 160)
_KINDS = {".html": _PAGE, ".htm": _PAGE, ".png": _SHEET}


class Gallery:
    """Collect predicted images and write a gallery of them.

    Parameters
    ----------
    file : path
        File to write, ``.html`` or ``.png``.
    given : sequence of path
        Files and folders given for prediction.
    overwrite : bool
        Whether to replace an existing gallery that featx wrote.

    Raises
    ------
    OutputError
        If the file has another extension, must not be replaced, lies in a missing folder, or would lie among the
        predicted images.
    """

    def __init__(self, file: Path, given: Sequence[str | Path], overwrite: bool) -> None:
        self._file = OutputFile(file, _KINDS, overwrite, "gallery", given)
        self._limits = _KINDS[self._file.suffix]
        self._choice = BalancedSample(self._limits.most)
        self._n_seen = 0

    def refuse_inputs(self, read: Iterable[Path]) -> None:
        """Check that the gallery replaces no file that is read; see :meth:`featx.output.OutputFile.refuse_inputs`."""
        self._file.refuse_inputs(read)

    def add(self, tiles: Sequence[Tile]) -> None:
        """Add predicted images; a limited number of them is kept."""
        self._choice.add(tiles)
        self._n_seen += sum(bool(tile.seen) for tile in tiles)

    def write(self, title: str, classes: Sequence[str], spec: FeatureSpec, runtime: Runtime) -> int:
        """Write the gallery, and return the number of images in the gallery.

        Parameters
        ----------
        title : str
            Name of the model for display.
        classes : sequence of str
        spec : FeatureSpec
            Feature spec of the model, which states how images are decoded.
        runtime : Runtime
        """
        order = {name: number for number, name in enumerate(classes)}
        tiles = sorted(
            self._choice.tiles(),
            key=lambda tile: (_STATUSES.index(tile.status), order.get(tile.label, 0), tile.confidence or 0.0),
        )
        facts = self._facts(len(tiles))
        drawn = _with_thumbnails(tiles, self._limits.side, spec, runtime)
        if self._limits is _SHEET:
            cells = (_cell(tile, thumbnail) for tile, thumbnail in drawn)
            head = [title, *facts, "By class, lowest confidence first"]
            self._file.write_content(draw_contact_sheet(head, cells, len(tiles), self._limits.side))
        else:
            text = _page(title, facts, classes, self._choice.counts, tiles, drawn)
            self._file.write_content(text.encode())
        return len(tiles)

    def _facts(self, n_shown: int) -> list[str]:
        n, by_status = self._choice.n, Counter[str]()
        for (status, _), count in self._choice.counts.items():
            by_status[status] += count
        parts = [f"{by_status['ok']:,} predicted"]
        parts += [f"{by_status[status]:,} {status}" for status in _STATUSES[1:] if by_status[status]]
        facts = [f"{_images(n)}: {', '.join(parts)}"]
        if self._n_seen:
            facts.append(
                f"{self._n_seen:,} of them (marked seen) were used to fit this model; "
                "their probabilities are optimistic"
            )
        if n_shown < n:
            kinds = "the same number of each class, of rejected and of skipped images, or all if there are fewer"
            facts.append(f"{n_shown:,} of {n:,} images are shown: {kinds}; the choice is random but reproducible")
        return facts


def _images(n: int) -> str:
    return "1 image" if n == 1 else f"{n:,} images"


def _with_thumbnails(
    tiles: Sequence[Tile], side: int, spec: FeatureSpec, runtime: Runtime
) -> Iterator[tuple[Tile, Thumbnail]]:
    images = [image_at(tile.path) for tile in tiles]
    thumbnails = draw_thumbnails(images, side, runtime, white=spec.white, page=spec.page)
    for number, pair in enumerate(zip(tiles, thumbnails, strict=True), 1):
        yield pair
        runtime.progress("drawing thumbnails", number, len(tiles))


def _percent(tile: Tile) -> str:
    return "" if tile.confidence is None else f"{100 * tile.confidence:.0f} %"


def _cell(tile: Tile, thumbnail: Thumbnail) -> Cell:
    seen = "  seen" if tile.seen else ""
    if tile.status == "ok":
        heading, reason = f"{tile.label}  {_percent(tile)}{seen}", ""
    else:
        heading, reason = f"{tile.status}{seen}", tile.reason
    return Cell(thumbnail.pixels, heading, place_of(tile.path).name, reason, alarming=tile.status != "ok")


def _page(
    title: str,
    facts: Sequence[str],
    classes: Sequence[str],
    counts: Counter[tuple[str, str]],
    tiles: Sequence[Tile],
    drawn: Iterator[tuple[Tile, Thumbnail]],
) -> str:
    folder = _common_folder(tiles)
    numbers = {name: number for number, name in enumerate(classes)}
    shown = Counter(tile.kind for tile in tiles)
    labels = [(name, shown["ok", name], counts["ok", name]) for name in classes]
    others = [(status, shown[status, ""], counts[status, ""]) for status in _STATUSES[1:]]
    return render_page(
        "featx.galleries",
        "gallery",
        title=title,
        facts=facts,
        folder=folder,
        classes=[{"number": numbers[name], "name": name, "shown": n, "n": of} for name, n, of in labels if of],
        statuses=[{"name": name, "shown": n, "n": of} for name, n, of in others if of],
        n_ok=sum(tile.status == "ok" for tile in tiles),
        n_seen=sum(tile.seen is True for tile in tiles),
        n_new=sum(tile.seen is False for tile in tiles),
        tiles=[_entry(tile, thumbnail, folder, numbers) for tile, thumbnail in drawn],
    )


def _entry(tile: Tile, thumbnail: Thumbnail, folder: str | None, numbers: Mapping[str, int]) -> dict[str, Any]:
    pixels = thumbnail.pixels
    return {
        **asdict(tile),
        "name": tile.path if folder is None else os.path.relpath(tile.path, folder),
        "number": numbers.get(tile.label, ""),
        "percent": _percent(tile),
        "thumb": None if pixels is None else base64.b64encode(encode_thumbnail(pixels)).decode(),
    }


def _common_folder(tiles: Sequence[Tile]) -> str | None:
    """Return the common parent folder of all images; None if there is none, or if images have addresses."""
    if any("://" in tile.path for tile in tiles):
        return None
    try:
        return os.path.commonpath([os.path.dirname(tile.path) for tile in tiles]) or None
    except ValueError:  # both relative and absolute paths, several drives, or no image
        return None
