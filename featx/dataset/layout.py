"""What the folders of a data set say: classes, splits, or nothing."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from featx.errors import AmbiguousLayoutError, DatasetError, as_usage

SPLIT_NAMES = {"train": "train", "val": "val", "validation": "val", "test": "test"}
"""Names of split folders and of manifest values, and the split each stands for."""

_MANY_CLASSES = 12


@dataclass(frozen=True)
class Layout:
    """Label and split of each path.

    Parameters
    ----------
    labels, splits : list of (str or None)
        One for each path.
    description : str
        What was understood, for people.
    """

    labels: list[str | None]
    splits: list[str | None]
    description: str


def understand(paths: Sequence[str], label_by: str | None = None) -> Layout:
    """Read labels and splits from folder names.

    Parameters
    ----------
    paths : sequence of str
        POSIX paths of the pictures, relative to the root.
    label_by : {"parent", "top"}, optional
        Which folder is the class where several levels could be.

    Raises
    ------
    AmbiguousLayoutError
        Top folders share subfolder names and ``label_by`` does not say which are the classes.
    DatasetError
        ``label_by`` is neither.
    """
    if label_by not in (None, "parent", "top"):
        raise as_usage(DatasetError(f"--label-by {label_by}: allowed are parent and top"))
    folders = [path.split("/")[:-1] for path in paths]
    tops = {parts[0] for parts in folders if parts}
    if tops and all(top.lower() in SPLIT_NAMES for top in tops):
        splits = [SPLIT_NAMES[parts[0].lower()] if parts else None for parts in folders]
        labels = _labels([parts[1:] for parts in folders], label_by)
    else:
        splits = [None] * len(paths)
        labels = _labels(folders, label_by)
    return Layout(labels, splits, describe(labels, splits, "by folder"))


def describe(labels: Sequence[str | None], splits: Sequence[str | None], how: str) -> str:
    """Say what was understood, in one line."""
    counts = Counter(label for label in labels if label is not None)
    n_unlabelled = len(labels) - sum(counts.values())
    if not counts:
        return f"{len(labels):,} {_pictures(len(labels))}, no labels"
    text = f"{len(counts):,} {'class' if len(counts) == 1 else 'classes'} {how}: {_counts(counts)}"
    if n_unlabelled:
        text += f"; {n_unlabelled:,} {_pictures(n_unlabelled)} outside the class folders, without a label"
    by_split = Counter(split for split in splits if split is not None)
    if by_split:
        text += "; " + ", ".join(f"{name} {by_split[name]:,}" for name in ("train", "val", "test") if by_split[name])
    return text


def _counts(counts: Counter[str]) -> str:
    if len(counts) <= _MANY_CLASSES:
        return ", ".join(f"{name} {counts[name]:,}" for name in sorted(counts))
    return f"{min(counts.values()):,} to {max(counts.values()):,} pictures each"


def _pictures(n: int) -> str:
    return "picture" if n == 1 else "pictures"


def _labels(folders: Sequence[Sequence[str]], label_by: str | None) -> list[str | None]:
    if label_by is None:
        _stop_if_ambiguous(folders)
    which = -1 if label_by == "parent" else 0
    return [sys.intern(parts[which]) if parts else None for parts in folders]  # few names, many pictures


def _stop_if_ambiguous(folders: Sequence[Sequence[str]]) -> None:
    tops_of = defaultdict(set)
    for parts in folders:
        if len(parts) > 1:
            tops_of[parts[1]].add(parts[0])
    shared = sorted(name for name, tops in tops_of.items() if len(tops) > 1)
    if shared:
        tops = sorted(set().union(*(tops_of[name] for name in shared)))
        raise AmbiguousLayoutError(
            f"{_some(tops)} each contain {_some(shared)}. Which are the classes? --label-by parent | top"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:4])} and {len(names) - 4} more"
