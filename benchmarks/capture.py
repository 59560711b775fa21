"""Measure the choice of frames by ``featx capture``: ``python -m benchmarks.capture DIR|VIDEO...``.

For each folder of images, or for the frames of a video: the number of images in which the detector finds a face; the
sharpness of blurred images (Gaussian of 1 % of the longer side, or motion over 4 % of it) as a fraction of the
sharpness before; the fraction of blurred images that are then below the default of ``--min-sharpness``; and the 5th and
95th percentiles of the sharpness. For a video in addition: the minimum sharpness of its frames relative to the median
of the 60 preceding frames, and the number of frames that are kept for some values of ``--min-difference``, for whole
frames and for faces. Print a Markdown table, then JSON.
"""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import print_head, print_json, print_row
from featx.capturing import capture
from featx.capturing.boxes import Box
from featx.capturing.choosing import Chooser, FrameCandidate, sharpness
from featx.capturing.faces import FaceFinder

_COLUMNS = (
    "data set",
    "frames",
    "with a face",
    "sharpness 5 %",
    "95 %",
    "left, Gaussian",
    "found",
    "left, motion",
    "found",
)
_DIFFERENCES = (0.0, 2.0, 4.0, 6.0, 8.0)
_RECENT = 60
_LEAST = inspect.signature(capture).parameters["min_sharpness"].default


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path)
    print_head(*_COLUMNS)
    results = []
    for source in parser.parse_args().sources:
        frames = list(read_folder(source) if source.is_dir() else read_video(source))
        if not frames:
            sys.exit(f"{source} contains no image or video that OpenCV can read")
        result = {"set": source.name, **measure(frames)}
        print_row(*(result[name] for name in result))
        results.append(result if source.is_dir() else {**result, **follow(frames)})
    print_json(results)


def read_folder(folder: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the images of a folder that OpenCV can read, with channels in the order blue, green, red."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (frame := cv2.imread(os.fspath(path), cv2.IMREAD_COLOR)) is not None:
            yield frame


def read_video(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a video."""
    video = cv2.VideoCapture(os.fspath(path))
    while (read := video.read())[0]:
        yield read[1]


def measure(frames: list[NDArray[np.uint8]]) -> dict[str, Any]:
    """Return the figures of single images."""
    finder = FaceFinder(cv2)
    greys = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames]
    own = np.array([sharpness(cv2, grey) for grey in greys])
    gaussian = np.array([sharpness(cv2, _gaussian(grey)) for grey in greys]) / own
    motion = np.array([sharpness(cv2, _motion(grey)) for grey in greys]) / own
    return {
        "frames": len(frames),
        "with a face": sum(finder.find(grey) is not None for grey in greys),
        "sharpness": float(np.quantile(own, 0.05)),
        "to": float(np.quantile(own, 0.95)),
        "left, Gaussian": float(np.median(gaussian)),
        "found, Gaussian": float((gaussian < _LEAST).mean()),
        "left, motion": float(np.median(motion)),
        "found, motion": float((motion < _LEAST).mean()),
    }


def follow(frames: list[NDArray[np.uint8]]) -> dict[str, Any]:
    """Return the figures of consecutive frames of a video."""
    finder = FaceFinder(cv2)
    whole, faces = [], []
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        every = Box(0, 0, grey.shape[1], grey.shape[0])
        whole.append(FrameCandidate(frame, grey, every, every))
        if face := finder.find(grey):
            faces.append(FrameCandidate(frame, grey, face.within(*grey.shape), face.grown(0.3).within(*grey.shape)))
    own = [sharpness(cv2, one.grey) for one in whole]
    least = min(value / median(own[max(0, i + 1 - _RECENT) : max(15, i + 1)]) for i, value in enumerate(own))
    return {
        "least sharpness": least,
        **{f"whole, kept at {least:g}": _kept(whole, least) for least in _DIFFERENCES},
        **{f"faces, kept at {least:g}": _kept(faces, least) for least in _DIFFERENCES},
    }


def _kept(candidates: list[FrameCandidate], min_difference: float) -> int:
    return Counter(verdict for _, verdict in Chooser(cv2, 0, min_difference).judge(candidates))["kept"]


def _gaussian(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.GaussianBlur(grey, (0, 0), 0.01 * max(grey.shape))


def _motion(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.blur(grey, (max(2, round(0.04 * max(grey.shape))), 1))


if __name__ == "__main__":
    main()
