"""Read the camera and the day from EXIF data."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from featx.images import read_origin


def photograph(format_name: str = "JPEG", **tags: str) -> bytes:
    """Return a small image with the EXIF tags make, model, serial, taken, digitized and changed."""
    exif = Image.Exif()
    for name, tag in {"make": 0x010F, "model": 0x0110, "changed": 0x0132}.items():
        if name in tags:
            exif[tag] = tags[name]
    details = exif.get_ifd(0x8769)
    for name, tag in {"taken": 0x9003, "digitized": 0x9004, "serial": 0xA431}.items():
        if name in tags:
            details[tag] = tags[name]
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 50, 40)).save(stream, format_name, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("tags", "camera", "day"),
    [
        ({"make": "Canon", "model": "EOS 5D", "taken": "2024:01:05 10:11:12"}, "Canon EOS 5D", "2024-01-05"),
        ({"make": "NIKON", "model": "NIKON D750", "serial": "60012"}, "NIKON D750 60012", ""),
        ({"digitized": "1999:12:31 00:00:00", "changed": "2020:01:01 00:00:00"}, "", "1999-12-31"),
        ({"changed": "2020:01:01 00:00:00"}, "", ""),
        ({"model": "x\x1b[31m\ny", "taken": "0000:00:00 00:00:00"}, "x [31m y", ""),
    ],
)
def test_camera_and_day(tags, camera, day):
    assert read_origin(photograph(**tags)) == (camera, day)


def test_images_without_origin():
    assert read_origin(photograph("PNG", model="EOS")) == ("", "")
    assert read_origin(b"") == ("", "")
    plain = io.BytesIO()
    Image.new("RGB", (16, 16)).save(plain, "JPEG")
    assert read_origin(plain.getvalue()) == ("", "")


def test_damaged_exif_data():
    data = photograph(make="Canon", model="EOS 5D", taken="2024:01:05 10:11:12")
    for at in range(2, 300):
        for value in (0, 255):
            broken = data[:at] + bytes([value]) + data[at + 1 :]
            assert all(isinstance(text, str) for text in read_origin(broken))
        assert all(isinstance(text, str) for text in read_origin(data[:at]))
