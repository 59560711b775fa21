"""Files of unusual structure give the same pixels or the same reason in a reader; reading their metadata is bounded."""

from __future__ import annotations

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_images_decode import chunk, encoded

from featx.errors import ImageError
from featx.images import decode, prepare, read_origin
from featx.images.complete import _n_inflated
from featx.images.tiff import Tiff
from featx.readers import Task, read_images
from featx.runtime import Runtime
from featx.source import image_at

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(side: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8).astype(np.uint8))


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content


def with_segments(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    return data[:33] + b"".join(chunks) + data[33:]


def exif(n: int, kind: int = 7, count: int = 60_000) -> bytes:
    """Return EXIF data of one directory whose entries all refer to the same bytes."""
    entries = b"".join(struct.pack("<HHLL", 0x9000 + i, kind, count, 8) for i in range(n))
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", n) + entries + bytes(65_000 - 18 - len(entries))


def camera_jpeg(**options) -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "Maker", 1
    tags.get_ifd(0x8769)[0x927C] = bytes(40_000)  # a maker note
    return encoded(noise(), "JPEG", exif=tags, icc_profile=PROFILE, **options)


JPEG, PNG = encoded(noise(), "JPEG"), encoded(noise(), "PNG")

ORDINARY = {
    "jpeg": JPEG,
    "grey jpeg": encoded(noise().convert("L"), "JPEG"),
    "progressive jpeg": encoded(noise(), "JPEG", progressive=True),
    "a camera's jpeg": camera_jpeg(),
    "an editor's jpeg": with_segments(
        camera_jpeg(comment="made by hand"),
        segment(0xED, b"Photoshop 3.0\0" + bytes(60_000)),
        *[segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(60_000))] * 30,
    ),
    "a jpeg with a video behind it": JPEG + b"\xff\xda\x00\x08" * 900_000,
    "a jpeg with bytes before a marker": JPEG[:2] + b"\xff\xff" + JPEG[2:],
    "png": PNG,
    "16-bit png": encoded(Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)), "PNG"),
    "a png with everything": encoded(noise(), "PNG", icc_profile=PROFILE, exif=Image.Exif(), dpi=(72, 72)),
    "a png with text": with_chunks(PNG, *[chunk(b"tEXt", b"Comment\0" + bytes([65]) * 900)] * 50),
}

UNUSUAL = {
    "thousands of segments": with_segments(JPEG, *[segment(0xE2, b"")] * 300),
    "much metadata": with_segments(JPEG, *[segment(0xE5, bytes(65_000))] * 70),
    "exif in two parts": with_segments(JPEG, *[segment(0xE1, b"Exif\0\0II*\0")] * 2),
    "exif that claims much": with_segments(JPEG, segment(0xE1, exif(5_000))),
    "an index that claims much": with_segments(JPEG, segment(0xE2, b"MPF\0" + exif(5_000)[6:65_000])),
    "many scans": JPEG[:-2] + JPEG[JPEG.index(b"\xff\xda") : -2] * 100_000 + JPEG[-2:],
    "a long profile": encoded(noise(), "JPEG", icc_profile=PROFILE + bytes(1_100_000)),
    "a profile of many steps": encoded(noise(), "JPEG", icc_profile=PROFILE + b"mpet"),
    "cmyk": encoded(noise().convert("CMYK"), "JPEG"),
    "bytes between segments": JPEG[:20] + bytes(9) + JPEG[20:],
    "a jpeg without an end": JPEG[: JPEG.index(b"\xff\xda")],
    "two frames": with_segments(JPEG, JPEG[JPEG.index(b"\xff\xc0") : JPEG.index(b"\xff\xc4")]),
    "thousands of chunks": with_chunks(PNG, *[chunk(b"prVt", b"")] * 300),
    "much text": with_chunks(PNG, *[chunk(b"tEXt", b"a\0" + bytes(900_000))] * 5),
    "hidden exif": with_chunks(PNG, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"x"))),
    "a png whose exif claims much": with_chunks(PNG, chunk(b"eXIf", exif(5_000)[6:])),
    "a png with a profile of many steps": with_chunks(PNG, chunk(b"iCCP", b"p\0\0" + zlib.compress(b"mpet" * 9))),
    "a png whose profile is a bomb": with_chunks(PNG, chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(9_000_000)))),
    "an animated png": encoded(noise(), "PNG", save_all=True, append_images=[noise().rotate(90)]),
    "a png without an end": PNG[:-12],
    "a large png": encoded(Image.new("1", (5000, 4000)), "PNG"),
    "tiff": encoded(noise(), "TIFF"),
    "gif": encoded(noise(), "GIF"),
    "webp": encoded(noise(), "WEBP"),
    "bmp": encoded(noise(), "BMP"),
    "ppm": encoded(noise(), "PPM"),
    "tga": encoded(noise(), "TGA"),
    "qoi": encoded(noise(), "QOI"),
}


def test_readers_give_the_same_pixels_or_the_same_reason(tmp_path):
    contents = [
        *ORDINARY.values(),
        *UNUSUAL.values(),
        *(PNG[: len(PNG) // 2], JPEG[: len(JPEG) // 2], b"\xff\xd8\xff\xe0" + bytes(40), PNG[:20]),
    ]
    images = []
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.img").write_bytes(content)
        images.append(image_at(tmp_path / f"{number}.img"))
    readings = read_images(Task("decode", 32, "squash"), images, Runtime(tmp_path / "cache"))
    n_skipped = 0
    for content, reading in zip(contents, readings, strict=True):
        if reading.prepared is None:
            n_skipped += 1
            with pytest.raises(ImageError) as straight:
                prepare(content, 32, "squash")
            assert reading.state.reason == str(straight.value)
        else:
            expected = prepare(content, 32, "squash")
            np.testing.assert_array_equal(reading.prepared.pixels, expected.pixels)
            assert reading.prepared.note == expected.note
    assert n_skipped >= 4


def test_pixel_data_beyond_an_image_is_not_decompressed():
    body = zlib.compress(bytes(64 * 193) + bytes(100_000_000))
    header = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    assert decode(data).image.getbbox() is None  # black up to the last row
    assert 64 * 193 <= _n_inflated(data, 64 * 193) < 3_000_000


def test_reading_the_origin_is_bounded():
    started = time.process_time()
    read_origin(JPEG[:2] + segment(0xE2, b"") * 8_000_000 + JPEG[2:])
    assert time.process_time() - started < 5


def test_origin_from_a_directory_that_refers_to_much_data():
    started = time.process_time()
    assert read_origin(with_segments(JPEG, segment(0xE1, exif(5_000, kind=2)))) == ("", "")
    assert time.process_time() - started < 1


def test_truncated_directories_and_invalid_positions():
    whole = io.BytesIO()
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "A maker with a long name", "M1"
    noise().save(whole, "JPEG", exif=tags)
    data = whole.getvalue()
    assert read_origin(data).camera == "A maker with a long name M1"
    for length in range(20, 140, 7):
        read_origin(data[:length])
    with pytest.raises(ValueError, match="not a TIFF file"):
        Tiff.of(b"II")
    tiff = Tiff.of(b"II*\0\xff\xff\xff\xff")
    assert tiff.entries(tiff.first) == []
    assert tiff.after(tiff.first) == 0
