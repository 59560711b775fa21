"""Recognize common names of splits, such as train, Training, test_set, seg_val and valid."""

from __future__ import annotations

import re
from typing import NamedTuple, get_args

from featx.table import Split

SPLITS: tuple[Split, ...] = get_args(Split)
"""Names of the splits in featx."""

_WORDS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation", "validate", "dev", "eval", "evaluation"),
    "test": ("test", "testing", "holdout"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
# These words do not describe the content of a folder. Thus train and test_images are splits of the same data set.
_PLAIN = (
    "set|sets|data|dataset|datasets|image|images|img|imgs|picture|pictures|pic|pics|photo|photos|sample|samples|folder"
    "|folders|file|files|split|part|jpg|jpeg|png|labeled|labelled|unlabeled|unlabelled|raw|clean|new|full|all|the|my"
)
_GLUED = re.compile(f"({'|'.join(_SPLIT_OF)})({_PLAIN})")
_ANY = re.compile(r"(?i)train|val|dev|test|h[oe]ld")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TOKEN = re.compile(r"[^\W\d_]+")


class SplitName(NamedTuple):
    """A name that looks like the name of a split.

    Parameters
    ----------
    split : {"train", "val", "test"}
    rest : tuple of str
        The other words of the name, without words such as ``set`` and ``images``: ``seg`` for ``seg_train``. The
        splits of a data set have the same rest; ``test_tube`` and ``training_shoes`` have different ones.
    """

    split: Split
    rest: tuple[str, ...]


def read_split_name(name: str) -> SplitName | None:
    """Return the split that a name stands for; None if the name does not look like a split.

    Words are separated by a change from lower to upper case and by characters that are not letters. The result for
    ``train_val`` is None, because the name contains two splits.

    Examples
    --------
    >>> read_split_name("Training_set")
    SplitName(split='train', rest=())
    >>> read_split_name("seg_test2")
    SplitName(split='test', rest=('seg',))
    >>> read_split_name("trains") is None
    True
    """
    if _ANY.search(name) is None:  # there may be a million names
        return None
    text = re.sub(r"(?i)h[oe]ld[ _-]?out", "holdout", name)
    tokens = [token.lower() for token in _TOKEN.findall(_CAMEL.sub(" ", text))]
    tokens = [glued[1] if (glued := _GLUED.fullmatch(token)) else token for token in tokens]
    splits = {_SPLIT_OF[token] for token in tokens if token in _SPLIT_OF}
    if len(splits) != 1:
        return None
    plain = _PLAIN.split("|")
    rest = tuple(token for token in tokens if token not in _SPLIT_OF and token not in plain)
    return SplitName(splits.pop(), rest)


def exact_split_name(name: str) -> Split | None:
    """Return the split if a name contains no words with another meaning, otherwise None."""
    found = read_split_name(name)
    return found.split if found is not None and not found.rest else None
