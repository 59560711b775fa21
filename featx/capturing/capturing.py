"""Collect labelled images from a camera or a video file: find faces, crop, select and write."""

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
from featx.capturing.preview import Preview, open_preview
from featx.capturing.recordings import Recording, check_label, count_recordings, new_recording
from featx.errors import CaptureError
from featx.opencv import start_opencv
from featx.options import CaptureOptions, check_ranges
from featx.runtime import Runtime

_PATIENCE = 300
"""Number of consecutive camera frames without a face, about 10 s, after which a recording ends."""

_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Capture:
    """The result of a capture.

    Parameters
    ----------
    label : str
    source : int or str
        Number of the camera, or the video file.
    recording : int
        Number of the recording, unique in the data set.
    folder : path
        Folder of the images, ``take-NNN-FFFFF.jpg``.
    n_kept, n_blurred, n_alike, n_no_face : int
        Numbers of frames that were kept, blurred, similar to the last kept frame, and without a face.
    recordings : dict of str to int
        Number of recordings of each label of the data set so far; 0 for labels whose images were not captured.
    seconds : float
        Wall time in seconds.

    Examples
    --------
    >>> import featx
    >>> done = featx.capture("anna", "anna.mp4", output="faces")  # doctest: +SKIP
    >>> done.n_kept <= done.n_frames  # doctest: +SKIP
    True
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
        """Number of frames that were checked."""
        return self.n_kept + self.n_blurred + self.n_alike + self.n_no_face

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``featx capture --json`` prints."""
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
    """Collect images of one class from a camera or a video file; the images form one recording.

    Each image is written immediately to ``output/label/take-NNN-FFFFF.jpg``. Existing files are never replaced.
    :func:`featx.fit` recognises a recording by these names, and does not divide it between training and test images.

    Parameters
    ----------
    label : str
        Name of the class and of its folder.
    source : int or path
        Number of a camera (the first is 0), or a video file.
    output : path
        Folder of label folders; created if missing.
    count : int
        Number of images after which the recording ends.
    full_frame : bool
        Keep whole frames instead of the largest face of each frame.
    margin : float
        Margin on each side of a face, as a fraction of the width of the face.
    every : int
        Use only every Nth frame.
    min_sharpness : float
        Minimum sharpness (variance of the Laplacian), relative to the median of the last 60 frames; 0 keeps blurred
        frames, too.
    min_difference : float
        Minimum difference from the last kept image: mean absolute difference of 32 x 32 thumbnails, in grey levels from
        0 to 255.
    preview : bool
        Show a window if there is a display. Closing it ends the recording.
    runtime : Runtime, optional
        Callbacks.

    Returns
    -------
    Capture

    Raises
    ------
    CaptureError
        If the label cannot be a folder name, the camera or video does not exist, no face was found, or the camera was
        lost. Images that were already written are kept, also after KeyboardInterrupt.
    OutputError
        If the images cannot be written.
    MissingExtraError
        If OpenCV has no face cascades, as in version 5.

    Examples
    --------
    >>> import featx
    >>> featx.capture("anna", 0, count=50)  # doctest: +SKIP
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    check_ranges(locals(), CaptureOptions)
    check_label(label)
    cv2 = start_opencv()
    cutter = _Cutter(cv2, None if full_frame else FaceFinder(cv2), margin)
    chooser = Chooser(cv2, min_sharpness, min_difference)
    counts: Counter[str] = Counter()
    with closing(open_footage(cv2, source)) as footage, new_recording(Path(output), label) as recording:
        with open_preview(cv2, label, footage.is_camera, runtime.notice) if preview else nullcontext() as window:
            runtime.notice(f"{footage.title}: recording {recording.number}, written to {recording.folder}")
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
    """Crops a frame to the face with a margin; without a face finder, the whole frame is used."""

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
    """The candidates among the frames of a recording; frames without a face are counted in ``counts``."""

    def __init__(self, footage: Footage, cutter: _Cutter, window: Preview | None, counts: Counter[str]) -> None:
        self._footage, self._cutter, self._window, self._counts = footage, cutter, window, counts
        self.left = ""

    def candidates(self, every: int) -> Iterator[FrameCandidate]:
        """Yield the candidates. If they end before the frames, ``left`` states the reason."""
        n_in_a_row = 0
        for frame in self._footage.frames(every):
            candidate = self._cutter.candidate(frame)
            if not self._show(frame, candidate):
                self.left = "the preview window was closed"
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
        box, remark = (None, ", no face") if candidate is None else (candidate.crop, "")
        return self._window.show(frame, box, f"{self._counts['kept']:,} kept{remark}")


def _jpeg(cv2: Any, candidate: FrameCandidate) -> bytes:
    ok, encoded = cv2.imencode(".jpg", candidate.crop.cut(candidate.frame), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not ok:
        raise CaptureError("OpenCV cannot write JPEG files; reinstall it: pip install 'opencv-python-headless<5'")
    return bytes(encoded)


def _check_ending(footage: Footage, left: str, recording: Recording, n_no_face: int, runtime: Runtime) -> None:
    """Report an early end of a recording; raise an error if the camera was lost or no image was kept."""
    if footage.is_camera and footage.ended:
        raise CaptureError(f"the camera was lost: {footage.ended}; {_kept(recording)}")
    why = footage.ended or left
    if recording.n_kept:
        if why:
            runtime.notice(f"ended early: {why}")
        return
    if n_no_face:
        raise CaptureError(
            f"no face in {n_no_face:,} frames of {footage.title}; featx finds only upright frontal faces in even "
            "light of at least a tenth of the frame: move closer, or keep whole frames with `full_frame=True`"
        )
    raise CaptureError(f"no image was kept from {footage.title}" + (f": {why}" if why else ""))


def _kept(recording: Recording) -> str:
    if not recording.n_kept:
        return "no image was kept"
    images = "1 image is" if recording.n_kept == 1 else f"{recording.n_kept:,} images are"
    return f"{images} kept: recording {recording.number} in {recording.folder}"
