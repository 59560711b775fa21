"""Messages between a process and its reader processes: JSON of known length, and the place of the pixels."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, dataclass
from typing import IO, Any, Literal

from featx.images import MAX_PIXELS, Fitting
from featx.spec import FeatureSpec
from featx.table import SIGNATURE_SHAPE

SIGNATURE_BYTES = math.prod(SIGNATURE_SHAPE)
_LENGTH = struct.Struct("<Q")
_PROGRESS = struct.Struct("<II")
_PAGE = 4096
N_CELLS = _PAGE // _PROGRESS.size
"""Maximum number of readers; each has a cell at the beginning of the shared memory for its progress."""


@dataclass(frozen=True)
class Task:
    """What readers do with images.

    Parameters
    ----------
    do : {"hash", "decode", "brightness"}
        ``hash``: read files and compute their content hashes; ``decode``: also decode the images and resize them;
        ``brightness``: only measure the brightness of images with more than 8 bits.
    size, resize, white, page, max_pixels
        See :func:`featx.images.prepare`.
    """

    do: Literal["hash", "decode", "brightness"]
    size: int = 1
    resize: Fitting = "crop"
    white: int | None = None
    page: int = 1
    max_pixels: int = MAX_PIXELS

    @classmethod
    def for_spec(cls, spec: FeatureSpec, max_pixels: int) -> Task:
        """Return the task of decoding images for the backbone of a feature spec."""
        return cls("decode", spec.size, spec.resize, spec.white, spec.page, max_pixels)

    @property
    def pixel_bytes(self) -> int:
        """Maximum size of the pixels of an image, in bytes; 0 if there are none."""
        return 3 * self.size**2 if self.do == "decode" else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class SlotLayout:
    """Places of pixels and signatures in the shared memory.

    The memory is divided into slots of equal size, after one page for the progress of the readers. A slot contains the
    pixels of ``n_images`` images, then their signatures.

    Parameters
    ----------
    pixel_bytes : int
        Size of the pixels of one image, in bytes.
    n_images : int
        Number of images in a slot.
    n_slots : int
    """

    pixel_bytes: int
    n_images: int
    n_slots: int

    @property
    def slot_bytes(self) -> int:
        """Size of a slot, in bytes; a multiple of the page size."""
        used = self.n_images * (self.pixel_bytes + SIGNATURE_BYTES) if self.pixel_bytes else 0
        return -(-used // _PAGE) * _PAGE

    @property
    def size(self) -> int:
        """Size of the memory, in bytes."""
        return _PAGE + self.n_slots * self.slot_bytes

    def pixels(self, slot: int) -> int:
        """Return the position of the pixels of a slot."""
        return _PAGE + slot * self.slot_bytes

    def signatures(self, slot: int) -> int:
        """Return the position of the signatures of a slot."""
        return self.pixels(slot) + self.n_images * self.pixel_bytes


def write_progress(memory: Any, cell: int, number: int, n_begun: int) -> None:
    """Write the progress of a reader.

    Parameters
    ----------
    memory : buffer
        Shared memory.
    cell : int
        Cell of the reader.
    number : int
        Number of the image in progress plus 1; 0 if there is none.
    n_begun : int
        Number of images that the process has begun to decode, including this one; 0 while a file is read.
    """
    _PROGRESS.pack_into(memory, cell * _PROGRESS.size, number, n_begun)


def read_progress(memory: Any, cell: int) -> tuple[int, int]:
    """Return what a reader last wrote with :func:`write_progress`."""
    number, n_begun = _PROGRESS.unpack_from(memory, cell * _PROGRESS.size)
    return number, n_begun


def send(stream: IO[bytes], message: Any) -> None:
    """Write a message."""
    content = json.dumps(message).encode()
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read a message.

    Raises
    ------
    EOFError
        If the other process has ended.
    """
    (length,) = _LENGTH.unpack(_read(stream, _LENGTH.size))
    return json.loads(_read(stream, length))


def _read(stream: IO[bytes], n: int) -> bytes:
    content = stream.read(n)
    if len(content) < n:
        raise EOFError
    return content
