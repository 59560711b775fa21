"""Every kind of picture becomes the right upright RGB pixels, or a reason that a person understands."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from featx.errors import ImageError
from featx.images import decode, image_format, looks_like_image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).image)


def corners() -> Image.Image:
    """Return 24 x 16 pixels with a black corner top left and a red one top right, white elsewhere."""
    image = Image.new("RGB", (24, 16), WHITE)
    image.paste((0, 0, 0), (0, 0, 8, 8))
    image.paste(RED, (16, 0, 24, 8))
    return image


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "WEBP"])
def test_formats_by_content(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(pixels(encoded(corners(), kind, **options)), np.asarray(corners()))


def test_jpeg():
    assert np.abs(pixels(encoded(corners(), "JPEG", quality=95)).astype(int) - np.asarray(corners())).mean() < 4


# Stored pixels that show `corners()` once the orientation is applied: the inverse of each transposition.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_exif_orientation(kind, orientation):
    turn = STORED_AS[orientation]
    stored = corners() if turn is None else corners().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    shown = pixels(encoded(stored, kind, exif=exif, **options))
    assert shown.shape == (16, 24, 3)
    assert np.abs(shown.astype(int) - np.asarray(corners())).mean() < (4 if kind == "JPEG" else 1e-9)


def test_grey_one_bit_and_palette():
    grey = corners().convert("L")
    np.testing.assert_array_equal(pixels(encoded(grey, "PNG")), np.asarray(grey.convert("RGB")))
    bits = corners().convert("1", dither=Image.Dither.NONE)
    np.testing.assert_array_equal(pixels(encoded(bits, "PNG")), np.asarray(bits.convert("RGB")))
    np.testing.assert_array_equal(pixels(encoded(corners().quantize(4), "PNG")), np.asarray(corners()))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_is_put_over_white(mode):
    veil = corners().convert("RGBA")
    veil.putalpha(Image.new("L", veil.size, 255))
    veil.paste((0, 0, 0, 0), (0, 0, 8, 8))  # the black corner becomes transparent
    if mode == "P":
        data = encoded(veil.quantize(8), "PNG")
    elif mode == "PA":
        data = encoded(veil, "GIF")
    else:
        data = encoded(veil.convert(mode), "PNG")
    shown = pixels(data)
    assert shown[2, 2].tolist() == [255, 255, 255]
    assert shown[2, 20, 0] == (255 if mode != "LA" else 76)  # red, or its luminance


def test_half_transparent_over_white():
    data = encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG")
    assert pixels(data)[0, 0].tolist() == [127, 127, 127]


def test_transparent_colour_of_grey_and_rgb_png():
    assert pixels(encoded(Image.new("L", (8, 8), 9), "PNG", transparency=9))[0, 0].tolist() == [255] * 3
    assert (
        pixels(encoded(Image.new("RGB", (8, 8), (1, 2, 3)), "PNG", transparency=(1, 2, 3)))[0, 0].tolist() == [255] * 3
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_keeps_its_greys(kind):
    deep = Image.fromarray(np.array([[0, 257 * 10, 257 * 128, 65535]] * 4, np.uint16))
    assert pixels(encoded(deep, kind))[0, :, 0].tolist() == [0, 10, 128, 255]


def test_16_bit_transparent_colour():
    deep = Image.fromarray(np.array([[0, 1000, 65535, 1000]] * 4, np.uint16))
    assert pixels(encoded(deep, "PNG", transparency=1000))[0, :, 0].tolist() == [0, 255, 255, 255]


def test_cmyk_jpeg_of_adobe_is_inverted_right():
    data = encoded(Image.new("RGB", (32, 32), (200, 30, 40)).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(pixels(data)[16, 16].astype(int) - (200, 30, 40)).max() < 6


def test_float_tiff():
    assert pixels(encoded(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"))[0, 0].tolist() == [128] * 3
    with pytest.raises(ImageError, match="floating-point pixels outside 0 to 1"):
        decode(encoded(Image.fromarray(np.full((4, 4), 700.0, np.float32)), "TIFF"))
    with pytest.raises(ImageError, match="32-bit whole numbers have no agreed white"):
        decode(encoded(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF"))


def test_animation_gives_its_first_frame_and_says_so():
    frames = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in (250, 100, 50)]
    decoded = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=10))
    assert decoded.note == "first of 3 frames"
    assert decoded.image.getpixel((4, 4)) == (250, 0, 0)
    assert decode(encoded(frames[0], "GIF")).note == ""


def test_truncated_files():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8).astype(np.uint8))
    for kind in ("JPEG", "PNG", "BMP", "TIFF", "GIF", "WEBP"):
        data = encoded(noise, kind)
        with pytest.raises(ImageError, match=f"(truncated|damaged) {kind}"):
            decode(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"empty file \(0 bytes\)"),
        (b"<html>not found</html>", "not an image: the content is none of JPEG, PNG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "damaged JPEG"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC or AVIF picture, which featx does not read; export it"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000 picture"),
    ],
)
def test_reasons(data, message):
    with pytest.raises(ImageError, match=message):
        decode(data)


def test_more_pixels_than_allowed_are_not_decoded():
    data = encoded(Image.new("1", (400, 300)), "PNG")
    assert decode(data, max_pixels=120_000).image.size == (400, 300)
    with pytest.raises(ImageError, match="400 x 300 is more than 119,999 pixels"):
        decode(data, max_pixels=119_999)


def test_broken_exif_of_a_whole_picture_is_noted():
    data = encoded(corners(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    decoded = decode(data)
    assert decoded.image.size == (24, 16)


def test_what_counts_as_an_image():
    png = encoded(corners(), "PNG")[:16]
    assert image_format(png) == "PNG"
    assert looks_like_image("no-ending", png)
    assert looks_like_image("broken.jpg", b"")
    assert not looks_like_image("notes.txt", b"BM is how this text begins, by chance")
    assert not looks_like_image("notes.txt", b"hello")
