"""Backbones of keras.applications: their architectures and their ImageNet weights."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras.src.utils import file_utils

from featx.backbones.source import MOST_BYTES
from featx.errors import BackboneError, WeightsError
from featx.files import digest, open_regular, temporary_folder
from featx.network_files import check_keras_file

_CONNECT_SECONDS = 10.0
_STALL_SECONDS = 30.0
_WATCH_SECONDS = 0.5
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Download:
    """Address and digest of a weights file, as given in the constructor of Keras.

    Parameters
    ----------
    file : str
        File name in Keras's ``models`` folder.
    url : str
        Address.
    digest : str
        MD5 or SHA-256 that Keras publishes; empty if it publishes none.
    """

    file: str
    url: str
    digest: str


def imagenet_architecture(constructor: str, size: int) -> tuple[keras.Model, Download]:
    """Build a backbone exactly as Keras does for its ImageNet weights, but do not load the weights.

    Keras adds some layers only for ``weights="imagenet"``, for example a Rescaling layer in EfficientNet (the cosine
    between features with and without this layer is 0.85). The constructor is therefore called with
    ``weights="imagenet"``, while the loading of weights is disabled.

    Parameters
    ----------
    constructor : str
        ``module.Name``, as in the table; Name is an attribute of keras.applications.
    size : int
        Side of the input, in pixels.

    Returns
    -------
    (keras.Model, Download)
        The model, and the address and digest of its ImageNet weights.

    Raises
    ------
    BackboneError
        If the network does not accept this input size.
    WeightsError
        If the address that Keras gives is not HTTPS.
    """
    name = constructor.split(".")[1]
    build = getattr(keras.applications, name)
    with _loading_disabled() as calls, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MobileNet warns that it uses the weights for 224 pixels; the table states it
        try:
            model = build(include_top=False, weights="imagenet", input_shape=(size, size, 3))
        except ValueError as error:
            raise BackboneError(f"{name} does not accept images of {size} x {size}: {error}") from None
    if not calls[0].url.startswith("https://"):
        raise WeightsError(f"{calls[0].url} is refused: weights are downloaded only over HTTPS")
    return model, calls[0]


@contextlib.contextmanager
def _loading_disabled() -> Iterator[list[Download]]:
    calls: list[Download] = []

    def record(fname: str, origin: str, *_: Any, file_hash: str | None = None, **__: Any) -> str:
        calls.append(Download(fname, origin, file_hash or ""))
        return fname

    get_file, load_weights = file_utils.get_file, keras.Model.load_weights
    file_utils.get_file = record
    keras.Model.load_weights = lambda *_, **__: None
    try:
        yield calls
    finally:
        file_utils.get_file, keras.Model.load_weights = get_file, load_weights


def load_every_weight(model: keras.Model, path: Path) -> None:
    """Load a Keras weights file into a model and check that every weight is set.

    Raises
    ------
    WeightsError
        If the file is not a Keras weights file, belongs to another network, or leaves weights unset.
    """
    try:
        check_keras_file(path)
    except (BackboneError, OSError) as error:
        raise WeightsError(
            f"{path} does not fit {model.name} without its top: it {error}. "
            "Expected weights saved for this network with include_top=False."
        ) from None
    floats = [w for w in model.weights if "float" in str(w.dtype)]
    for weight in floats:
        weight.assign(keras.ops.full(weight.shape, float("nan"), weight.dtype))
    try:
        model.load_weights(str(path))
    except Exception as error:  # h5py and Keras raise ValueError, OSError, KeyError, TypeError ...
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"{path} does not fit {model.name} without its top: {first_line}. "
            "Expected weights saved for this network with include_top=False."
        ) from None
    unset = [w.path for w in floats if bool(keras.ops.any(keras.ops.isnan(w)))]
    if unset:
        raise WeightsError(
            f"{path} sets only {len(floats) - len(unset)} of {len(floats)} weights of {model.name}; "
            f"{unset[0]} is missing or NaN"
        )


def check_published_digest(path: Path, download: Download) -> None:
    """Check a file in the folder of Keras against the digest that Keras publishes.

    Raises
    ------
    WeightsError
        If the digests differ.
    """
    if not download.digest:
        return
    algorithm = "sha256" if len(download.digest) == 64 else "md5"
    with open_regular(path) as stream:
        actual = digest(stream, MOST_BYTES, algorithm)
    if actual != download.digest:
        raise WeightsError(
            f"{path} is damaged: its {algorithm} differs from the one that Keras publishes; delete it and run again"
        )


def fetch(
    download: Download, path: Path, progress: Callable[[str, int, int], None] = lambda stage, done, total: None
) -> None:
    """Download a weights file with the loader of Keras, first into a temporary folder.

    Parameters
    ----------
    download : Download
    path : path
        Destination.
    progress : callable
        Called with (stage, megabytes downloaded, megabytes in total); the total is 0 if the server does not state it.

    Raises
    ------
    WeightsError
        If there is no connection, the server does not send the file, the digest of the file differs, or the folder
        cannot be written.
    """
    with _download_folder(download, path.parent) as folder:
        n_bytes = _check_reachable(download)
        before = socket.getdefaulttimeout()
        # Keras sets no timeout: a server that never answers would block the process for ever.
        socket.setdefaulttimeout(_STALL_SECONDS)
        try:
            # Keras prints a progress bar, which is discarded.
            with contextlib.redirect_stdout(io.StringIO()), _watched(folder, download.file, n_bytes, progress):
                loaded = file_utils.get_file(
                    download.file, download.url, file_hash=download.digest or None, cache_dir=folder, cache_subdir="."
                )
            os.replace(loaded, path)
        except Exception as error:  # Keras raises bare Exception
            raise WeightsError(_unavailable(download, str(error))) from None
        finally:
            socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _download_folder(download: Download, place: Path) -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        try:
            place.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(temporary_folder(str(place)))
        except OSError as error:
            raise WeightsError(
                f"{download.file} cannot be written to the Keras folder {place}: {error.strerror or error}; set "
                "KERAS_HOME to another folder, or give the file as `weights=FILE`"
            ) from None
        yield folder


@contextlib.contextmanager
def _watched(folder: Path, name: str, n_bytes: int, progress: Callable[[str, int, int], None]) -> Iterator[None]:
    """Report how many megabytes of a file have been downloaded, in a background thread."""
    stage, total, ended = f"downloading {name} (MB)", -(-n_bytes // _MEGABYTE), threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_SECONDS):
            with contextlib.suppress(OSError):  # the file may be renamed at any time
                arrived = sum(entry.stat().st_size for entry in os.scandir(folder)) // _MEGABYTE
                progress(stage, min(arrived, total - 1) if total else 0, total)

    progress(stage, 0, total)
    thread = threading.Thread(target=watch, name="featx-download", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        progress(stage, 1, 1)


def _check_reachable(download: Download) -> int:
    """Return the size of a download in bytes; 0 if the server does not state it.

    Raises
    ------
    WeightsError
        If the server does not answer, or reports an error.
    """
    # In a thread, because the timeout of a socket does not apply to a name server that never answers.
    problem, size = ["no answer"], [0]

    def ask() -> None:
        try:
            request = urllib.request.Request(download.url, method="HEAD")
            with urllib.request.urlopen(request, timeout=_CONNECT_SECONDS) as answer:
                length = answer.headers.get("Content-Length", "")
                size[0] = int(length) if length.isdecimal() else 0
                problem[0] = ""
        except Exception as error:  # urllib raises OSError, ValueError and exceptions of http.client
            problem[0] = str(getattr(error, "reason", error)) or type(error).__name__

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS + 2)
    if problem[0]:
        raise WeightsError(_unavailable(download, problem[0]))
    return size[0]


def _unavailable(download: Download, why: str) -> str:
    return (
        f"the ImageNet weights {download.file} are not on this machine and could not be downloaded ({why}). "
        "Give the file as `weights=FILE`, or use the backbone efficientnet-lite0, whose weights are installed"
    )
