"""Networks of keras.applications: the graph that the ImageNet weights belong to, and those weights."""

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
    """Where Keras gets a weight file from, as its own constructor says.

    Parameters
    ----------
    file : str
        File name in Keras's ``models`` folder.
    url : str
        Address.
    digest : str
        MD5 or SHA-256 that Keras publishes; empty where it publishes none.
    """

    file: str
    url: str
    digest: str


def imagenet_architecture(constructor: str, size: int) -> tuple[keras.Model, Download]:
    """Build a network exactly as Keras does for its ImageNet weights, without those weights.

    Keras adds layers for ``weights="imagenet"`` that it leaves out otherwise (EfficientNet's Rescaling: without
    it features differ to cosine 0.85), so the graph is made by that very path, with loading put aside.

    Parameters
    ----------
    constructor : str
        ``module.Name``, as in the table; Name is what keras.applications has.
    size : int
        Side of the input, in pixels.

    Returns
    -------
    (keras.Model, Download)
        The graph, and where its ImageNet weights are.

    Raises
    ------
    BackboneError
        The network does not take this input size, or Keras names an address without HTTPS.
    """
    name = constructor.split(".")[1]
    build = getattr(keras.applications, name)
    with _loading_put_aside() as calls, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MobileNet warns that it takes the weights of 224; the table says so
        try:
            model = build(include_top=False, weights="imagenet", input_shape=(size, size, 3))
        except ValueError as error:
            raise BackboneError(f"{name} does not take images of {size} x {size}: {error}") from None
    if not calls[0].url.startswith("https://"):
        raise WeightsError(f"{calls[0].url} is not asked: weights are downloaded only over HTTPS")
    return model, calls[0]


@contextlib.contextmanager
def _loading_put_aside() -> Iterator[list[Download]]:
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
    """Load a Keras weight file into a graph and make sure that no weight was left out.

    Raises
    ------
    WeightsError
        The file is no Keras weight file, belongs to another network, or leaves weights unset.
    """
    try:
        check_keras_file(path)
    except (BackboneError, OSError) as error:
        raise WeightsError(
            f"{path} does not fit {model.name} without its top: it {error}. "
            "Expected are weights saved for this network with include_top=False."
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
            "Expected are weights saved for this network with include_top=False."
        ) from None
    unset = [w.path for w in floats if bool(keras.ops.any(keras.ops.isnan(w)))]
    if unset:
        raise WeightsError(
            f"{path} sets only {len(floats) - len(unset)} of {len(floats)} weights of {model.name}; "
            f"{unset[0]} is missing or not a number"
        )


def check_published_digest(path: Path, download: Download) -> None:
    """Compare a file in Keras's folder with the digest that Keras publishes.

    Raises
    ------
    WeightsError
        They differ.
    """
    if not download.digest:
        return
    algorithm = "sha256" if len(download.digest) == 64 else "md5"
    with open_regular(path) as stream:
        found = digest(stream, MOST_BYTES, algorithm)
    if found != download.digest:
        raise WeightsError(f"{path} is damaged: its {algorithm} is not what Keras publishes; delete it and run again")


def fetch(
    download: Download, path: Path, progress: Callable[[str, int, int], None] = lambda stage, done, total: None
) -> None:
    """Download a weight file through Keras's loader, to a temporary folder first.

    Parameters
    ----------
    download : Download
    path : path
        Where it shall lie.
    progress : callable
        Called with (stage, megabytes there, megabytes in all); the latter are 0 where the server does not say.

    Raises
    ------
    WeightsError
        No network, an answer other than the file, or a file with another digest.
    """
    with _download_folder(download, path.parent) as folder:
        n_bytes = _check_reachable(download)
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_STALL_SECONDS)  # Keras's loader sets none: a black-holed network would hang
        try:
            # Keras prints its own progress bar
            with contextlib.redirect_stdout(io.StringIO()), _watched(folder, download.file, n_bytes, progress):
                loaded = file_utils.get_file(
                    download.file, download.url, file_hash=download.digest or None, cache_dir=folder, cache_subdir="."
                )
            os.replace(loaded, path)
        except Exception as error:  # Keras raises bare Exception
            raise WeightsError(_no_network(download, str(error))) from None
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
                f"{download.file} cannot be kept in Keras's folder {place}: {error.strerror or error}; set "
                "KERAS_HOME to another folder, or give a copy with `weights=FILE`"
            ) from None
        yield folder


@contextlib.contextmanager
def _watched(folder: Path, name: str, n_bytes: int, progress: Callable[[str, int, int], None]) -> Iterator[None]:
    """Report how much of a file has arrived in a folder meanwhile."""
    stage, total, ended = f"downloading {name} (MB)", -(-n_bytes // _MEGABYTE), threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_SECONDS):
            with contextlib.suppress(OSError):  # the file is renamed meanwhile
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
    """Return the size in bytes of what is there to be downloaded, 0 where the server does not say.

    Raises
    ------
    WeightsError
        It does not answer, or not with the file.
    """
    # In a thread, because a name server that never answers is not subject to a socket's timeout.
    problem, size = ["no answer"], [0]

    def ask() -> None:
        try:
            request = urllib.request.Request(download.url, method="HEAD")
            with urllib.request.urlopen(request, timeout=_CONNECT_SECONDS) as answer:
                told = answer.headers.get("Content-Length", "")
                size[0] = int(told) if told.isdecimal() else 0
                problem[0] = ""
        except Exception as error:  # urllib raises OSError, ValueError and http.client's own
            problem[0] = str(getattr(error, "reason", error)) or type(error).__name__

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS + 2)
    if problem[0]:
        raise WeightsError(_no_network(download, problem[0]))
    return size[0]


def _no_network(download: Download, why: str) -> str:
    return (
        f"the ImageNet weights {download.file} are not on this machine and could not be downloaded ({why}). "
        "Give a copy with `weights=FILE`, or use the backbone efficientnet-lite0, whose weights are installed."
    )
