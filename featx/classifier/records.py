"""What a classifier knows of its training images, and what it says of others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.table import Skipped

_LIBRARIES = (
    *("featx", "numpy", "scipy", "scikit-learn", "pillow", "simplejpeg", "h5py", "openvino", "keras", "tensorflow"),
)


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that a classifier depends on, by name."""
    return {name: version(name) for name in _LIBRARIES}


@dataclass(frozen=True)
class OutOfFold:
    """Scores of images by heads that had not seen them: those that classes, confusions and mistakes count.

    Of the training images by cross-validation; without one, of a part that was held out.

    Parameters
    ----------
    sample_ids : tuple of str
    y : ndarray of shape (n_samples,), int64
        Class numbers.
    scores : ndarray of shape (n_samples, n_classes), float64
        Each by the head of the fold that had left the image out, on the scale of the final head: the softmax of scores
        divided by the classifier's temperature is a calibrated probability.
    fold : ndarray of shape (n_samples,), int64
    predicted : ndarray of shape (n_samples,), int64
        The class of the largest score.
    content_hashes : ndarray of shape (n_samples, 32), uint8, or None
        SHA-256 of each file's bytes; None if all are contents that the classifier was fitted on.
    """

    sample_ids: tuple[str, ...]
    y: NDArray[np.int64]
    scores: NDArray[np.float64]
    fold: NDArray[np.int64]
    predicted: NDArray[np.int64]
    content_hashes: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of some images.

    Parameters
    ----------
    classes : tuple of str
    paths : tuple of str
        The usable images.
    labels : tuple of str
        The most probable class of each; empty if it is rejected.
    confidence : ndarray of shape (n,), float64
        Probability of the most probable class.
    probabilities : ndarray of shape (n, n_classes), float64
        One column for each class.
    seen : ndarray of shape (n,), bool
        Whether the model was fitted on an image of this content.
    rejected : ndarray of shape (n,), bool
        Whether it is none of the classes; none is, unless rejection was asked for.
    skipped : tuple of Skipped
        Images that could not be used, and why.
    """

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    confidence: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    seen: NDArray[np.bool_]
    rejected: NDArray[np.bool_]
    skipped: tuple[Skipped, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        counts = Counter(self.labels)
        told = [f"{name} {counts[name]:,}" for name in self.classes if counts[name]]
        told += [f"{n:,} {what}" for what, n in (("rejected", counts[""]), ("skipped", len(self.skipped))) if n]
        return f"Predictions({len(self):,} images: {', '.join(told) or 'none'})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: one entry for each image, and the skipped ones."""
        known = zip(self.seen, self.rejected, strict=True)
        columns = zip(self.paths, self.labels, self.confidence, known, self.probabilities, strict=True)
        return {
            "predictions": [
                {
                    "path": path,
                    "label": label,
                    "confidence": float(confidence),
                    "status": "rejected" if rejected else "ok",
                    "seen": bool(seen),
                    "probabilities": dict(zip(self.classes, map(float, row), strict=True)),
                }
                for path, label, confidence, (seen, rejected), row in columns
            ],
            "skipped": [{"path": s.path, "reason": s.reason} for s in self.skipped],
        }
