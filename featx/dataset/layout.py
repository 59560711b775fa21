"""Read classes and splits from the folder names of a data set."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from featx.dataset.splits import SPLITS, exact_split_name, read_split_name
from featx.errors import AmbiguousLayoutError, DatasetError, as_usage
from featx.source import without_query
from featx.table import Categorical, Split

_MANY_CLASSES = 12
_FEW = 5
_LONGEST_SHOWN = 200
_USUAL_NAMES = ("train", "val", "validation", "test")
_PARTS: dict[Split, str] = {"train": "training", "val": "validation", "test": "test"}
_NOTHING = {"", "nan", "na", "n a", "null", "none", "nat"}
"""Texts that programs write for a missing value, in the form that :func:`_normalized` returns."""


@dataclass(frozen=True)
class Layout:
    """Labels and splits of images, read from the folders in their paths.

    Parameters
    ----------
    labels, splits : Categorical
        Label and split of each path; None for none.
    description : str
        One-line description of the data set for users.
    remarks : tuple of str
        Remarks about possible mistakes in the folder names.
    parents : frozenset of str
        Folders that contain the class folders, relative to the root.
    """

    labels: Categorical[str | None]
    splits: Categorical[Split | None]
    description: str
    remarks: tuple[str, ...] = ()
    parents: frozenset[str] = frozenset()


class _Step(NamedTuple):
    """One folder of a path: its depth below the root, and its name with composed accents."""

    depth: int
    name: str


_Folders = dict[str, tuple[_Step, ...]]
"""For each folder that contains images: the parts of its path that may be class names, the outermost first."""


def read_layout(paths: Sequence[str], label_by: str | None = None) -> Layout:
    """Read labels and splits from folder names.

    A single folder that contains all others is ignored, and so is a folder inside a folder of the same name. Folders
    whose names look like splits are splits; if this is ambiguous, an error is raised. Names that differ only in their
    Unicode form are equal.

    Parameters
    ----------
    paths : sequence of str
        POSIX paths of the images, relative to the root.
    label_by : {"parent", "top"}, optional
        Folder level whose names are the classes; needed only if several levels are possible.

    Raises
    ------
    AmbiguousLayoutError
        If several folder levels could be classes and ``label_by`` is not given, or if only some of the folders look
        like splits.
    DatasetError
        If ``label_by`` has another value.
    """
    if label_by not in (None, "parent", "top"):
        raise as_usage(DatasetError(f"`label_by={label_by}`: expected parent or top"))
    holders = Categorical.of(path.rpartition("/")[0] for path in paths)
    sizes = Counter(holders.counts())
    folders: _Folders = {
        folder: tuple(_Step(depth, name) for depth, name in enumerate(one_form(folder).split("/")) if name)
        for folder in sizes
    }
    folders, wrappers = _look_through(folders, sizes)
    folders, split_names = _take_splits(folders)
    if split_names:
        folders, _ = _look_through(folders, sizes)
    _stop_at_further_splits(folders)
    _stop_if_ambiguous(folders, label_by, bool(split_names))
    which = -1 if label_by == "parent" else 0
    labels = holders.changed(lambda folder: folders[folder][which].name if folders[folder] else None)
    splits = holders.changed(lambda folder: split_names[folder].split if folder in split_names else None)
    how = f"by folder in {'/'.join(wrappers)}" if wrappers else "by folder"
    return Layout(
        labels,
        splits,
        describe(labels, splits, how, _unusual(split_names)),
        (*label_remarks(labels, splits, "folders"), *_inner_remarks(folders, label_by)),
        frozenset("/".join(folder.split("/")[: steps[which].depth]) for folder, steps in folders.items() if steps),
    )


def one_form(name: str) -> str:
    """Return a name with composed accents (NFC), as most programs write them; macOS decomposes accents."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def describe(
    labels: Categorical[str | None],
    splits: Categorical[Split | None],
    how: str,
    split_names: Mapping[str, str] | None = None,
) -> str:
    """Return a one-line description of a data set.

    Parameters
    ----------
    labels, splits : Categorical
    how : str
        Where the labels are from, such as ``"by folder"``.
    split_names : mapping of str to str, optional
        Folder names of each split whose folders have unusual names.
    """
    counts = {label: count for label, count in labels.counts().items() if label is not None}
    n_unlabelled = len(labels) - sum(counts.values())
    by_split = Counter(splits.counts())
    names = split_names or {}
    parts = ", ".join(
        f"{split} ({by_split[split]:,}" + (f", {names[split]})" if split in names else ")")
        for split in SPLITS
        if by_split[split]
    )
    if not counts:
        text = f"{len(labels):,} {_images(len(labels))}, no labels"
        return f"{text}; {parts}, without class folders inside" if parts else text
    text = f"{len(counts):,} {'class' if len(counts) == 1 else 'classes'} ({how}): {_counts(counts)}"
    if n_unlabelled:
        text += f"; {n_unlabelled:,} {_images(n_unlabelled)} outside the class folders, without a label"
    return f"{text}; {parts}" if parts else text


