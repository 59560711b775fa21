"""Thumbnails are in order, upright and in the shape of the image; failures have a reason."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image

from featx.images import draw_thumbnails, encode_thumbnail
from featx.source import image_at


def test_thumbnails_are_in_order_and_failures_have_a_reason(tmp_path):
    paths = []
    for i in range(30):
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB", (200, 100), (8 * i, 0, 0)).save(paths[-1])
    paths[3].write_bytes(paths[3].read_bytes()[:-60])
    paths[4].unlink()
    thumbnails = list(draw_thumbnails(map(image_at, paths), 50, workers=3))
    reds = [None if thumbnail.pixels is None else int(thumbnail.pixels[10, 10, 0]) for thumbnail in thumbnails]
    assert reds == [0, 8, 16, None, None, *(8 * i for i in range(5, 30))]
    assert thumbnails[0].pixels.shape == (25, 50, 3)
    assert thumbnails[0].content_hash == hashlib.sha256(paths[0].read_bytes()).digest()
    assert thumbnails[3].reason.startswith("truncated PNG")
    assert thumbnails[4].reason == "cannot be read: No such file or directory"
    assert thumbnails[4].content_hash == b""


def test_orientation_page_and_white_are_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40), (200, 0, 0)).save(tmp_path / "turned.jpg", exif=exif)
    pages = [Image.fromarray(np.full((20, 20), value, np.uint16)) for value in (100, 2000)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    (turned,) = draw_thumbnails([image_at(tmp_path / "turned.jpg")], 40)
    assert turned.pixels.shape == (40, 20, 3)
    (second,) = draw_thumbnails([image_at(tmp_path / "pages.tif")], 40, white=4000, page=2)
    assert 126 <= second.pixels.mean() <= 129
    (large,) = draw_thumbnails([image_at(tmp_path / "turned.jpg")], 40, max_pixels=3000)
    assert large.reason == "80 x 40 is more than 3,000 pixels; increase `max_pixels` to read the image"


def test_an_encoded_thumbnail_is_a_jpeg_of_the_same_size():
    pixels = np.full((30, 50, 3), (10, 120, 240), np.uint8)
    with Image.open(io.BytesIO(encode_thumbnail(pixels))) as image:
        assert (image.format, image.size) == ("JPEG", (50, 30))
        assert np.abs(np.asarray(image).astype(int) - pixels).max() < 8
