"""Format of ZIP archives: the central directory, and the content of members.

Source: PKWARE, APPNOTE.TXT - .ZIP File Format Specification, version 6.3.10.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import numpy as np

from featx.source.blob import Blob, Window
from featx.source.flat import clean_name
from featx.source.members import ArchiveMember, DamagedArchiveError, member_error

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64_BYTES = 20
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL = struct.Struct("<4s2B4HL2L2H")
_LONGEST_COMMENT = 65_535
_PIECE = 1 << 20
_UTF8, _ENCRYPTED = 0x800, 0x2041
"""Flags: the name is UTF-8; the member, or the directory, is encrypted."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_IN_EXTRA = 0xFFFFFFFF
_UNIX = 3


def zip_members(blob: Blob) -> Iterator[ArchiveMember]:
    """Yield the members of a ZIP archive, without folders, in the order of the central directory.

    A member whose content overlaps that of another member has a reason to be skipped: such archives are bombs.

    Raises
    ------
    DamagedArchiveError
        If the directory is missing or damaged.
    """
    start, size, n, shift = _directory(blob)
    overlapping = _overlapping(blob, start, size, n, shift)
    for number, member in enumerate(_records(blob, start, size, n, shift)):
        if member.name or member.reason:
            if not member.reason and number in overlapping:
                member = member._replace(reason="its bytes are also those of another file of the archive")
            yield member


def zip_member_at(blob: Blob, position: int) -> ArchiveMember:
    """Return the member whose record in the central directory begins at a position.

    Raises
    ------
    DamagedArchiveError
        If there is no record.
    """
    _, _, _, shift = _directory(blob)
    return next(_records(blob, position, blob.size - position, 1, shift))


def open_zip_member(blob: Blob, member: ArchiveMember) -> BinaryIO:
    """Return the content of a member as a seekable file, which closes the blob.

    Raises
    ------
    OSError
        If the header of the member is damaged.
    """
    header = blob.read_at(member.start, _LOCAL.size)
    fields = _LOCAL.unpack(header) if len(header) == _LOCAL.size else (b"",)
    if fields[0] != b"PK\3\4":
        raise member_error("its header is damaged")
    n_name, n_extra = fields[-2:]
    raw = blob.read_at(member.start + _LOCAL.size, n_name)
    if raw != member.raw_name:
        raise member_error("its name differs from the name in the directory of the archive")
    info = zipfile.ZipInfo("member")
    info.CRC, info.compress_size, info.file_size = member.crc, member.stored_size, member.size
    info.compress_type = member.method
    window = Window(blob, member.start + _LOCAL.size + n_name + n_extra, member.stored_size)
    return cast(BinaryIO, _Unpacked(window, info))


class _Unpacked(io.RawIOBase):
    """The content of a member; errors of the decompression are reported as errors of reading."""

    def __init__(self, window: Window, info: zipfile.ZipInfo) -> None:
        self._window = window
        self._content = zipfile.ZipExtFile(cast(Any, io.BufferedReader(window)), "r", info)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._content.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._checked(lambda: self._content.seek(offset, whence)))

    def read(self, size: int | None = -1) -> bytes:
        return bytes(self._checked(lambda: self._content.read(size)))

    def _checked(self, call: Any) -> Any:
        try:
            return call()
        except (zipfile.BadZipFile, EOFError, zlib.error, ValueError, NotImplementedError) as error:
            raise member_error(str(error)[:100] or "it ends too early") from None
        except (OSError, MemoryError):
            raise
        except Exception as error:  # lzma.LZMAError
            raise member_error(str(error)[:100]) from None

    def close(self) -> None:
        self._window.close()
        super().close()


def _directory(blob: Blob) -> tuple[int, int, int, int]:
    """Return start, size and number of records of the central directory, and the number of bytes before the archive."""
    shortest = _END.size + _LOCATOR64_BYTES + _END64.size
    tail_start = max(0, blob.size - shortest)
    tail = blob.read_at(tail_start, shortest)
    if tail[-_END.size :][:4] != b"PK\5\6":  # the archive has a comment
        tail_start = max(0, blob.size - _LONGEST_COMMENT - shortest)
        tail = blob.read_at(tail_start, blob.size - tail_start)
    at = tail.rfind(b"PK\5\6")
    while at >= 0 and (len(tail) - at < _END.size or at + _END.size + _END.unpack_from(tail, at)[-1] > len(tail)):
        at = tail.rfind(b"PK\5\6", 0, at)
    if at < 0:
        raise DamagedArchiveError("its directory at the end is missing, so that it is damaged or truncated")
    _, _, _, _, n, size, offset, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    before = at - _LOCATOR64_BYTES - _END64.size
    if before >= 0 and tail[at - _LOCATOR64_BYTES :].startswith(b"PK\6\7") and tail[before:].startswith(b"PK\6\6"):
        *_, n, size, offset = _END64.unpack_from(tail, before)
        end = tail_start + before
    start = end - size
    if start < offset or n * _CENTRAL.size > size:
        raise DamagedArchiveError("its directory is damaged")
    return start, size, n, start - offset


