"""From a camera or a video to labelled images: find, crop, choose, write, until there are enough."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.arguments import checked
from featx.capturing.boxes import Box
from featx.capturing.choosing import Chooser, FrameCandidate
from featx.capturing.faces import FaceFinder
from featx.capturing.footage import Footage, open_footage
from featx.capturing.opencv import start_opencv
from featx.capturing.preview import Preview, open_preview
from featx.capturing.recordings import Recording, check_label, count_recordings, new_recording
from featx.errors import CaptureError
from featx.options import CaptureOptions
from featx.runtime import Runtime

_PATIENCE = 300
"""Frames of a camera without a face, 10 s of most, after which nobody is taken to be there."""

_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Capture:
    """What a capture did.

    Parameters
    ----------
    label : str
    source : int or str
        Number of the camera, or the video file.
    recording : int
        Number of the recording, of no other one in the data set.
    folder : path
        Where its images are, ``take-NNN-FFFFF.jpg``.
    n_kept, n_blurred, n_alike, n_no_face : int
        Frames that were kept; that were blurred; that were like the one kept before; that showed no face.
    recordings : dict of str to int
        Recordings of each label of the data set by now; 0 where its images were not captured.
    seconds : float
        Wall time.
    """

    label: str
    source: int | str
    recording: int
    folder: Path
    n_kept: int
    n_blurred: int
    n_alike: int
    n_no_face: int
    recordings: dict[str, int]
    seconds: float

    @property
    def n_frames(self) -> int:
        """Frames that were judged."""
        return self.n_kept + self.n_blurred + self.n_alike + self.n_no_face

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON keys of ``featx capture --json``."""
        return {
            "label": self.label,
            "source": self.source,
            "recording": self.recording,
            "folder": str(self.folder),
            "n_kept": self.n_kept,
            "n_frames": self.n_frames,
            "n_blurred": self.n_blurred,
            "n_alike": self.n_alike,
            "n_no_face": self.n_no_face,
            "recordings": dict(self.recordings),
            "seconds": round(self.seconds, 3),
        }


