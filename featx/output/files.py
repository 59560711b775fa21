"""Files that people asked for by name: what can be written, and text that is only text to whoever opens it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from featx.errors import FeatxError, MissingExtraError, OutputError
from featx.files import FileIdentity, ReplacedError, identify, look_at, open_regular, write_whole
from featx.output.marks import can_carry_mark, has_mark

MODEL_SUFFIXES = (".featx",)
"""Ending of the name of a model file."""

_LONGEST_NAME = 200
_FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class OutputFile:
    """A file to write that somebody named: looked at before any work, and written whole.

    A file that lies there is replaced only where that is asked for, and only if featx wrote it, by its content; never
    a folder, a link, a device or one of the inputs. Of two runs that write one name at once, the second one fails.

    Parameters
    ----------
    path : path
        The file.
    kinds : collection of str
        Endings of its name that are allowed.
    overwrite : bool
        Whether a file of featx may be replaced.
    parameter : str
        Name of the parameter that named it.
    inputs : iterable of path
        What is read: a file of these is never replaced, and an image never put into a folder of these, where it would
        be taken for one of them next time.
    keeps : bool
        Whether what was computed is kept in the cache when it cannot be written.

    Raises
    ------
    OutputError
        It cannot be written, or would replace what it may not.
    MissingExtraError
        Parquet without pyarrow.
    """

    def __init__(
        self,
        path: str | Path,
        kinds: Collection[str],
        overwrite: bool = False,
        parameter: str = "output",
        inputs: Iterable[str | Path] = (),
        keeps: bool = True,
    ) -> None:
        self.path = Path(path)
        self.suffix = self.path.suffix.lower()
        self._keeps = keeps
        self._made: FileIdentity | None = None
        if self.suffix not in kinds:
            raise OutputError(f"`{parameter}={path}`: the name must end in {', '.join(kinds)}")
        try:
            _check_folder(self.path.parent, f"`{parameter}={path}`")
            given = list(inputs)
            if os.path.lexists(self.path):
                _refuse_input(self.path, given, parameter)
            self._replaces = _identify_replaceable(self.path, overwrite, parameter)
            if self.suffix == ".png":
                _refuse_among(self.path, given, parameter, ", or an .html file" if ".html" in kinds else "")
        except (OSError, ValueError) as error:  # a name that is too long, or has a NUL character
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"`{parameter}={path}`: {reason_of(error)}") from None
        if self.suffix == ".parquet":
            import_pyarrow()

    def spare(self, read: Iterable[Path]) -> None:
        """Make sure that what it replaces is none of the files that are read, now that these are known.

        Raises
        ------
        OutputError
            It is one of them.
        """
        if self._replaces is None:
            return
        for one in read:
            try:
                status = os.stat(one)
            except (OSError, ValueError):  # it cannot be read either
                continue
            if (status.st_dev, status.st_ino) == (self._replaces.device, self._replaces.inode):
                raise OutputError(f"{self.path} would replace {one}, which is read; choose another name")

    def write(self, write: Callable[[Path], object]) -> None:
        """Let a function write a temporary file, which then becomes the output in one step.

        Raises
        ------
        OutputError
            It cannot be written, or another run wrote one of its name meanwhile; that, or what was there before, is
            still there.
        """
        try:
            is_new = self._replaces is None
            write_whole(self.path, write, self._replaces)
            self._replaces = identify(self.path)
            self._made = self._replaces if is_new else None
        except ReplacedError:
            raise OutputError(
                f"{self.path} was written by another run meanwhile, and is not replaced. "
                f"{self._kept}Choose another name, and run the same command again"
            ) from None
        except OSError as error:
            if isinstance(error, FeatxError):
                raise
            raise OutputError(
                f"{self.path} cannot be written: {reason_of(error)}. "
                f"{self._kept}Make room or choose another folder, and run the same command again"
            ) from None

    def write_content(self, content: bytes) -> None:
        """Write some bytes; see :meth:`write`."""

        self.write(lambda temporary: temporary.write_bytes(content))

    def take_back(self) -> None:
        """Delete what was written, unless it replaced a file."""
        with contextlib.suppress(OSError):
            if self._made is not None and identify(self.path) == self._made:
                self.path.unlink()
                self._made = self._replaces = None

    @property
    def _kept(self) -> str:
        return "What was computed is kept in the cache. " if self._keeps else ""


def reason_of(error: Exception) -> str:
    """Return the system's words for an error, or what there is."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _check_folder(folder: Path, named: str) -> None:
    status = look_at(folder)
    if status is None or not stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{named}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{named}: no file can be made in the folder {folder}; choose another folder")


