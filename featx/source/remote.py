"""Source of images in object storage or on a web server; the only module that names fsspec."""

from __future__ import annotations

import errno
import functools
import hashlib
import importlib
import io
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from featx.errors import DatasetError, MissingExtraError
from featx.files import check_relative_path
from featx.source.blob import Window
from featx.source.entries import Entry
from featx.source.flat import FlatIndex, Found, clean_name
from featx.source.place import Url, query_of
from featx.source.source import UNKNOWN, OpenFile, Source, do_nothing, do_nothing_with
from featx.source.walk import LONGEST_TAG
from featx.table import BLOCK, OwnFolder, Stamp

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

_ATTEMPTS = 5
_FIRST_WAIT = 0.2
"""Seconds before the second attempt, on average; each further wait is three times as long."""

_SECONDS = 60.0
"""Maximum time of one attempt, in seconds."""

_MOST_FAILED = 32
"""After this number of objects in a row that failed at all attempts, others are tried once, until one succeeds."""

_AT_A_TIME = 64
_BLOCK_BYTES = 4_000_000
_BLOCKS_KEPT = 16
_TRANSIENT = (408, 425, 429)


class Part(NamedTuple):
    """Bytes of an object, and the stamp of the whole object at that moment."""

    content: bytes
    stamp: Stamp


class Client:
    """Access to the objects of one scheme by a filesystem of fsspec.

    Parameters
    ----------
    scheme : str
    package : str
        Package that fsspec needs for the scheme.
    options : mapping
        Options of the filesystem.

    Raises
    ------
    MissingExtraError
        If the packages are not installed.
    DatasetError
        If the environment does not contain what the filesystem needs.
    """

    credentials = ""
    """Environment variables with credentials, for messages."""

    def __init__(self, scheme: str, package: str, options: Mapping[str, Any]) -> None:
        try:
            import fsspec

            importlib.import_module(package)
        except ImportError:
            raise MissingExtraError(
                f"reading {scheme}:// requires fsspec and {package}: pip install 'featx[remote]'"
            ) from None
        logging.getLogger(package).addHandler(logging.NullHandler())  # errors are reported once, by featx
        try:
            self.files: Any = fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **options)
        except ValueError:
            raise DatasetError(f"{scheme}:// addresses cannot be read: {self._no_credentials()}") from None
        self._n_failed = 0

    def submit(self, call: Callable[[], Awaitable[T]]) -> Future[T]:
        """Run a call, with further attempts, in the thread of fsspec."""
        import asyncio

        import fsspec.asyn

        coroutine: Coroutine[Any, Any, T] = self._with_attempts(call)
        return asyncio.run_coroutine_threadsafe(coroutine, fsspec.asyn.get_loop())

    async def get(self, url: Url, query: str, start: int, stop: int | None, most: int) -> Part:
        """Return bytes of an object; none if the object is larger than ``most``.

        The stamp is queried after the bytes were read. An object that changed in between differs from its listing,
        so that the next run reads it again.
        """
        content = await self.files._cat_file(url.path, start=start, end=stop)
        return Part(content, await self.stat(url, query))

    async def stat(self, url: Url, query: str = "") -> Stamp:
        """Return the stamp of an object."""
        info = await self.files._info(url.path)
        if info.get("type") == "directory":
            raise FileNotFoundError(errno.ENOENT, "no such object")
        return _stamp_of(info)

    def pages(self, url: Url) -> Iterator[list[Found]]:
        """Yield the objects below a folder, in lists, with names relative to the folder."""
        cut, folders = len(url.path) + 1, [url.path]
        while folders:
            folder = folders.pop()
            listed = self.submit(functools.partial(self.files._ls, folder, detail=True)).result()
            folders += [info["name"].rstrip("/") for info in listed if info["type"] == "directory"]
            yield [_found(info["name"][cut:], _stamp_of(info)) for info in listed if info["type"] != "directory"]

    async def _with_attempts(self, call: Callable[[], Awaitable[T]]) -> T:
        import asyncio

        attempts = _ATTEMPTS if self._n_failed < _MOST_FAILED else 1
        for attempt in range(attempts):
            try:
                result = await asyncio.wait_for(call(), _SECONDS)
            except Exception as error:
                if not _is_passing(error):
                    raise self._as_os_error(error, 1) from None
                if attempt + 1 == attempts:
                    self._n_failed += 1
                    raise self._as_os_error(error, attempts) from None
                await asyncio.sleep(_FIRST_WAIT * 3**attempt * random.uniform(0.5, 1.5))
            else:
                self._n_failed = 0
                return result
        raise AssertionError("at least one attempt")

    def _as_os_error(self, error: BaseException, attempts: int) -> OSError:
        """Return an error without the text of the library, which may contain an address with credentials."""
        if "Credential" in type(error).__name__:
            return PermissionError(errno.EACCES, self._no_credentials())
        return _as_os_error(error, attempts)

    def _no_credentials(self) -> str:
        return f"there are no credentials in the environment; set {self.credentials}"