@checked()
def capture(
    label: str,
    source: int | str | Path = 0,
    *,
    output: str | Path = "data",
    count: int = 100,
    full_frame: bool = False,
    margin: float = 0.3,
    every: int = 1,
    min_sharpness: float = 0.4,
    min_difference: float = 4.0,
    preview: bool = True,
    runtime: Runtime | None = None,
) -> Capture:
    """Collect images of a label from a camera or a video file, as one recording.

    The images are written as they are taken, into ``output/label/take-NNN-FFFFF.jpg``; nothing is replaced. By their
    names :func:`featx.fit` keeps a recording on one side of every split.

    Parameters
    ----------
    label : str
        Name of the class, and of its folder.
    source : int or path
        Number of a camera, from 0, or a video file.
    output : path
        Folder of label folders; made when missing.
    count : int
        Images after which the recording ends.
    full_frame : bool
        Keep whole frames, instead of the largest face of each.
    margin : float
        What is kept around a face, in parts of its width, on every side.
    every : int
        Look at every Nth frame only.
    min_sharpness : float
        Least sharpness (variance of the Laplacian) in parts of the usual one of the recording; 0 keeps blurred frames.
    min_difference : float
        Least difference to the image kept before: mean of their 32 x 32 thumbnails, in grey levels of 0 to 255.
    preview : bool
        Show a window, where there is a display. Closing it ends the recording.
    runtime : Runtime, optional
        Callbacks.

    Returns
    -------
    Capture

    Raises
    ------
    CaptureError
        A label that no folder can have, no such camera or video, no face, a camera that was lost. Images kept
        before are kept, as they are on KeyboardInterrupt.
    OutputError
        The images cannot be written.
    MissingExtraError
        OpenCV is not installed.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    CaptureOptions.of(locals())  # checks the ranges
    check_label(label)
    cv2 = start_opencv()
    cutter = _Cutter(cv2, None if full_frame else FaceFinder(cv2), margin)
    chooser = Chooser(cv2, min_sharpness, min_difference)
    counts: Counter[str] = Counter()
    with closing(open_footage(cv2, source)) as footage, new_recording(Path(output), label) as recording:
        with open_preview(cv2, label, footage.is_camera, runtime.notice) if preview else nullcontext() as window:
            runtime.notice(f"{footage.title}: recording {recording.number}, into {recording.folder}")
            runtime.progress("capturing, image", 0, count)
            scene = _Scene(footage, cutter, window, counts)
            try:
                for candidate, verdict in chooser.judge(scene.candidates(every)):
                    counts[verdict] += 1
                    if verdict == "kept":
                        recording.keep(_jpeg(cv2, candidate))
                        runtime.progress("capturing, image", recording.n_kept, count)
                    if recording.n_kept == count:
                        break
            except KeyboardInterrupt:
                runtime.notice(f"stopped; {_kept(recording)}")
                raise
        _check_ending(footage, scene.left, recording, counts["no face"], runtime)
        return Capture(
            label=label,
            source=footage.source,
            recording=recording.number,
            folder=recording.folder,
            n_kept=recording.n_kept,
            n_blurred=counts["blurred"],
            n_alike=counts["alike"],
            n_no_face=counts["no face"],
            recordings=count_recordings(Path(output)),
            seconds=time.monotonic() - started,
        )


@dataclass(frozen=True)
class _Cutter:
    """Cuts out of a frame what may be kept: the face with a margin, or all of it where there is no finder."""

    cv2: Any
    finder: FaceFinder | None
    margin: float

    def candidate(self, frame: NDArray[np.uint8]) -> FrameCandidate | None:
        grey = self.cv2.cvtColor(frame, self.cv2.COLOR_BGR2GRAY)
        height, width = grey.shape
        if self.finder is None:
            whole = Box(0, 0, width, height)
            return FrameCandidate(frame, grey, whole, whole)
        face = self.finder.find(grey)
        if face is None:
            return None
        return FrameCandidate(frame, grey, face.within(height, width), face.grown(self.margin).within(height, width))


class _Scene:
    """What the frames of a recording show; ``counts`` gets the frames without a face."""

    def __init__(self, footage: Footage, cutter: _Cutter, window: Preview | None, counts: Counter[str]) -> None:
        self._footage, self._cutter, self._window, self._counts = footage, cutter, window, counts
        self.left = ""

    def candidates(self, every: int) -> Iterator[FrameCandidate]:
        """Yield what may be kept; where frames go on without, ``left`` says why this ended."""
        n_in_a_row = 0
        for frame in self._footage.frames(every):
            candidate = self._cutter.candidate(frame)
            if not self._show(frame, candidate):
                self.left = "its window was closed"
                return
            if candidate is not None:
                n_in_a_row = 0
                yield candidate
                continue
            self._counts["no face"] += 1
            n_in_a_row += 1
            if self._footage.is_camera and n_in_a_row == _PATIENCE:
                self.left = f"no face in {_PATIENCE} frames"
                return

    def _show(self, frame: NDArray[np.uint8], candidate: FrameCandidate | None) -> bool:
        if self._window is None:
            return True
        box, told = (None, ", no face") if candidate is None else (candidate.crop, "")
        return self._window.show(frame, box, f"{self._counts['kept']:,} kept{told}")


def _jpeg(cv2: Any, candidate: FrameCandidate) -> bytes:
    done, encoded = cv2.imencode(".jpg", candidate.crop.cut(candidate.frame), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise CaptureError("OpenCV cannot write JPEG files; install it anew: pip install 'featx[capture]'")
    return bytes(encoded)


def _check_ending(footage: Footage, left: str, recording: Recording, n_no_face: int, runtime: Runtime) -> None:
    """Raise or say what has to be known of how a recording ended."""
    if footage.is_camera and footage.ended:
        raise CaptureError(f"the camera was lost, {footage.ended} {_kept(recording)}")
    why = footage.ended or left
    if recording.n_kept:
        if why:
            runtime.notice(f"ended early: {why}")
        return
    if n_no_face:
        raise CaptureError(
            f"no face in {n_no_face:,} frames of {footage.title}; faces are found from the front, upright, in "
            "even light, and from a tenth of the frame on: come closer, or keep whole frames with `full_frame=True`"
        )
    raise CaptureError(f"{footage.title} gave no image" + (f": {why}" if why else ""))


def _kept(recording: Recording) -> str:
    if not recording.n_kept:
        return "nothing was kept"
    what = "1 image is" if recording.n_kept == 1 else f"{recording.n_kept:,} images are"
    return f"{what} kept: recording {recording.number} in {recording.folder}"
