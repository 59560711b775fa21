"""Compute the features of files and folders with a given feature spec, such as the feature spec of a model."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from featx.dataset import (
    Dataset,
    dataset_id,
    is_list,
    scan_files,
    scan_list,
    scan_unlabelled,
    stop_if_packed,
    stream_folder,
    stream_lines,
    stream_list,
)
from featx.engines import resolve_engine
from featx.errors import SpecError
from featx.execution import locate, reproducible_spec
from featx.images import decode_version
from featx.lookup import (
    PassResult,
    check_strict,
    join_passes,
    look_up,
    reading_key,
    remember_states,
    report_remarks,
    table_of,
)
from featx.pipeline import STAGE, fill
from featx.runtime import Runtime
from featx.source import Entries, ImageFiles, Place, place_of, source_at
from featx.spec import FeatureSpec
from featx.store import FeatureStore, check_cache, quantized_name, read_quantized_graph, read_snapshot, write_graph
from featx.table import FeatureTable, FileStates, Memo, OwnFolder, Samples, Texts

_Kind = Literal["folder", "list", "image"]

IMAGES_A_BLOCK = 1 << 16
"""Number of images whose features are computed together when any number of images is processed."""

_MOST_REMEMBERED = 10_000_000
"""Maximum number of images of a folder whose states are kept for the next run; they need about 270 bytes an image."""


def featurize(
    paths: Sequence[str | Path],
    spec: FeatureSpec,
    *,
    weights: str | Path | None = None,
    graph: NDArray[np.uint8] | None = None,
    exact: bool = False,
    strict: bool = False,
    path_column: str = "path",
    refit: Callable[[], str] = lambda: "",
    runtime: Runtime | None = None,
) -> FeatureTable:
    """Return the features of files and folders for a given feature spec; labels are ignored.

    Parameters
    ----------
    paths : sequence of path
        Images, folders and archives with images, and lists: ``.csv``, ``.tsv``, ``.txt``, ``.parquet`` or ``.pq``
        files with a column of paths. All may lie in object storage.
    spec : FeatureSpec
        How the features are computed, for example as in a model.
    weights : path, optional
        Weights file or network file, if the feature spec does not use ImageNet weights.
    graph : ndarray of shape (n_bytes,), uint8, optional
        Quantized graph of the feature spec, as stored in a model. The graph is written to the cache.
    exact : bool
        Raise an error if the precision of the feature spec is bfloat16 and this CPU does not support bfloat16. If
        false, float32 is used instead.
    strict : bool
        Raise an error if an image cannot be used, after all other images are processed.
    path_column : str
        Name of the column of paths in a list.
    refit : callable
        Returns the end of the error message for another decoder, which states how to make the model again.
    runtime : Runtime, optional
        Cache folder, number of workers and callbacks.

    Returns
    -------
    FeatureTable
        Features of the usable images. The sample ids are the given paths; for an image in a folder, the given folder
        and the path relative to this folder.

    Raises
    ------
    DatasetError
        If a path does not exist, has no images, is an archive, or is a list that cannot be used.
    SpecError
        If this version of featx or this machine uses another decoder than the feature spec.
    WeightsError
        If the given weights differ from the weights of the feature spec.
    EngineError
        If the engine of the feature spec does not run on the requested device.
    """
    runtime = runtime or Runtime()
    featurizer = Featurizer(spec, weights=weights, graph=graph, exact=exact, refit=refit, runtime=runtime)
    addresses: list[Texts] = []
    ignored: list[Texts] = []
    own_folders: list[OwnFolder] = []
    passes = []
    for dataset in _unlabelled([place_of(path) for path in paths], featurizer, path_column):
        report_remarks(dataset, dataset.name, runtime)
        memo = featurizer.memo(dataset.id)
        remember = partial(remember_states, runtime.cache, dataset, featurizer.how)
        passes.append(fill(dataset.images, memo, featurizer.store, featurizer.locate, runtime, remember))
        addresses.append(Texts.of(image.address for image in dataset.images))
        ignored.append(Texts.of(dataset.addresses(dataset.ignored.names)))
        own_folders += _with_roots(dataset)
    samples = Samples.unlabelled(Texts.join([Texts.of([]), *addresses]))
    others = Texts.join([Texts.of([]), *ignored])
    table = featurizer.table(samples, join_passes(passes), others, own_folders)
    check_strict(table, strict)
    return table


@dataclass(frozen=True)
class ImageBlock:
    """Images whose features are computed together.

    Parameters
    ----------
    images : ImageFiles
    addresses : Texts
        Path of each image, as in tables of predictions.
    ignored : Texts
        Paths of files that are not images.
    own_folders : tuple of OwnFolder
        Folders that were not scanned, because they contain output of featx.
    memo : Memo
        Stored states of the files of a folder.
    remember : callable or None
        Function that saves the states of the images, to be called while the store is locked; None if the states are
        saved later or not at all.
    noted : callable
        Function that is called with the states of all images of the block, once they are known.
    is_last : bool
        Whether this is the last block.
    """

    images: ImageFiles
    addresses: Texts
    ignored: Texts
    own_folders: tuple[OwnFolder, ...]
    memo: Memo
    remember: Callable[[FileStates], None] | None
    noted: Callable[[FileStates], None]
    is_last: bool = False

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class BlockFeatures:
    """Features of a block of images.

    Parameters
    ----------
    table : FeatureTable
        Features of the usable images; ``sample_id`` is the path of an image.
    states : FileStates
        State of each image, including the images that were skipped.
    addresses : Texts
        Path of each image.
    """

    table: FeatureTable
    states: FileStates
    addresses: Texts


class Featurizer:
    """Computes the features of images with a given feature spec, one block of images after another.

    Parameters
    ----------
    spec, weights, graph, exact, refit, runtime
        As for :func:`featurize`.

    Attributes
    ----------
    spec : FeatureSpec
        Feature spec of the features on this machine.
    store : FeatureStore
    how : str
        Key of the settings for reading images, see :func:`featx.lookup.reading_key`.

    Raises
    ------
    SpecError, WeightsError, EngineError
        See :func:`featurize`.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        weights: str | Path | None = None,
        graph: NDArray[np.uint8] | None = None,
        exact: bool = False,
        refit: Callable[[], str] = lambda: "",
        runtime: Runtime,
    ) -> None:
        self._started = time.monotonic()
        self._weights = weights
        self._n_filled = 0
        self.runtime = runtime
        check_cache(runtime.cache)
        resolve_engine(spec.engine, spec.precision, runtime.device)
        if spec.decode != decode_version():
            raise SpecError(
                f"these features were computed with decoder {spec.decode}; this machine has {decode_version()}, which "
                "gives other pixels for the same image. Install the same versions of featx, Pillow, simplejpeg and "
                f"cykooz-resizer{refit()}"
            )
        self.spec = spec if exact else reproducible_spec(spec, runtime)
        if weights is not None:
            self.locate()  # a wrong file is an error even if all features are cached
        if graph is not None and self.spec.graph is not None:
            _keep_quantized(self.spec.graph, graph.tobytes(), runtime.cache)
        self.store = FeatureStore(runtime.cache, self.spec)
        self.how = reading_key(self.spec.decode, self.spec.white, self.spec.page, runtime)

    def locate(self) -> Path | None:
        """Return the weights file or network file of the feature spec."""
        return locate(self.spec, self._weights, self.runtime)

    def memo(self, identity: str) -> Memo:
        """Return the stored states of the files of a data set; empty if the data set has no id."""
        return read_snapshot(self.runtime.cache, identity, self.how) if identity else Memo.of({})

    def blocks(
        self,
        paths: Sequence[str | Place],
        files_from: str | Place | None = None,
        path_column: str = "path",
        *,
        may_be_empty: bool = False,
    ) -> Iterator[ImageBlock]:
        """Yield the images of files, folders and lists in blocks, in the given order.

        Parameters
        ----------
        paths, path_column
            As for :func:`featurize`.
        files_from : path, optional
            List of further paths, one a line; see :func:`featx.dataset.stream_lines`.
        may_be_empty : bool
            Whether this list may have no paths.

        Raises
        ------
        DatasetError
            See :func:`featurize`.
        """
        held = None
        for block in self._blocks([place_of(path) for path in paths], files_from, path_column, may_be_empty):
            if held is not None:
                yield held
            held = block
        if held is not None:
            yield replace(held, is_last=True)

    def _blocks(
        self, paths: Sequence[Place], files_from: str | Place | None, path_column: str, may_be_empty: bool
    ) -> Iterator[ImageBlock]:
        for kind, given in _by_kind(paths):
            if kind == "image":
                yield self._block(scan_files(given))
            for path in given if kind == "list" else ():
                yield from map(self._block, stream_list(path, IMAGES_A_BLOCK, path_column))
            for folder in given if kind == "folder" else ():
                yield from self._folder_blocks(folder)
        if files_from is not None:
            yield from map(self._block, stream_lines(files_from, IMAGES_A_BLOCK, may_be_empty=may_be_empty))

    def _folder_blocks(self, folder: Place) -> Iterator[ImageBlock]:
        """Yield the images of a folder; after the last block, the snapshot of the folder is written."""
        memo = self.memo(dataset_id(folder, "unlabelled"))
        with self.runtime.stage("listing the images") as advance:
            datasets = stream_folder(folder, IMAGES_A_BLOCK, memo, lambda n: advance(n, 0))
            held = next(datasets)
            following = next(datasets, None)
        if following is None:
            remember = partial(remember_states, self.runtime.cache, held, self.how)
            yield replace(self._block(held), memo=memo, remember=remember, noted=remember)
            return
        history = _FolderHistory(self.runtime, self.how)
        for dataset in itertools.chain([held, following], datasets):
            at = memo.find(dataset.images.samples.sample_ids)
            known = np.flatnonzero(at >= 0)
            own = Memo(dataset.images.samples.sample_ids.take(known), memo.states.take(at[known]))
            history.begin(dataset)
            yield replace(self._block(dataset), memo=own, noted=partial(history.add, dataset))
        history.write()

    def _block(self, dataset: Dataset) -> ImageBlock:
        report_remarks(dataset, dataset.name, self.runtime)
        return ImageBlock(
            images=dataset.images,
            addresses=Texts.of(image.address for image in dataset.images),
            ignored=Texts.of(dataset.addresses(dataset.ignored.names)),
            own_folders=tuple(_with_roots(dataset)),
            memo=Memo.of({}),
            remember=None,
            noted=lambda states: None,
        )

    def look_up(self, block: ImageBlock, at: NDArray[np.int64]) -> FileStates:
        """Return the states of some images of a block; no features are computed.

        Files that have not changed since the last run, and whose features are stored, are not read. The content hash of
        a file that cannot be read is zero.
        """
        return look_up(block.images.take(at), block.memo, self.store, self.runtime).states

    def fill(self, block: ImageBlock, at: NDArray[np.int64] | None = None) -> BlockFeatures:
        """Compute the missing features of a block.

        Parameters
        ----------
        block : ImageBlock
        at : ndarray of shape (n,), int64, optional
            Positions of the images that are used; by default all.
        """
        images, addresses = block.images, block.addresses
        if at is not None:
            images, addresses = images.take(at), addresses.take(at)
        remember = block.remember if at is None else None
        extra = {} if remember is None else {"remember": remember}
        filled = fill(images, block.memo, self.store, self.locate, self._runtime_of(block), **extra)
        self._n_filled += len(images)
        if at is None and remember is None:
            block.noted(filled.states)
        samples = Samples.unlabelled(addresses)
        table = self.table(samples, filled, block.ignored, block.own_folders)
        return BlockFeatures(table, filled.states, addresses)

    def _runtime_of(self, block: ImageBlock) -> Runtime:
        """Return a runtime whose progress also counts the images of earlier blocks; the total is known at the end."""
        n_before, report = self._n_filled, self.runtime.progress
        if block.is_last and not n_before:
            return self.runtime

        def progress(stage: str, done: int, total: int) -> None:
            if stage == STAGE:
                done, total = n_before + done, n_before + total if block.is_last else 0
            report(stage, done, total)

        return replace(self.runtime, progress=progress)

    def table(
        self, samples: Samples, filled: PassResult, ignored: Texts, own_folders: Sequence[OwnFolder]
    ) -> FeatureTable:
        """Return the feature table of samples; see :func:`featx.lookup.table_of`."""
        title = self.spec.backbone
        return table_of("images", samples, ignored, filled, self.store, title, self._started, own_folders=own_folders)

    def discard(self) -> None:
        """Delete the computed features from a temporary cache, so that it does not grow with the number of blocks."""
        shutil.rmtree(self.store.path, ignore_errors=True)


