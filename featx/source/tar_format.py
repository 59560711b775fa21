"""Format of uncompressed tar archives: ustar, with the extensions of GNU and pax for long names and large files.

Source: IEEE Std 1003.1, pax Interchange Format; GNU tar manual, Basic Tar Format.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from featx.source.blob import Blob, Window
from featx.source.flat import clean_name
from featx.source.members import ArchiveMember, DamagedArchiveError

_BLOCK = 512
_LARGEST_HEADER = 1_000_000
"""Maximum size of an extended header, in bytes."""

_ZEROS = bytes(_BLOCK)
_FILE, _FOLDER, _GLOBAL, _SPARSE = (b"0", b"\0", b"7"), b"5", b"g", b"S"
_LONG_NAME, _LONG_LINK, _EXTENDED = b"L", b"K", (b"x", b"X")
_REASONS = {
    b"1": "a hard link within the archive, not a file",
    b"2": "a link, not a file",
    b"3": "a device, not a file",
    b"4": "a device, not a file",
    b"6": "a named pipe, not a file",
    _SPARSE: "a sparse file, which is not read from an archive",
}


class _Read(NamedTuple):
    member: ArchiveMember | None
    next: int


def tar_members(blob: Blob) -> Iterator[ArchiveMember]:
    """Yield the members of a tar archive, without folders, in their order.

    Raises
    ------
    DamagedArchiveError
        If a header is damaged, or the archive is truncated.
    """
    at = n = 0
    while (read := _read(blob, at, n)) is not None:
        at, n = read.next, n + 1
        if read.member is not None:
            yield read.member


def tar_member_at(blob: Blob, position: int) -> ArchiveMember:
    """Return the member whose headers begin at a position.

    Raises
    ------
    DamagedArchiveError
        If there is no member.
    """
    read = _read(blob, position, 0)
    if read is None or read.member is None:
        raise DamagedArchiveError(f"there is no file at byte {position:,}")
    return read.member


def open_tar_member(blob: Blob, member: ArchiveMember) -> BinaryIO:
    """Return the content of a member as a seekable file, which closes the blob."""
    return cast(BinaryIO, io.BufferedReader(Window(blob, member.start, member.size)))


def _read(blob: Blob, position: int, n: int) -> _Read | None:
    """Return the member at a position, with its extended headers, and the next position; None at the end mark."""
    at, long_name, records = position, b"", dict[str, bytes]()
    while (header := _header(blob, at, n)) is not None:
        kind, size, start = header[156:157], _number(header[124:136]), at + _BLOCK
        at = start + -(-size // _BLOCK) * _BLOCK
        if kind == _LONG_NAME:
            long_name = _content(blob, start, size).partition(b"\0")[0]
        elif kind in _EXTENDED:
            records |= _records(_content(blob, start, size))
        elif kind not in (_LONG_LINK, _GLOBAL):
            member, at = _described(header, position, start, long_name, records)
            if at > blob.size:
                raise DamagedArchiveError(f"it is truncated: it ends at byte {blob.size:,}, within file {n + 1:,}")
            return _Read(member, at)
    return None


def _header(blob: Blob, at: int, n: int) -> bytes | None:
    """Return the checked header at a position; None at the end mark."""
    header = blob.read_at(at, _BLOCK)
    if len(header) < _BLOCK:
        raise DamagedArchiveError(f"it is truncated: it ends at byte {blob.size:,}, after {n:,} files")
    if header == _ZEROS:
        return None
    _check(header, at, n)
    return header


def _described(
    header: bytes, position: int, start: int, long_name: bytes, records: dict[str, bytes]
) -> tuple[ArchiveMember | None, int]:
    """Return the member of a header, None for a folder, and the position after its content."""
    kind, size = header[156:157], _number(header[124:136])
    if kind in _FILE and "size" in records:
        size = _decimal(records["size"])
    has_content = kind not in _REASONS or kind == _SPARSE
    at = start + (-(-size // _BLOCK) * _BLOCK if has_content else 0)  # the size of a link is not that of a content
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    short = header[:100].partition(b"\0")[0]
    raw = records.get("path") or long_name or (prefix + b"/" + short if prefix else short)
    if kind == _FOLDER or (kind in _FILE and raw.endswith(b"/")):  # the latter in archives of the 1980s
        return None, at
    name, reason = clean_name(raw.decode("utf-8", "surrogateescape"))
    if not reason and kind not in _FILE:
        reason = _REASONS.get(kind, "an object of unknown type, not a file")
    if not reason and any(key.startswith("GNU.sparse") for key in records):
        reason = _REASONS[_SPARSE]
    return ArchiveMember(name, position, size, reason, start, size, raw_name=raw), at


def _check(header: bytes, at: int, n: int) -> None:
    stored = re.match(rb"[ \0]*([0-7]+)", header[148:156])
    if stored is None or int(stored[1], 8) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise DamagedArchiveError(
            f"its header at byte {at:,} is damaged, after {n:,} files" if at else "it is not a tar archive"
        )


def _number(field: bytes) -> int:
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:]) if field[0] == 0x80 else 0
    found = re.match(rb"[ \0]*([0-7]+)", field)
    return int(found[1], 8) if found else 0


def _decimal(text: bytes) -> int:
    return int(text) if text.isdigit() and len(text) < 20 else 0


def _content(blob: Blob, start: int, size: int) -> bytes:
    if size > _LARGEST_HEADER:
        raise DamagedArchiveError(f"its extended header at byte {start:,} has {size:,} bytes")
    return blob.read_at(start, size)


def _records(content: bytes) -> dict[str, bytes]:
    """Return the records of a pax header: lines of a length, a key and a value."""
    records, at = dict[str, bytes](), 0
    while found := re.compile(rb"(\d{1,7}) ([^=]+)=").match(content, at):
        end = at + int(found[1])
        if end <= found.end():
            break
        records[found[2].decode("utf-8", "replace")] = content[found.end() : end - 1]
        at = end
    return records
