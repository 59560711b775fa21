"""Which files are images, and of which format: by their first bytes."""

from __future__ import annotations

from pathlib import PurePosixPath

_EXTENSIONS = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp",
    ".heic", ".heif", ".avif", ".jp2", ".mpo", ".apng",
}  # fmt: skip
_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def image_format(head: bytes) -> str | None:
    """Name the image format that a file's first 16 bytes announce, or None.

    Besides the formats that are decoded it knows ``JPEG 2000``, to give a better reason.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith(b"BM") and (len(head) < 10 or head[6:10] == b"\0\0\0\0"):
        return "BMP"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in _AVIF:
        return "AVIF"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return "HEIC"
    if head.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")):
        return "JPEG 2000"
    return None


def looks_like_image(name: str, head: bytes) -> bool:
    """Tell whether a file counts as an image: by its first bytes, or by a name that promises one."""
    return image_format(head) is not None or PurePosixPath(name).suffix.lower() in _EXTENSIONS