def _records(blob: Blob, start: int, size: int, n: int, shift: int) -> Iterator[ArchiveMember]:
    """Yield the members; folders have no name."""
    content, base, at = b"", start, 0
    for _ in range(n):
        if len(content) - at < _CENTRAL.size + 3 * _LONGEST_COMMENT and base + len(content) < start + size:
            base, content, at = base + at, content[at:], 0
            content += blob.read_at(base + len(content), min(_PIECE, start + size - base - len(content)))
        if len(content) - at < _CENTRAL.size or content[at : at + 4] != b"PK\1\2":
            raise DamagedArchiveError(f"its directory is damaged at byte {base + at:,}")
        fields = _CENTRAL.unpack_from(content, at)
        n_name, n_extra, n_comment = fields[12:15]
        end = at + _CENTRAL.size + n_name + n_extra
        if end + n_comment > len(content):
            raise DamagedArchiveError(f"its directory is damaged at byte {base + at:,}")
        raw = content[at + _CENTRAL.size : end - n_extra]
        yield _member(fields, raw, content[end - n_extra : end], base + at, shift)
        at = end + n_comment


def _member(fields: Any, raw: bytes, extra: bytes, position: int, shift: int) -> ArchiveMember:
    _, _, system, _, _, flags, method, _, _, crc, stored, size, _, _, _, _, _, attributes, offset = fields
    if _IN_EXTRA in (stored, size, offset):
        size, stored, offset = _from_extra(extra, size, stored, offset)
    name = raw.decode(*(("utf-8", "surrogateescape") if flags & _UTF8 else ("cp437",))).replace("\\", "/")
    if name.endswith("/") and not size:
        return ArchiveMember("", position)
    name, reason = clean_name(name)
    mode = stat.S_IFMT(attributes >> 16) if system == _UNIX else 0
    if not reason and mode not in (0, stat.S_IFREG):
        reason = "a link, not a file" if mode == stat.S_IFLNK else "a device or another special file, not a file"
    if not reason and flags & _ENCRYPTED:
        reason = "it is encrypted; unpack the archive with its password"
    if not reason and method not in _METHODS:
        reason = f"it is compressed with method {method}, which is not read; write the archive with deflate"
    return ArchiveMember(name, position, size, reason, offset + shift, stored, crc, method, raw)


def _from_extra(extra: bytes, size: int, stored: int, offset: int) -> tuple[int, int, int]:
    """Return the 64-bit numbers of the extra field, for those numbers that do not fit into 32 bits."""
    at = 0
    while at + 4 <= len(extra):
        kind, n = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            numbers = iter(struct.unpack(f"<{n // 8}Q", extra[at + 4 : at + 4 + n // 8 * 8].ljust(n // 8 * 8, b"\0")))
            size, stored, offset = (next(numbers, one) if one == _IN_EXTRA else one for one in (size, stored, offset))
            break
        at += 4 + n
    return size, stored, offset


def _overlapping(blob: Blob, start: int, size: int, n: int, shift: int) -> set[int]:
    """Return the numbers of the members whose bytes overlap those of another member or the directory."""
    spans = np.fromiter(
        ((one.start, one.stored_size) if one.name else (-1, 0) for one in _records(blob, start, size, n, shift)),
        np.dtype((np.int64, 2)),
        n,
    )
    order = np.argsort(spans[:, 0], kind="stable")
    order = order[spans[order, 0] >= 0]
    starts, ends = spans[order, 0], spans[order, 0] + spans[order, 1]
    limits = np.append(starts[1:], start) if len(starts) else starts
    is_bad = ends + _LOCAL.size > limits
    is_bad[1:] |= is_bad[:-1] & (limits[:-1] < ends[:-1] + _LOCAL.size)
    return set(order[is_bad].tolist())
