"""Check output files before any work, write each file in one step, and escape text."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from featx.errors import FeatxError, MissingExtraError, OutputError
from featx.files import FileIdentity, ReplacedError, identify, open_regular, path_status, write_atomically
from featx.output.marks import can_carry_mark, has_mark

MODEL_SUFFIXES = (".featx",)
"""Extensions of model files."""

_LONGEST_NAME = 200
_FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class OutputFile:
    """An output file that is checked before any work and written in one step.

    An existing file is replaced only with ``overwrite``, and only if the content shows that featx wrote the file. A
    folder, a link, a device or an input is never replaced. If two runs write the same file at the same time, the second
    run fails.

    Parameters
    ----------
    path : path
        Path of the file.
    kinds : collection of str
        Allowed extensions of the file name.
    overwrite : bool
        Whether a file written by featx may be replaced.
    parameter : str
        Name of the parameter that gives the path, for error messages.
    inputs : iterable of path
        Input files and folders. An input file is never replaced. An image is never written into an input folder,
        because the next run would read this image as an input.
    keeps : bool
        Whether computed results remain in the cache if the file cannot be written.

    Raises
    ------
    OutputError
        If the file cannot be written, or would replace a file that may not be replaced.
    MissingExtraError
        If the format is Parquet and pyarrow is not installed.
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
            raise OutputError(f"`{parameter}={path}`: the name must end in {_alternatives(kinds)}")
        try:
            _check_folder(self.path.parent, f"`{parameter}={path}`")
            given = list(inputs)
            if os.path.lexists(self.path):
                _refuse_input(self.path, given, parameter)
            self._replaces = _identify_replaceable(self.path, overwrite, parameter)
            if self.suffix == ".png":
                _refuse_among(self.path, given, parameter, ", or an .html file" if ".html" in kinds else "")
        except (OSError, ValueError) as error:  # the name is too long or has a NUL character
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"`{parameter}={path}`: {reason_of(error)}") from None
        if self.suffix == ".parquet":
            import_pyarrow()

    def refuse_inputs(self, read: Iterable[Path]) -> None:
        """Check that the file does not replace an input, once all input files are known.

        Parameters
        ----------
        read : iterable of path
            Files that are read.

        Raises
        ------
        OutputError
            If the file is an input.
        """
        if self._replaces is None:
            return
        for path in read:
            try:
                status = os.stat(path)
            except (OSError, ValueError):  # a file that cannot be read cannot be replaced
                continue
            if (status.st_dev, status.st_ino) == (self._replaces.device, self._replaces.inode):
                raise OutputError(f"{self.path} would replace {path}, which is an input; choose another name")

    def write(self, write: Callable[[Path], object]) -> None:
        """Call a function that writes a temporary file, and rename this file to the output in one step.

        Parameters
        ----------
        write : callable
            Called with the path of the temporary file.

        Raises
        ------
        OutputError
            If the file cannot be written, or another run wrote it in the meantime. An existing file is not changed.
        """
        try:
            is_new = self._replaces is None
            write_atomically(self.path, write, self._replaces)
            self._replaces = identify(self.path)
            self._made = self._replaces if is_new else None
        except ReplacedError:
            raise OutputError(
                f"{self.path} was written by another run in the meantime and is not replaced. "
                f"{self._kept}Choose another name, and run the command again"
            ) from None
        except OSError as error:
            if isinstance(error, FeatxError):
                raise
            raise OutputError(
                f"{self.path} cannot be written: {reason_of(error)}. "
                f"{self._kept}Make room or choose another folder, and run the command again"
            ) from None

    def write_content(self, content: bytes) -> None:
        """Write bytes; see :meth:`write`."""

        self.write(lambda temporary: temporary.write_bytes(content))

    def undo(self) -> None:
        """Delete the written file, unless it replaced another file."""
        with contextlib.suppress(OSError):
            if self._made is not None and identify(self.path) == self._made:
                self.path.unlink()
                self._made = self._replaces = None

    @property
    def _kept(self) -> str:
        return "Computed results are kept in the cache. " if self._keeps else ""


def _alternatives(kinds: Collection[str]) -> str:
    *others, last = kinds
    return f"{', '.join(others)} or {last}" if others else last


def reason_of(error: Exception) -> str:
    """Return the system message of an error, or else the text of the error, or else the name of its type."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _check_folder(folder: Path, named: str) -> None:
    status = path_status(folder)
    if status is None or not stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{named}: the folder {folder} does not exist; create it, or choose another folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{named}: the folder {folder} is not writable; choose another folder")


def _identify_replaceable(path: Path, overwrite: bool, parameter: str) -> FileIdentity | None:
    """Return the identity of the file at a path if it may be replaced; None if there is no file."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "not a file"
        raise OutputError(f"`{parameter}={path}` is {kind}, which is never replaced; choose another name")
    if not can_carry_mark(path.suffix.lower()):
        raise OutputError(
            f"{path} exists and is never replaced, because {path.suffix} files do not show whether featx wrote them; "
            "delete the file, or choose another name"
        )
    with open_regular(path) as stream:
        opened = os.fstat(stream.fileno())
        ours = has_mark(stream, path.suffix.lower())
    if not ours:
        raise OutputError(f"{path} exists and is never replaced, because featx did not write it; choose another name")
    if not overwrite:
        raise OutputError(f"{path} exists; add `overwrite=True` to replace it, or choose another name")
    identity = identify(path)
    if identity is None or (identity.device, identity.inode) != (opened.st_dev, opened.st_ino):
        raise OutputError(f"{path} is being replaced by another run; choose another name")
    return identity


def _refuse_input(path: Path, given: Iterable[str | Path], parameter: str) -> None:
    for name in given:
        if path_status(name) is not None and os.path.samefile(name, path):
            raise OutputError(f"`{parameter}={path}` would replace {name}, which is an input; choose another name")


def _refuse_among(path: Path, given: Iterable[str | Path], parameter: str, instead: str) -> None:
    for name in given:
        if os.path.isdir(name) and _is_within(path.parent, name):
            raise OutputError(
                f"`{parameter}={path}`: the next run would read this file as one of the images of {name}; choose "
                f"another folder{instead}"
            )


def _is_within(folder: Path, other: str | Path) -> bool:
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(other))


def model_file_name(data: str, backbone: str, head: str) -> str:
    """Return the default file name of a model, ``DATA-BACKBONE-HEAD.featx``; a long name of the data is shortened."""
    last = f"-{_cut(_plain(backbone), _LONGEST_NAME // 3)}-{_cut(_plain(head), _LONGEST_NAME // 3)}{MODEL_SUFFIXES[0]}"
    return _cut(_plain(data), _LONGEST_NAME - len(last.encode())) + last


def default_model_path(data: str | Path, backbone: str, head: str) -> Path:
    """Return the default path of a model of a folder or manifest, relative to the current folder."""
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
        If pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("Parquet output needs pyarrow: pip install 'featx[parquet]', or use .csv") from None
    return pyarrow, pyarrow.parquet


def escape_formula(text: str) -> str:
    """Return text that no spreadsheet reads as a formula: an apostrophe precedes ``= + - @``, tab or line end.

    Numbers are not changed. Source: OWASP, CSV Injection.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def csv_path(path: str) -> str:
    """Return a path that no spreadsheet reads as a formula, such as ``./=1.jpg``, to the same file."""
    return f"./{path}" if _FORMULA.match(path) else path


def utf8_text(text: str) -> str:
    """Return text with escaped surrogates, such as ``\\udcff``; a surrogate represents a byte that is not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
