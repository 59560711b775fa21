"""Names of the parts of a data set, as people write them: train, Training, test_set, seg_val, valid."""

from __future__ import annotations

import re
from typing import NamedTuple, get_args

from featx.table import Split

SPLITS: tuple[Split, ...] = get_args(Split)
"""The parts of a data set, by the names that featx gives them."""

_WORDS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation", "validate", "dev", "eval", "evaluation"),
    "test": ("test", "testing", "holdout"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
# Words that say nothing of what is in a folder, so that train and test_images are parts of one data set.
_PLAIN = (
    "set|sets|data|dataset|datasets|image|images|img|imgs|image|images|pic|pics|photo|photos|sample|samples|folder"
    "|folders|file|files|split|part|jpg|jpeg|png|labeled|labelled|unlabeled|unlabelled|raw|clean|new|full|all|the|my"
)
_GLUED = re.compile(f"({'|'.join(_SPLIT_OF)})({_PLAIN})")
_ANY = re.compile(r"(?i)train|val|dev|test|h[oe]ld")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_TOKEN = re.compile(r"[^\W\d_]+")


class SplitName(NamedTuple):
    """A name that looks like that of a part of a data set.

    Parameters
    ----------
    split : {"train", "val", "test"}
    rest : tuple of str
        What else is in the name, without words such as ``set`` and ``images``: ``seg`` of ``seg_train``. Parts of one
        data set have the same rest; ``test_tube`` and ``training_shoes`` have not.
    """

    split: Split
    rest: tuple[str, ...]


def read_split_name(name: str) -> SplitName | None:
    """Return which part of a data set a name stands for, None if it does not look like one.

    Words are told apart by case, and by all that is no letter; ``train_val`` names two parts, and is none.

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


def split_of(name: str) -> Split | None:
    """Return ``train``, ``val`` or ``test`` for a name that says this and nothing else; None for others."""
    found = read_split_name(name)
    return found.split if found is not None and not found.rest else None