class GoogleClient(Client):
    """Access to Google Cloud Storage."""

    credentials = "GOOGLE_APPLICATION_CREDENTIALS, or FSSPEC_GS_TOKEN=anon for a public bucket"

    def __init__(self, scheme: str, package: str, options: Mapping[str, Any]) -> None:
        super().__init__(scheme, package, options)
        # Without the attempts of the library, which would multiply those of this class.
        request = type(self.files)._request
        self.files._request = functools.partial(getattr(request, "__wrapped__", request), self.files)


class AzureClient(Client):
    """Access to Azure Blob Storage."""

    credentials = "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"


class S3Client(Client):
    """Access to S3: one request for each object, which also gives its stamp."""

    credentials = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for a public bucket"

    def __init__(self, scheme: str, package: str, options: Mapping[str, Any]) -> None:
        super().__init__(scheme, package, options)
        self.files.retries = 1

    async def get(self, url: Url, query: str, start: int, stop: int | None, most: int) -> Part:
        """Return bytes of an object; none if the object is larger than ``most``."""
        part = {} if not start and stop is None else {"Range": _range(start, stop)}
        reply = await self.files._call_s3("get_object", **_key(url), **part)
        size = int(reply.get("ContentRange", "").rpartition("/")[2] or reply["ContentLength"])
        stamp = _stamp(size, reply.get("LastModified"), reply.get("ETag"))
        async with reply["Body"] as body:
            return Part(await body.read() if reply["ContentLength"] <= most else b"", stamp)

    async def stat(self, url: Url, query: str = "") -> Stamp:
        """Return the stamp of an object."""
        reply = await self.files._call_s3("head_object", **_key(url))
        return _stamp(int(reply["ContentLength"]), reply.get("LastModified"), reply.get("ETag"))

    def pages(self, url: Url) -> Iterator[list[Found]]:
        """Yield the objects below a folder, in lists of up to 1,000, with names relative to the folder."""
        bucket, _, key = url.path.partition("/")
        prefix = f"{key}/" if key else ""
        token: dict[str, str] = {}
        while True:
            ask = functools.partial(self.files._call_s3, "list_objects_v2", Bucket=bucket, Prefix=prefix, **token)
            reply: Any = self.submit(ask).result()
            yield [
                _found(one["Key"][len(prefix) :], _stamp(int(one["Size"]), one["LastModified"], one.get("ETag")))
                for one in reply.get("Contents", ())
                if not one["Key"].endswith("/")
            ]
            if not reply.get("IsTruncated"):
                return
            token = {"ContinuationToken": reply["NextContinuationToken"]}