class _FolderHistory:
    """States of the images of a folder that is processed in blocks, for the snapshot of the folder."""

    def __init__(self, runtime: Runtime, how: str) -> None:
        self._runtime, self._how = runtime, how
        self._parts: list[tuple[Dataset, FileStates]] | None = []
        self._n_begun = self._n = 0

    def begin(self, dataset: Dataset) -> None:
        self._n_begun += len(dataset.images)

    def add(self, dataset: Dataset, states: FileStates) -> None:
        self._n += len(states)
        if self._n > _MOST_REMEMBERED and self._parts is not None:
            self._parts = None
            self._runtime.notice(
                f"{dataset.name} has more than {_MOST_REMEMBERED:,} images; their sizes and times are not kept, so "
                "that the next run reads all files again. Computed features are kept"
            )
        if self._parts is not None:
            self._parts.append((dataset, states))

    def write(self) -> None:
        """Write the snapshot, unless images were left out."""
        if not self._parts or self._n < self._n_begun:
            return
        datasets = [dataset for dataset, _ in self._parts]
        images = ImageFiles.join([dataset.images for dataset in datasets])
        ignored = Entries.join([dataset.ignored for dataset in datasets])
        whole = replace(datasets[0], images=images, ignored=ignored)
        states = FileStates.join([states for _, states in self._parts])
        with self._runtime.stage("writing the states of the images"):
            remember_states(self._runtime.cache, whole, self._how, states)


