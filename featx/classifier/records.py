"""Records of the out-of-fold scores of training images, and of predictions for other images."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.table import Skipped

_LIBRARIES = (
    *("featx", "numpy", "scipy", "scikit-learn", "pillow", "simplejpeg", "cykooz-resizer", "h5py", "openvino"),
    *("keras", "tensorflow"),
)


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries on which a classifier depends, by name."""
    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):  # cykooz-resizer is not available on every platform
            found[name] = version(name)
    return found


@dataclass(frozen=True)
class OutOfFold:
    """Scores of images, computed by heads that were fitted without these images.

    The images are the training images of a cross-validation or, without cross-validation, a held-out part. The scores
    of each class, the confusion matrix and the list of errors are computed from them.

    Parameters
    ----------
    sample_ids : tuple of str
    y : ndarray of shape (n_samples,), int64
        Index of the class of each sample.
    scores : ndarray of shape (n_samples, n_classes), float64
        Scores by the head of the fold that leaves the image out, on the scale of the final head.
        ``softmax(scores / temperature)`` gives calibrated probabilities.
    fold : ndarray of shape (n_samples,), int64
        Number of the fold that leaves the image out.
    predicted : ndarray of shape (n_samples,), int64
        Index of the class with the largest score.
    content_hashes : ndarray of shape (n_samples, 32), uint8, or None
        SHA-256 hash of the bytes of each file; None if the classifier was fitted on all of these images.
    """

    sample_ids: tuple[str, ...]
    y: NDArray[np.int64]
    scores: NDArray[np.float64]
    fold: NDArray[np.int64]
    predicted: NDArray[np.int64]
    content_hashes: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Predictions:
    """Predictions of a classifier for images.

    Parameters
    ----------
    classes : tuple of str
    paths : tuple of str
        Paths of the predicted images.
    labels : tuple of str
        Most probable class of each image; empty if the image is rejected.
    confidence : ndarray of shape (n,), float64
        Calibrated probability of the most probable class.
    probabilities : ndarray of shape (n, n_classes), float64
        Calibrated probabilities, one column for each class.
    seen : ndarray of shape (n,), bool
        Whether the model was fitted on an image with the same content.
    rejected : ndarray of shape (n,), bool
        Whether the image is rejected, because it belongs to none of the classes; all False without ``reject_rate``.
    skipped : tuple of Skipped
        Images that were skipped, with reasons.

    Examples
    --------
    >>> import featx
    >>> predictions = featx.load("digits.featx").predict("data/3")
    >>> predictions.probabilities.shape
    (30, 10)
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
        parts = [f"{name} {counts[name]:,}" for name in self.classes if counts[name]]
        parts += [f"{n:,} {what}" for what, n in (("rejected", counts[""]), ("skipped", len(self.skipped))) if n]
        return f"Predictions({len(self):,} images: {', '.join(parts) or 'none'})"

    def to_dict(self) -> dict[str, Any]:
        """Return a dict of JSON values with one entry for each image, and the skipped images."""
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