class WebClient(Client):
    """Access to web servers: an object is requested by its address and its query string; there are no listings."""

    async def get(self, url: Url, query: str, start: int, stop: int | None, most: int) -> Part:
        """Return bytes of an object; none if the object is larger than ``most``."""
        session = await self.files.set_session()
        address = self.files.encode_url(f"{url}?{query}" if query else str(url))
        headers = {} if not start and stop is None else {"Range": _range(start, stop)}
        async with session.get(address, headers={"Accept-Encoding": "identity", **headers}) as reply:
            if reply.status >= 400:
                raise StatusError(reply.status)
            stamp = _web_stamp(reply.headers)
            length = int(reply.headers.get("Content-Length", -1))
            if length > most or (stop == 1 and length > 1):
                return Part(b"", stamp)
            content = await _limited(reply.content, most)
            if headers and reply.status == 200:  # a server without ranges
                content = content[start:stop]
            return Part(content, stamp if stamp.size >= 0 else stamp._replace(size=len(content)))

    async def stat(self, url: Url, query: str = "") -> Stamp:
        """Return the stamp of an object, by a request for one byte, because a signed address allows no other method."""
        return (await self.get(url, query, 0, 1, 1)).stamp

    def pages(self, url: Url) -> Iterator[list[Found]]:
        """Raise an error.

        Raises
        ------
        DatasetError
            Always, because web servers have no listing.
        """
        raise DatasetError(f"{url} cannot be listed, because web servers have no listing; give a manifest of addresses")


class StatusError(OSError):
    """A server replied with the status of an error."""

    def __init__(self, status: int) -> None:
        super().__init__(errno.EIO, f"the server replied with status {status}")
        self.status = status


_CLIENTS: dict[str, tuple[type[Client], str, Mapping[str, Any]]] = {
    "s3": (S3Client, "s3fs", {"config_kwargs": {"retries": {"max_attempts": 0}, "max_pool_connections": _AT_A_TIME}}),
    "gs": (GoogleClient, "gcsfs", {}),
    "az": (AzureClient, "adlfs", {}),
    "https": (WebClient, "aiohttp", {}),
    "http": (WebClient, "aiohttp", {}),
}


@functools.cache
def client_of(scheme: str) -> Client:
    """Return the client of a scheme.

    Raises
    ------
    MissingExtraError
        If a package of the extra ``remote`` is not installed.
    """
    kind, package, options = _CLIENTS[scheme]
    return kind(scheme, package, options)


_listings: dict[Url, FlatIndex] = {}
"""Index of the folder that was listed last; a scan reads it several times, and each new scan lists again."""