def _with_roots(dataset: Dataset) -> list[OwnFolder]:
    paths = dataset.addresses([own.path for own in dataset.own_folders])
    return [replace(own, path=path) for own, path in zip(dataset.own_folders, paths, strict=True)]


def _keep_quantized(name: str, graph: bytes, cache: Path) -> None:
    if quantized_name(graph) != name:
        raise SpecError(f"the quantized graph of this model does not match its feature spec ({name})")
    if read_quantized_graph(cache, name) is None:
        write_graph(cache, name, graph)


def _unlabelled(paths: Sequence[Place], featurizer: Featurizer, path_column: str) -> Iterator[Dataset]:
    """Yield a data set for each folder, for each list, and for each sequence of consecutive single files."""
    for kind, given in _by_kind(paths):
        if kind == "image":
            yield scan_files(given)
        elif kind == "list":
            yield from (scan_list(path, path_column) for path in given)
        else:
            yield from (_unlabelled_folder(folder, featurizer) for folder in given)


def _unlabelled_folder(folder: Place, featurizer: Featurizer) -> Dataset:
    with featurizer.runtime.stage("listing the images") as advance:
        memo = featurizer.memo(dataset_id(folder, "unlabelled"))
        return scan_unlabelled(folder, memo, lambda n: advance(n, 0))


def _by_kind(paths: Sequence[Place]) -> list[tuple[_Kind, list[Place]]]:
    """Return the paths in sequences of consecutive paths of the same kind."""
    kinds = [_kind(path) for path in paths]
    pairs = itertools.groupby(zip(paths, kinds, strict=True), key=lambda pair: pair[1])
    return [(kind, [path for path, _ in some]) for kind, some in pairs]


def _kind(path: Place) -> _Kind:
    if source_at(path) is not None:
        return "folder"
    stop_if_packed(path)
    return "list" if is_list(path) else "image"