def label_remarks(labels: Categorical[str | None], splits: Categorical[Split | None], where: str) -> list[str]:
    """Return remarks about possible mistakes in the labels of a data set.

    Parameters
    ----------
    labels, splits : Categorical
    where : str
        What the user can rename to correct a label, such as ``"folders"``.
    """
    n_splits = len(splits.values)
    codes = np.unique(labels.codes.astype(np.int64) * n_splits + splits.codes).tolist()
    found = [(labels.values[code // n_splits], splits.values[code % n_splits]) for code in codes]
    pairs = {(label, split or "train") for label, split in found if label is not None}
    classes = sorted({label for label, _ in pairs})
    by_spelling = defaultdict(list)
    for name in classes:
        by_spelling[_normalized(name)].append(name)
    remarks = [
        f"classes {' and '.join(repr(shortened(name)) for name in names)} differ only in spelling; if they are the "
        f"same class, give the {where} one name"
        for names in by_spelling.values()
        if len(names) > 1
    ]
    remarks += [
        f"class {name!r} may stand for a missing value; if it does, remove the images of this class"
        for name in classes
        if _normalized(name) in _NOTHING
    ]
    in_split = {split: {label for label, label_split in pairs if label_split == split} for split in SPLITS}
    for split in SPLITS[1:]:
        if in_split[split] and in_split["train"]:
            pair: tuple[tuple[Split, Split], ...] = ((split, "train"), ("train", split))
            for has, lacks in pair:
                lacking = sorted(in_split[has] - in_split[lacks])
                if lacking:
                    parts = f"classes in the {_PARTS[has]} part but not in the {_PARTS[lacks]} part"
                    remarks.append(f"{parts}: {first_few(lacking)}")
    return remarks


def first_few(names: Sequence[str]) -> str:
    """Return names separated by commas; if there are more than 5, only the first 4 and the number of the others."""
    shown = ", ".join(shortened(name) for name in names[: _FEW if len(names) <= _FEW else _FEW - 1])
    return shown if len(names) <= _FEW else f"{shown} and {len(names) - _FEW + 1:,} more"


def shortened(text: str) -> str:
    """Return a text for a message; the middle of a long text, such as an encoded image, is left out."""
    text, half = without_query(text), _LONGEST_SHOWN // 2
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:half]}...{text[-half:]} ({len(text):,} characters)"


def _normalized(name: str) -> str:
    """Return a name without differences that are easily overlooked: case, kind of white space, form of a number."""
    if number := re.fullmatch(r"([+-]?)0*(\d+?)(\.0*)?", name.strip(), re.ASCII):
        return number[1] + number[2]
    return re.sub(r"[\s_/-]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip()


def _counts(counts: Mapping[str, int]) -> str:
    if len(counts) <= _MANY_CLASSES:
        first, *others = sorted(counts)
        start = f"{shortened(first)} ({counts[first]:,} {_images(counts[first])})"
        return ", ".join([start, *(f"{shortened(name)} ({counts[name]:,})" for name in others)])
    return f"{min(counts.values()):,} to {max(counts.values()):,} images each"


def _images(n: int) -> str:
    return "image" if n == 1 else "images"


def _look_through(folders: _Folders, sizes: Mapping[str, int]) -> tuple[_Folders, list[str]]:
    """Remove folders without meaning: the inner folder of ``x/x``, and a single top folder above several folders.

    Returns
    -------
    folders : dict
    wrappers : list of str
        Names of the single top folders that were removed.
    """
    wrappers: list[str] = []
    while True:
        folders = _without_doubles(folders)
        tops = _tops(folders)
        if len(tops) != 1 or exact_split_name(next(iter(tops))) is not None:
            return folders, wrappers
        n_beside = sum(sizes[folder] for folder, steps in folders.items() if len(steps) == 1)
        n_below = sum(sizes[folder] for folder, steps in folders.items() if len(steps) > 1)
        if not _branches(folders.values()) or n_beside >= n_below:
            return folders, wrappers
        wrappers += tops
        folders = {folder: steps[1:] for folder, steps in folders.items()}


def _without_doubles(folders: _Folders) -> _Folders:
    """Remove the only subfolder of a top folder if both have the same name or are the same split."""
    while True:
        below = defaultdict(list)
        for folder, steps in folders.items():
            if steps:
                below[steps[0].name].append(folder)
        double = set()
        for name, members in below.items():
            children = {folders[folder][1].name if len(folders[folder]) > 1 else "" for folder in members}
            if len(children) == 1 and _is_same(name, children.pop()):
                double.update(members)
        if not double:
            return folders
        folders = {folder: steps[:1] + steps[2:] if folder in double else steps for folder, steps in folders.items()}


def _is_same(name: str, child: str) -> bool:
    parent, inner = read_split_name(name), read_split_name(child)
    same_split = parent is not None and inner is not None and parent.split == inner.split
    return name.casefold() == child.casefold() or same_split


def _branches(rests: Iterable[tuple[_Step, ...]]) -> bool:
    """Return whether there are several folders at any level below the top folder."""
    while True:
        rests = [steps[1:] for steps in rests if len(steps) > 1]
        names = {steps[0].name for steps in rests}
        if len(names) != 1:
            return len(names) > 1


class _Split(NamedTuple):
    split: Split
    name: str


def _take_splits(folders: _Folders) -> tuple[_Folders, dict[str, _Split]]:
    """Remove the first folder level that consists of splits; return the other levels and the split of each folder."""
    found = _top_splits(folders)
    if found:
        taken = {
            folder: _Split(found[steps[0].name], steps[0].name)
            for folder, steps in folders.items()
            if steps and steps[0].name in found
        }
        # At this point, folders beside the splits have no subfolders; their images get no label.
        return {folder: steps[1:] if folder in taken else () for folder, steps in folders.items()}, taken
    inside = [steps for steps in folders.values() if steps]
    for level in range(1, min(map(len, inside), default=0)):
        split_at = {steps[level].name: read_split_name(steps[level].name) for steps in inside}
        named = {name: found.split for name, found in split_at.items() if found is not None}
        if len(named) == len(split_at) and _are_splits_of_one(inside, level):
            taken = {
                folder: _Split(named[steps[level].name], steps[level].name)
                for folder, steps in folders.items()
                if steps
            }
            return {folder: steps[:level] + steps[level + 1 :] for folder, steps in folders.items()}, taken
    return folders, {}


def _top_splits(folders: _Folders) -> dict[str, Split]:
    """Return the split of each top folder; an empty dict if the top folders are classes.

    Raises
    ------
    AmbiguousLayoutError
        If the folder names do not show whether the top folders are splits or classes.
    """
    children = _tops(folders)
    like = {name: found for name in children if (found := read_split_name(name)) is not None}
    if len(children) == 1:
        return {name: found.split for name, found in like.items() if not found.rest}
    # The splits of a data set have names that differ only in the split, or contain folders of the same names.
    splits_of = defaultdict(set)
    for name, found in like.items():
        for mark in (found.rest, *map(str.casefold, children[name])):
            splits_of[mark].add(found.split)
    paired = {
        name
        for name, found in like.items()
        if any(len(splits_of[mark]) > 1 for mark in (found.rest, *map(str.casefold, children[name])))
    }
    others = sorted(set(children) - paired)
    if not paired:
        splits = {found.split for found in like.values()}
        if len(like) < len(children) or len(splits) < 2 or all(found.rest for found in like.values()):
            return {}
        _stop_at_splits(sorted(like), [])
    have_classes = any(children[name] for name in paired)
    if not have_classes and len({like[name].rest for name in paired}) > 1:
        raise AmbiguousLayoutError(
            f"the names of {first_few(sorted(paired))} look like classes and splits at the same time; move the "
            "images into folders such as train/CLASS and test/CLASS, or list them in a manifest (path,label,split)"
        )
    if others and (not have_classes or any(children[name] for name in others)):
        _stop_at_splits(sorted(paired), others)
    return {name: like[name].split for name in paired}


def _stop_at_further_splits(folders: _Folders) -> None:
    """Check that no remaining folder contains splits, which would be merged or treated as classes."""
    names_in = defaultdict(set)
    for steps in folders.values():
        parent = ""
        for step in steps:
            names_in[parent].add(step.name)
            parent += f"{step.name}/"
    for parent in sorted(names_in):
        if parent and _are_splits(names_in[parent]):
            inside = [parent + name for name in sorted(names_in[parent]) if read_split_name(name) is not None]
            raise AmbiguousLayoutError(
                f"{first_few(inside)} look like splits, but there are images outside these folders. If {parent[:-1]} "
                "is the data set, give that folder; otherwise move all images into folders such as train/CLASS and "
                "test/CLASS, or list them in a manifest (path,label,split)"
            )


def _stop_at_splits(splits: Sequence[str], others: Sequence[str]) -> None:
    beside = f", but {first_few(others)} beside them {'does' if len(others) == 1 else 'do'} not" if others else ""
    remedy = (
        f"move {first_few(others)} away or rename {'it' if len(others) == 1 else 'them'} train, val or test"
        if others
        else "rename them train, val or test"
    )
    raise AmbiguousLayoutError(
        f"{first_few(splits)} look like splits{beside}. If they are splits, {remedy}. If they are classes, "
        "rename them so that they do not look like splits, or list the images in a manifest (path,label,split)"
    )


def _are_splits_of_one(inside: Iterable[tuple[_Step, ...]], level: int) -> bool:
    names_in = defaultdict(set)
    for steps in inside:
        names_in[tuple(step.name for step in steps[:level])].add(steps[level].name)
    return any(map(_are_splits, names_in.values()))


def _are_splits(names: Iterable[str]) -> bool:
    """Return whether any of the folders at one level are different splits of the same data set."""
    splits = defaultdict(set)
    for name in names:
        if (found := read_split_name(name)) is not None:
            splits[found.rest].add(found.split)
    return any(len(some_splits) > 1 for some_splits in splits.values())


def _tops(folders: _Folders) -> dict[str, set[str]]:
    """Return the names of the subfolders of each top folder, by the name of the top folder."""
    children: dict[str, set[str]] = {}
    for steps in folders.values():
        if steps:
            children.setdefault(steps[0].name, set()).update(step.name for step in steps[1:2])
    return children


def _stop_if_ambiguous(folders: _Folders, label_by: str | None, has_splits: bool) -> None:
    """Raise an error if two folder levels could be the classes; the message lists the classes for both choices."""
    if label_by is not None:
        return
    children = _tops(folders)
    have_images = {steps[0].name for steps in folders.values() if len(steps) == 1}
    tops_of = defaultdict(set)
    for top, names in children.items():
        for name in names:
            tops_of[name].add(top)
    shared = sorted(name for name, tops in tops_of.items() if len(tops) > 1)
    nested = sorted(top for top, names in children.items() if len(names) > 1 and top not in have_images)
    flat = sorted(top for top, names in children.items() if not names)
    if shared:
        tops = sorted(set().union(*(tops_of[name] for name in shared)))
        what, advice = f"several of {first_few(tops)} contain folders of the same names: {first_few(shared)}", ""
    elif nested and flat:
        inner = sorted(set().union(*(children[top] for top in nested)))
        holders, others = ("contains" if len(tops) == 1 else "contain" for tops in (nested, flat))
        what = f"{first_few(nested)} {holders} folders ({first_few(inner)}), but {first_few(flat)} {others} only images"
        advice = f" To use only the folders in {nested[0]}, give that folder." if len(nested) == 1 else ""
    else:
        return
    parents = sorted({steps[-1].name for steps in folders.values() if steps})
    splits = [name for name in children if read_split_name(name) is not None]
    if len(parents) == 1 and not splits:  # CLASS/images
        return
    if not set(shared) <= set(parents):
        advice += f" If {first_few(shared)} are the classes, list the images in a manifest (path,label)."
    if splits or (shared and not has_splits):  # the names of splits may be in any language
        advice += f" If {first_few(sorted(children))} are splits, rename them train, val or test."
    raise AmbiguousLayoutError(
        f"{what}. Which folders are the classes: {first_few(parents)} (`label_by=parent`) or "
        f"{first_few(sorted(children))} (`label_by=top`)?{advice}"
    )


def _inner_remarks(folders: _Folders, label_by: str | None) -> list[str]:
    """Return a remark about the folders inside the class folders, if every class folder has several subfolders."""
    children = _tops(folders)
    have_images = {steps[0].name for steps in folders.values() if len(steps) == 1}
    if label_by is not None or have_images or not all(len(names) > 1 for names in children.values()):
        return []
    inner = sorted(set().union(*children.values()))
    return (
        [f"folders inside the class folders are ignored: {first_few(inner)}; `label_by=parent` makes them the classes"]
        if inner
        else []
    )


def _unusual(split_names: Mapping[str, _Split]) -> dict[str, str]:
    """Return the folder names of each split that has a folder with an unusual name, separated by commas."""
    names = defaultdict(set)
    for split, name in split_names.values():
        names[split].add(name)
    return {
        split: first_few(sorted(folders))
        for split, folders in names.items()
        if any(name.casefold() not in _USUAL_NAMES for name in folders)
    }
