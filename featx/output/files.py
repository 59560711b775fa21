"""Files that people asked for by name: what can be written, and text that is only text to whoever opens it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from featx.errors import MissingExtraError, OutputError

_FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def check_output(path: Path, kinds: Collection[str], overwrite: bool, option: str = "-o") -> None:
    """Make sure, before any work, that an output can be written.

    Parameters
    ----------
    path : path
        The file.
    kinds : collection of str
        Endings of its name that are allowed.
    overwrite : bool
        Whether a file may be replaced.
    option : str
        What named it.

    Raises
    ------
    OutputError
        Unknown kind of file, an existing file, or no such folder.
    MissingExtraError
        Parquet without pyarrow.
    """
    if path.suffix.lower() not in kinds:
        raise OutputError(f"{option} {path}: the name must end in {', '.join(kinds)}")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; add --overwrite to replace it, or choose another name")
    if not path.parent.is_dir():
        raise OutputError(f"{option} {path}: there is no folder {path.parent}")
    if path.suffix.lower() == ".parquet":
        import_pyarrow()


def refuse_among(path: Path, given: Iterable[str | Path], option: str, instead: str = "") -> None:
    """Make sure that a picture to be written does not lie in a folder of pictures.

    Parameters
    ----------
    path : path
        The picture.
    given : iterable of path
        Folders, and files, which do not matter.
    option : str
        What named it.
    instead : str
        What else can be done, beside another folder.

    Raises
    ------
    OutputError
        It would be taken for one of them next time.
    """
    for one in given:
        if os.path.isdir(one) and path.parent.resolve().is_relative_to(Path(one).resolve()):
            raise OutputError(
                f"{option} {path}: it would lie among the pictures of {one} and be taken for one of them next time; "
                f"choose another folder{instead}"
            )


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


def csv_text(text: str) -> str:
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
