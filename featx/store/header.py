"""The header of a feature store: the feature spec, the features of the probe images, and the producers of the rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_PROBES = 1 << 30
"""Maximum size of the features of all probe images in bytes, more than any backbone gives and less than the memory."""


@dataclass(frozen=True)
class StoreHeader:
    """Header of a feature store, which each segment and the journal contain.

    Parameters
    ----------
    spec : str
        Canonical JSON of the feature spec.
    probes : ndarray of shape (n_probes, n_features), float32
        Features of the probe images, computed by the first producer of the store.
    producers : tuple of dict
        Versions of the libraries, and kind of processor, of each machine that computed rows.
    """

    spec: str
    probes: NDArray[np.float32]
    producers: tuple[dict[str, str], ...]

    @property
    def n_features(self) -> int:
        """Number of features per image."""
        return int(self.probes.shape[1])


def producers_text(producers: tuple[dict[str, str], ...]) -> str:
    """Return the producers as JSON."""
    return json.dumps(list(producers), sort_keys=True)


def read_producers(text: object) -> tuple[dict[str, str], ...]:
    """Return the producers from JSON; an empty tuple if the text is not a list of producers."""
    try:
        producers = json.loads(text) if isinstance(text, str) else None
    except (RecursionError, ValueError):
        return ()
    if not isinstance(producers, list):
        return ()
    is_valid = all(isinstance(p, dict) and all(isinstance(value, str) for value in p.values()) for p in producers)
    return tuple(producers) if is_valid else ()


def join_producers(headers: Sequence[StoreHeader]) -> tuple[dict[str, str], ...]:
    """Return the producers of several headers, without repetition."""
    joined = {producers_text((producer,)): producer for header in headers for producer in header.producers}
    return tuple(joined.values())