def _identify_replaceable(path: Path, overwrite: bool, parameter: str) -> FileIdentity | None:
    """Return what lies at a path and may be replaced; None if there is nothing."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "no file"
        raise OutputError(f"`{parameter}={path}` is {kind}, and is never replaced; choose another name")
    if not can_carry_mark(path.suffix.lower()):
        raise OutputError(
            f"{path} exists, and {path.suffix} files do not show who wrote them, so that it is never replaced; "
            "delete it, or choose another name"
        )
    with open_regular(path) as stream:
        opened = os.fstat(stream.fileno())
        ours = has_mark(stream, path.suffix.lower())
    if not ours:
        raise OutputError(
            f"{path} exists and was not written by featx, so that it is never replaced; choose another name"
        )
    if not overwrite:
        raise OutputError(f"{path} exists; add `overwrite=True` to replace it, or choose another name")
    found = identify(path)
    if found is None or (found.device, found.inode) != (opened.st_dev, opened.st_ino):
        raise OutputError(f"{path} is being replaced by another run; choose another name")
    return found


def _refuse_input(path: Path, given: Iterable[str | Path], parameter: str) -> None:
    for one in given:
        if look_at(one) is not None and os.path.samefile(one, path):
            raise OutputError(f"`{parameter}={path}` would replace {one}, which is read; choose another name")


def _refuse_among(path: Path, given: Iterable[str | Path], parameter: str, instead: str) -> None:
    for one in given:
        if os.path.isdir(one) and _is_within(path.parent, one):
            raise OutputError(
                f"`{parameter}={path}`: it would lie among the images of {one} and be taken for one of them next "
                f"time; choose another folder{instead}"
            )


def _is_within(folder: Path, other: str | Path) -> bool:
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(other))


def model_file_name(data: str, backbone: str, head: str) -> str:
    """Return the file name that a model has by default, ``DATA-BACKBONE-HEAD.featx``; a long name of data is cut."""
    last = f"-{_cut(_plain(backbone), _LONGEST_NAME // 3)}-{_cut(_plain(head), _LONGEST_NAME // 3)}{MODEL_SUFFIXES[0]}"
    return _cut(_plain(data), _LONGEST_NAME - len(last.encode())) + last


def default_model_path(data: str | Path, backbone: str, head: str) -> Path:
    """Return where the model of a folder or manifest is saved by default: in the working folder."""
    path = Path(os.path.realpath(data))
    name = path.name if path.is_dir() else path.stem
    network = Path(backbone).stem if Path(backbone).is_file() else backbone
    return Path(model_file_name(name or "data", network, head))


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]", "_", text)


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode("utf-8", "ignore")


def import_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and pyarrow.parquet.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("Parquet output needs pyarrow: pip install 'featx[parquet]', or use .csv") from None
    return pyarrow, pyarrow.parquet


def escape_formula(text: str) -> str:
    """Return text that no spreadsheet takes for a formula: an apostrophe before ``= + - @``, tab or line end.

    Numbers stay as they are. Source: OWASP, CSV Injection.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def csv_path(path: str) -> str:
    """Return a relative path that no spreadsheet takes for a formula, and that names the same file: ``./=1.jpg``."""
    return f"./{path}" if _FORMULA.match(path) else path


def utf8_text(text: str) -> str:
    """Return text with bytes that are no UTF-8 written out, as in ``\\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode()