@dataclass(frozen=True)
class RemoteFolder(Source):
    """The objects below an address.

    Parameters
    ----------
    root : Url
    """

    root: Url

    @property
    def name(self) -> str:
        """Address of the folder."""
        return str(self.root)

    @property
    def uses_network(self) -> bool:
        """Return True."""
        return True

    def entries(self, leave_out: Callable[[OwnFolder], None] = do_nothing) -> Iterator[Entry]:
        """Yield the objects; see :meth:`featx.source.Source.entries`."""
        _listings.clear()
        return self._index().entries("", leave_out)

    def stat(self, sample_id: str) -> Stamp:
        """Return the stamp of an object."""
        return Stamp(*self.stats([sample_id])[0].tolist())

    def stats(self, sample_ids: Sequence[str], progress: Callable[[int], None] = do_nothing_with) -> NDArray[np.int64]:
        """Return the stamps of some objects; many are requested at a time."""
        _listings.clear()
        client, stamps = client_of(self.root.scheme), np.empty((len(sample_ids), 4), np.int64)
        for start in range(0, len(sample_ids), _AT_A_TIME):
            urls = [self.root / name for name in sample_ids[start : start + _AT_A_TIME]]
            requests = [client.submit(functools.partial(client.stat, url, query_of(url))) for url in urls]
            for at, request in enumerate(requests, start):
                try:
                    stamps[at] = request.result()
                except OSError:  # the reason is reported when the object is read
                    stamps[at] = UNKNOWN
            if start % BLOCK == 0:
                progress(start)
        return stamps

    def address(self, sample_id: str) -> str:
        """Return the address of an object."""
        return str(self.root / sample_id)

    def folders_in(self, parent: str, known: Collection[str] = ()) -> list[str]:
        """Return the subfolders of a folder without the known subfolders; empty if there is no listing."""
        return self._index().folders_in(parent, known) if self._has_listing else []

    def names_in(self, folder: str) -> list[str]:
        """Return the names of objects and folders in a folder; empty if there is no listing."""
        try:
            return self._index().names_in(folder) if self._has_listing else []
        except DatasetError:
            return []

    def describe(self) -> dict[str, str]:
        """Return the address of the folder; credentials are not part of it."""
        return {"kind": "remote", "root": str(self.root)}

    def locator(self, sample_id: str) -> str:
        """Return the query string of the address of an object."""
        return query_of(self.root / sample_id)

    def open(self, sample_id: str) -> OpenFile:
        """Open an object, of which parts are fetched when they are read."""
        check_relative_path(sample_id)
        blob = RemoteBlob(self.root / sample_id)
        stream = io.BufferedReader(Window(blob, 0, blob.size), min(max(blob.size, 1), _BLOCK_BYTES))
        return OpenFile(cast(BinaryIO, stream), blob.stamp, is_exact=True)

    def open_at(self, sample_id: str, locator: str) -> OpenFile:
        """Fetch an object."""
        return self.request(sample_id, locator, -1, _BLOCK_BYTES).result()

    def request(self, sample_id: str, locator: str, size: int, most: int) -> Future[OpenFile]:
        """Begin to fetch an object."""
        check_relative_path(sample_id)
        client, url = client_of(self.root.scheme), self.root / sample_id

        async def fetch() -> OpenFile:
            part = Part(b"", await client.stat(url, locator)) if size > most else None
            part = part or await client.get(url, locator, 0, None, most)
            stamp = part.stamp
            return OpenFile(io.BytesIO(part.content), lambda: stamp, is_exact=True)

        return client.submit(fetch)

    @property
    def _has_listing(self) -> bool:
        return not isinstance(client_of(self.root.scheme), WebClient)

    def _index(self) -> FlatIndex:
        """Return the index of the objects, which is kept until the next scan."""
        if self.root not in _listings:
            _listings[self.root] = self._list()
        return _listings[self.root]

    def _list(self) -> FlatIndex:
        def read_tag(name: str, position: int) -> bytes | None:
            try:
                with self.open(name) as file:
                    return file.stream.read(LONGEST_TAG)
            except OSError:
                return None

        try:
            client = client_of(self.root.scheme)
            return FlatIndex((found for page in client.pages(self.root) for found in page), read_tag)
        except OSError as error:
            if isinstance(error, MissingExtraError):
                raise
            raise DatasetError(f"{self.root} cannot be listed: {error.strerror or error}") from None


