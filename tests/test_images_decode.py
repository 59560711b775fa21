"""Images of every format are decoded to the correct upright RGB pixels, or a clear reason is given."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from featx.errors import ImageError
from featx.images import brightest, decode, image_format, looks_like_image, may_be_deep

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).image)


def corners() -> Image.Image:
    """Return 24 x 16 pixels with a black top left corner, a red top right corner, white elsewhere."""
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
    with pytest.raises(
        ImageError,
        match="floating-point values above 1 have no standard value of white; set `white=N` in extract or fit",
    ):
        decode(encoded(Image.fromarray(np.full((4, 4), 700.0, np.float32)), "TIFF"))
    with pytest.raises(ImageError, match="32-bit signed integers have no standard value of white; set `white=N`"):
        decode(encoded(Image.fromarray(np.full((4, 4), 70000, np.int32)), "TIFF"))


def test_first_frame_of_an_animation_with_a_note():
    frames = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in (250, 100, 50)]
    decoded = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=10))
    assert decoded.note == "first of 3 frames"
    assert decoded.image.getpixel((4, 4)) == (250, 0, 0)
    assert decode(encoded(frames[0], "GIF")).note == ""


def test_page_option():
    frames = [Image.new("RGB", (8, 8), (number, 0, 0)) for number in (250, 100, 50)]
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        second = decode(data, page=2)
        assert second.image.getpixel((4, 4)) == (100, 0, 0)
        assert second.note == "page 2 of 3"
        with pytest.raises(ImageError, match="`page=4`, but the image has 3 pages"):
            decode(data, page=4)
    with pytest.raises(ImageError, match="`page=2`, but the image has 1 page"):
        decode(encoded(frames[0], "PNG"), page=2)


def test_pages_are_counted_up_to_a_limit():
    page = encoded(Image.new("L", (8, 8), 90), "TIFF")
    first = struct.unpack_from("<I", page, 4)[0]
    n_entries = struct.unpack_from("<H", page, first)[0]
    link = first + 2 + 12 * n_entries
    ifd = page[first:link]
    pages = page[:link]
    for _ in range(3_000):
        pages += struct.pack("<I", len(pages) + 4) + ifd
    for data, note in ((pages + bytes(4), "first of more than 1,000 frames"), (page, "")):
        assert decode(data).note == note
    assert decode(pages + bytes(4), page=2_000).note == "page 2000 of more than 1,000"
    with pytest.raises(ImageError, match="the image has 3001 pages"):
        decode(pages + bytes(4), page=9_000)
    circle = page[:link] + struct.pack("<I", first) + page[link + 4 :]
    assert decode(circle).note == ""
    gif = encoded(Image.new("P", (16, 16), 1), "GIF")
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
    assert decode(gif[:-1] + frame * 5_000 + b"\x3b").note == "first of more than 1,000 frames"
    assert decode(gif[:-1] + frame * 998 + b"\x3b").note == "first of 999 frames"
    assert decode(gif[:-1] + bytes(2_000_000) + b"\x3b").note == ""


def test_white_of_deep_images():
    deep = Image.fromarray(np.array([[0, 1023, 2047, 4095, 60000]] * 4, np.uint16))
    for kind in ("PNG", "TIFF"):
        shown = np.asarray(decode(encoded(deep, kind), white=4095).image)
        assert shown[0, :, 0].tolist() == [0, 64, 127, 255, 255]
    tagged = encoded(deep, "TIFF", tiffinfo={281: 4095})
    assert pixels(tagged)[0, :, 0].tolist() == [0, 64, 127, 255, 255]
    assert np.asarray(decode(tagged, white=65535).image)[0, 3, 0] == 15
    whole = encoded(Image.fromarray(np.array([[0, 1000, 2000]] * 3, np.int32)), "TIFF")
    assert np.asarray(decode(whole, white=2000).image)[0, :, 0].tolist() == [0, 128, 255]
    real = encoded(Image.fromarray(np.array([[0, 50, 200]] * 3, np.float32)), "TIFF")
    assert np.asarray(decode(real, white=100).image)[0, :, 0].tolist() == [0, 128, 255]
    colour = deep_rgb_png(np.full((4, 4, 3), 4000, np.uint16))
    assert pixels(colour)[0, 0].tolist() == [15, 15, 15]
    with pytest.raises(
        ImageError, match="`white` applies only to grey images, and in 16-bit colour images white is 65,535"
    ):
        decode(colour, white=4095)


def tiff(values: np.ndarray, photometric: int = 1, order: str = "<") -> bytes:
    """Return an uncompressed grey TIFF of any number type."""
    values = np.ascontiguousarray(values, values.dtype.newbyteorder(order))
    height, width = values.shape
    numbers = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = {256: width, 257: height, 258: 8 * values.itemsize, 259: 1, 262: photometric, 273: 160, 277: 1, 278: height}
    tags |= {279: values.nbytes} | ({339: numbers} if numbers > 1 else {})
    entries = b"".join(struct.pack(f"{order}HHLL", tag, 4, 1, value) for tag, value in tags.items())
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}LH", 8, len(tags))
    return (head + entries).ljust(160, b"\0") + values.tobytes()


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("white", [None, 100])
def test_negative_values_are_an_error(kind, white):
    values = np.array([[0, 50, 100]] * 3, kind)
    values[1, 1] = -1
    with pytest.raises(
        ImageError, match=r"^contains negative values; shift them so that black is 0 \(`white` does not do this\)"
    ):
        decode(tiff(values), white=white)
    values[1, 1] = 0
    expected = [0, 50, 100] if kind is np.int8 else [0, 128, 255]
    assert np.asarray(decode(tiff(values), white=100).image)[0, :, 0].tolist() == expected


def test_reasons_for_undefined_values():
    for given, message in (
        (np.int16(700), "16-bit signed integers have no standard value of white; set `white=N` in extract or fit"),
        (np.uint32(700), "32-bit integers have no standard value of white; set `white=N` in extract or fit"),
        (np.float32(700), "floating-point values above 1 have no standard value of white; set `white=N` in extract"),
        (np.float32(np.nan), r"contains NaN \(no data\); replace NaN with a value"),
        (np.float32(np.inf), "contains infinite values; replace them"),
        (np.float64(0.5), "a TIFF with 64-bit floating-point values, which featx does not read"),
    ):
        with pytest.raises(ImageError, match=message):
            decode(tiff(np.full((4, 4), given)))
    for given in (np.nan, np.inf, -1):
        with pytest.raises(ImageError) as raised:
            decode(tiff(np.full((4, 4), given, np.float32)), white=255)
        assert "set `white" not in str(raised.value)
    with pytest.raises(ImageError, match="16-bit big-endian unsigned integers where 0 is white, which featx does not"):
        decode(tiff(np.ones((4, 4), np.uint16), 0, ">"))


def test_32_bit_values_are_not_truncated():
    values = np.array([[0, 70_000, 2**31, 2**32 - 1]] * 3, np.uint32)
    assert np.asarray(decode(tiff(values), white=2**32 - 1).image)[0, :, 0].tolist() == [0, 0, 128, 255]
    assert np.asarray(decode(tiff(values), white=65_535).image)[0, :, 0].tolist() == [0, 255, 255, 255]


def test_where_zero_is_white():
    grey = np.array([[0, 10, 128, 255]] * 3, np.uint8)
    deep = grey.astype(np.uint16) * 257
    for data in (tiff(255 - grey, 0), tiff(65_535 - deep, 0), tiff(1 - grey / np.float32(255), 0), tiff(deep)):
        np.testing.assert_array_equal(pixels(data)[:, :, 0], grey)
    packed = encoded(Image.fromarray(65_535 - deep), "TIFF", compression="tiff_lzw", tiffinfo={262: 0})
    np.testing.assert_array_equal(pixels(packed)[:, :, 0], grey)
    camera = np.array([[4095, 2047, 0]] * 3, np.uint16)
    assert np.asarray(decode(tiff(camera, 0), white=4095).image)[0, :, 0].tolist() == [0, 128, 255]


def test_netpbm():
    grey, colour = corners().convert("L"), corners()
    values = " ".join(map(str, np.asarray(colour).ravel()))
    for data in (encoded(colour, "PPM"), f"P3\n# made by hand\n24 16\n255\n{values}".encode()):
        np.testing.assert_array_equal(pixels(data), np.asarray(colour))
    np.testing.assert_array_equal(pixels(encoded(grey, "PPM"))[:, :, 0], np.asarray(grey))
    bits = grey.convert("1", dither=Image.Dither.NONE)
    np.testing.assert_array_equal(pixels(encoded(bits, "PPM")), np.asarray(bits.convert("RGB")))
    assert pixels(encoded(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "PPM"))[0, 0].tolist() == [128] * 3
    with pytest.raises(ImageError, match="(truncated|damaged) PNM"):
        decode(encoded(colour, "PPM")[:400])


@pytest.mark.parametrize("maxval", [255, 4095, 65_535])
def test_white_of_pgm(maxval):
    kind = ">u2" if maxval > 255 else "u1"
    values = np.round(np.array([[0, 0.25, 0.5, 1]] * 4) * maxval).astype(kind)
    data = b"P5\n# from a microscope\n4 4\n%d\n" % maxval + values.tobytes()
    assert np.abs(pixels(data)[0, :, 0].astype(int) - [0, 64, 127, 255]).max() <= 1
    known = brightest(data)
    assert may_be_deep(io.BytesIO(data)) == (maxval > 255)
    if maxval > 255:
        assert (known.value, known.white, known.is_grey) == (maxval, maxval, True)
        half = np.asarray(decode(data, white=round(maxval / 2)).image)[0, :, 0].astype(int)
        assert np.abs(half - [0, 128, 255, 255]).max() <= 1


def test_qoi_and_tga():
    for kind, options in (("QOI", {}), ("TGA", {}), ("TGA", {"compression": "tga_rle"})):
        np.testing.assert_array_equal(pixels(encoded(corners(), kind, **options)), np.asarray(corners()))
    for image in (corners().convert("L"), corners().quantize(4)):
        np.testing.assert_array_equal(pixels(encoded(image, "TGA")), np.asarray(image.convert("RGB")))
    clear = corners().convert("RGBA")
    clear.putalpha(0)
    data = bytearray(encoded(clear, "TGA"))
    assert data[17] & 15 in (0, 8)
    data[17] |= 8
    assert (pixels(bytes(data)) == 255).all()
    data[17] &= ~15  # the header declares no opacity bits
    np.testing.assert_array_equal(pixels(bytes(data)), np.asarray(corners()))
    for broken in (bytes(data[:500]), bytes(len(data)), b"\0" + bytes(data)):
        with pytest.raises(ImageError, match="not an image: the content has none of the formats"):
            decode(broken)


@pytest.mark.parametrize("at", [33, -12])
@pytest.mark.parametrize(
    "text",
    [
        (b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1_500_000))),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(1_500_000))),
        (b"tEXt", b"long\0" + b"x" * 70_000_000),
    ],
)
def test_a_png_with_much_text(at, text):
    whole = encoded(corners(), "PNG")
    data = whole[:at] + chunk(*text) + whole[at:]
    np.testing.assert_array_equal(pixels(data), np.asarray(corners()))
    damaged = bytearray(data)
    damaged[whole.index(b"IDAT") + (len(data) - len(whole) if at > 0 else 0) + 10] ^= 255
    with pytest.raises(ImageError, match="damaged PNG"):
        decode(bytes(damaged))


def test_orientation_and_profile_of_a_png_with_much_text():
    red = Image.new("RGB", (32, 16), (250, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    long = swapped_profile() + bytes(1_100_000)
    data = encoded(red, "PNG", icc_profile=long, exif=exif)
    shown = pixels(data[:33] + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_500_000))) + data[33:])
    assert shown.shape == (32, 16, 3)
    assert np.abs(shown.astype(int) - (10, 10, 250)).max() < 6
    plain = encoded(red, "PNG")
    broken = plain[:33] + chunk(b"tEXt", b"a\0b")[:-4] + b"oops" + plain[33:]
    np.testing.assert_array_equal(pixels(broken), np.asarray(red))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, colour: int, rows: bytes, bits: int = 8, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_rgb_png(values: np.ndarray) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(values.shape[1], values.shape[0], 2, rows, bits=16)


def test_a_png_with_missing_rows_is_not_filled_with_black():
    rows = [b"\0" + bytes([200] * 24)] * 8
    assert (pixels(png(8, 8, 2, b"".join(rows))) == 200).all()
    with pytest.raises(ImageError, match="truncated or damaged PNG: part of the image is missing"):
        decode(png(8, 8, 2, b"".join(rows[:5])))
    rows[-1] = bytes(25)  # a black last row is not a missing row
    assert (pixels(png(8, 8, 2, b"".join(rows)))[-1] == 0).all()
    clear = [b"\0" + bytes(32)] * 8  # nothing but transparency
    assert (pixels(png(8, 8, 6, b"".join(clear))) == 255).all()
    with pytest.raises(ImageError, match="part of the image is missing"):
        decode(png(8, 8, 6, b"".join(clear[:7])))


def test_a_short_interlaced_png():
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]  # columns and rows of 8 x 8, pass by pass
    rows = [b"\0" + bytes([200] * columns) for columns, n in passes for _ in range(n)]
    assert (pixels(png(8, 8, 0, b"".join(rows), interlaced=1)) == 200).all()
    with pytest.raises(ImageError, match="part of the image is missing"):
        decode(png(8, 8, 0, b"".join(rows[:-1]), interlaced=1))


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_with_missing_data_is_not_filled_with_grey(progressive):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8).astype(np.uint8))
    for image in (noise, noise.convert("L"), noise.convert("CMYK")):
        data = encoded(image, "JPEG", progressive=progressive)
        decode(data)
        with pytest.raises(ImageError, match="truncated or damaged JPEG: part of the image is missing"):
            decode(data[: len(data) // 2] + b"\xff\xd9")


def test_avif_and_heic(monkeypatch):
    colour = Image.new("RGB", (64, 48), (200, 40, 90))
    assert np.abs(pixels(encoded(colour, "AVIF", quality=95)).astype(int) - (200, 40, 90)).max() < 8
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    turned = Image.Exif()
    turned[0x0112] = 6
    pillow_heif.from_pillow(colour).save(stream, quality=95, exif=turned.tobytes())
    shown = pixels(stream.getvalue())
    assert np.abs(shown.astype(int) - (200, 40, 90)).max() < 8
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        ImageError, match=r'a HEIC image; to read it, install the extra heif: pip install "featx\[heif\]"'
    ):
        decode(stream.getvalue())


def lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def swapped_profile() -> bytes:
    """Return an RGB profile with red and blue exchanged, so that its effect is obvious."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    at = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, blue = (profile[at[tag] + 4 : at[tag] + 12] for tag in (b"rXYZ", b"bXYZ"))
    profile[at[b"rXYZ"] + 4 : at[b"rXYZ"] + 12], profile[at[b"bXYZ"] + 4 : at[b"bXYZ"] + 12] = blue, red
    return bytes(profile)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_colour_profile_is_applied(kind):
    red = Image.new("RGB", (32, 32), (250, 10, 10))
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    shown = pixels(encoded(red, kind, icc_profile=swapped_profile(), **options))
    assert np.abs(shown.astype(int) - (10, 10, 250)).max() < 6
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(
        pixels(encoded(red, kind, icc_profile=plain, **options)), pixels(encoded(red, kind, **options))
    )
    for broken in (b"no profile", lab_profile()):
        decoded = decode(encoded(red, kind, icc_profile=broken, **options))
        assert decoded.note == "unusable colour profile, sRGB assumed"
        assert np.abs(np.asarray(decoded.image).astype(int) - (250, 10, 10)).max() < 6


