"""Write a contact sheet of images of each class and their augmented views, as the backbone receives them."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest

import numpy as np
from numpy.typing import NDArray

from featx.augmentation import make_views
from featx.errors import DatasetError
from featx.galleries import draw_preview
from featx.lookup import as_hashes
from featx.output import OutputFile
from featx.readers import Task, read_images
from featx.runtime import Runtime
from featx.source import ImageFile
from featx.spec import FeatureSpec

_ROWS = 8
_VIEWS = 8


def write_preview(
    output: OutputFile, images: Sequence[ImageFile], spec: FeatureSpec, views: int, runtime: Runtime
) -> None:
    """Write the first images of each class as a contact sheet, with exactly the pixels that the backbone receives.

    Parameters
    ----------
    output : OutputFile
    images : sequence of ImageFile
    spec : FeatureSpec
        Feature spec. It contains ``augment`` if ``views`` is above 0.
    views : int
        Number of views of each image. At most eight views are drawn, in addition to the image itself.
    runtime : Runtime

    Raises
    ------
    DatasetError
        If no image can be decoded.
    OutputError
        If the file cannot be written.
    """
    with contextlib.closing(
        read_images(Task.for_spec(spec, runtime.max_pixels), list(_by_turns(images)), runtime)
    ) as read:
        usable = ((reading, reading.prepared.pixels) for reading in read if reading.prepared is not None)
        chosen = list(islice(usable, _ROWS))
    if not chosen:
        raise DatasetError("no preview is written, because no image can be decoded")
    names = [reading.image.sample.sample_id for reading, _ in chosen]
    pixels = np.stack([one for _, one in chosen])
    columns: list[NDArray[np.uint8]] = [pixels]
    hashes = as_hashes(reading.state.content_hash for reading, _ in chosen)
    for view in range(1, min(views, _VIEWS) + 1):
        columns.append(make_views(pixels, hashes, view, spec.augment or "", spec.augment_seed))
    rows = [
        [(column[i], f"view {view}" if view else name) for view, column in enumerate(columns)]
        for i, name in enumerate(names)
    ]
    output.write_content(draw_preview(rows))


def _by_turns(images: Sequence[ImageFile]) -> Iterator[ImageFile]:
    """Yield one image of each class in turn, from the training part, or from all images if there is none."""
    training = [image for image in images if image.sample.is_training] or images
    classes: dict[str | None, list[ImageFile]] = defaultdict(list)
    for image in training:
        classes[image.sample.label].append(image)
    for row in zip_longest(*classes.values()):
        yield from (image for image in row if image is not None)