class RemoteBlob:
    """An object whose parts are fetched in blocks, some of which are kept.

    Raises
    ------
    OSError
        If the object cannot be queried.
    """

    def __init__(self, url: Url) -> None:
        self._url, self._client = url, client_of(url.scheme)
        self._stamp = self._client.submit(lambda: self._client.stat(url, query_of(url))).result()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.size = self._stamp.size

    def stamp(self) -> Stamp:
        """Return the stamp of the object when it was opened."""
        return self._stamp

    def read_at(self, position: int, n: int) -> bytes:
        """Return the bytes from a position; fewer at the end of the object."""
        parts, stop = [], min(position + n, self.size)
        while position < stop:
            number, begin = divmod(position, _BLOCK_BYTES)
            part = self._block(number)[begin : begin + stop - position]
            if not part:
                break
            parts.append(part)
            position += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Do nothing: other members of the archive are read from the same blocks."""

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            start, stop = number * _BLOCK_BYTES, min((number + 1) * _BLOCK_BYTES, self.size)
            query = query_of(self._url)
            part = self._client.submit(lambda: self._client.get(self._url, query, start, stop, _BLOCK_BYTES)).result()
            if part.stamp != self._stamp:
                raise OSError(errno.EIO, "the object was changed while it was read; the next run tries again")
            self._blocks[number] = part.content
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


def _key(url: Url) -> dict[str, str]:
    bucket, _, key = url.path.partition("/")
    return {"Bucket": bucket, "Key": key}


def _range(start: int, stop: int | None) -> str:
    return f"bytes={start}-{'' if stop is None else stop - 1}"


def _found(name: str, stamp: Stamp) -> Found:
    clean, reason = clean_name(name)
    if not reason and clean != name:
        reason = "the name has empty parts, which no path of a file has"
    return Found(name if reason else clean, stamp, 0, reason)


async def _limited(stream: Any, most: int) -> bytes:
    content = bytearray()
    async for part in stream.iter_any():
        content += part
        if len(content) > most:
            raise OSError(errno.EFBIG, f"the server sends more than {most:,} bytes")
    return bytes(content)


def _stamp(size: int, modified: object, tag: object) -> Stamp:
    """Return the stamp of an object: size, time in whole seconds, and a digest of its version or ETag.

    An object with a tag and without a time has time 0, because the tag is enough to notice a change.
    """
    seconds = int(modified.timestamp()) if isinstance(modified, datetime) else 0 if tag else -1
    digest = 0
    if tag:
        text = str(tag).strip('"')
        digest = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()) >> 1
    return Stamp(size, seconds * 1_000_000_000 if seconds >= 0 else -1, digest)


def _stamp_of(info: Mapping[str, Any]) -> Stamp:
    """Return the stamp of an object from the description that fsspec gives."""
    names = ("LastModified", "last_modified", "updated", "mtime", "created")
    modified = next((info[name] for name in names if info.get(name)), None)
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified)
    tag = next((info[name] for name in ("generation", "ETag", "etag", "content_md5") if info.get(name)), None)
    return _stamp(int(info.get("size") or 0), modified, tag)


def _web_stamp(headers: Mapping[str, str]) -> Stamp:
    from email.utils import parsedate_to_datetime

    total = headers.get("Content-Range", "").rpartition("/")[2]
    size = int(total) if total.isdigit() else int(headers.get("Content-Length", -1))
    try:
        modified = parsedate_to_datetime(headers["Last-Modified"])
    except (KeyError, ValueError):
        modified = None
    return _stamp(size, modified, headers.get("ETag"))


def _status(error: BaseException) -> int | None:
    """Return the status with which a server replied, whatever library reports it; None if there was no reply."""
    one: BaseException | None = error
    while one is not None:
        reply = getattr(one, "response", None)
        if isinstance(reply, Mapping):
            status = reply.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if isinstance(status, int):
                return status
        for name in ("status", "status_code", "code"):
            value = getattr(one, name, None)
            if isinstance(value, int | str) and str(value).isdigit():
                return int(value)
        one = one.__cause__
    return None


def _is_passing(error: BaseException) -> bool:
    """Return whether another attempt may succeed: after a timeout, a lost connection, throttling or a server error."""
    if isinstance(error, FileNotFoundError | PermissionError):
        return False
    status = _status(error)
    if status is not None:
        return status >= 500 or status in _TRANSIENT
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    names = " ".join(kind.__name__ for kind in type(error).__mro__)
    return any(word in names for word in ("Connection", "Timeout", "Disconnected", "Payload", "IncompleteRead"))


def _as_os_error(error: BaseException, attempts: int) -> OSError:
    """Return an error without the text of the library, which may contain an address with credentials."""
    tried = f" ({attempts} attempts)" if attempts > 1 else ""
    status = _status(error)
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return FileNotFoundError(errno.ENOENT, "no such object")
    if isinstance(error, PermissionError) or status in (401, 403):
        return PermissionError(errno.EACCES, "access is denied; check the credentials in the environment")
    if status is not None:
        return OSError(errno.EIO, f"the server replied with status {status}{tried}")
    if any(word in type(error).__name__ for word in ("Connector", "ConnectionError")):
        return OSError(errno.EHOSTUNREACH, f"the server cannot be reached{tried}")
    if isinstance(error, TimeoutError):
        return OSError(errno.ETIMEDOUT, f"the server did not reply in time{tried}")
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return error
    return OSError(errno.EIO, f"{type(error).__name__}{tried}")