def test_a_transparent_image_with_a_colour_profile():
    veil = Image.new("RGBA", (8, 8), (250, 10, 10, 255))
    veil.putpixel((0, 0), (0, 0, 0, 0))
    shown = pixels(encoded(veil, "PNG", icc_profile=swapped_profile()))
    assert shown[0, 0].tolist() == [255, 255, 255]
    assert np.abs(shown[4, 4].astype(int) - (10, 10, 250)).max() < 6


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
        (b"not found", "not an image: the content has none of the formats JPEG, PNG"),
        (b"\r\n<!DOCTYPE html>\n<title>404", "not an image but a web page, perhaps from a failed download; .* again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "not an image but a Git LFS pointer; run git lfs pull to fetch",
        ),
        (b"/annex/objects/MD5-s1--0.jpg\n", "not an image but a git-annex pointer; run git annex get to fetch"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "damaged JPEG"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "damaged HEIC"),
        (b"\0\0\0\x18ftypavif" + bytes(40), "damaged AVIF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000 image"),
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


def test_broken_exif_of_a_whole_image_is_noted():
    data = encoded(corners(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    decoded = decode(data)
    assert decoded.image.size == (24, 16)


def test_recognition_of_image_files():
    png = encoded(corners(), "PNG")[:16]
    assert image_format(png) == "PNG"
    assert looks_like_image("no-ending", png)
    assert looks_like_image("broken.jpg", b"")
    assert not looks_like_image("notes.txt", b"BM is how this text begins, by chance")
    assert not looks_like_image("notes.txt", b"hello")
    for text in (b"P1 12 13\n", b"P5 is a plate", b"Pf 1", b"P3, P4", b"P7\n1 2"):
        assert image_format(text) is None
    for head in (b"P5 640 480 255\n", b"P2\n# a comment\n", b"P6\n3 4\n", b"P4\n8 8\n"):
        assert image_format(head) == "PNM"
